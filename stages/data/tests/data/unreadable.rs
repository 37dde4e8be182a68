//! Input that cannot be read: it fails, is left out and kept with the reason, or becomes missing; and what would be lost in silence.

use std::fs;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Decimal128Array, RecordBatch, StringArray, StructArray, TimestampNanosecondArray,
};
use contract::fault::Fault;
use serde_json::{Value, json};
use stages_data::kinds::collect::Collected;
use stages_data::read::bytes::Limits;
use stages_data::table::writer::write;

use super::sources::{Folder, one, png, rows, zip};

/// A source with `on_error`, and types by column.
fn params(from: Value, on_error: &str, types: &[(&str, &str)]) -> Value {
    let columns: serde_json::Map<String, Value> =
        types.iter().map(|(name, dtype)| ((*name).to_owned(), json!({ "dtype": dtype }))).collect();
    json!({ "from": from, "on_error": on_error, "columns": columns })
}

fn read(folder: &Folder, params: Value) -> Collected {
    folder.collect(params).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn codes(collected: &Collected) -> Vec<&str> {
    collected.warnings.iter().map(|fault| fault.code.as_str()).collect()
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn told(fault: &Fault) -> (&str, Option<u64>) {
    (fault.code.as_str(), fault.place.as_ref().and_then(|place| place.line))
}

const MIXED: &[u8] =
    b"id,x,name\n1,1.5,a\n2,oops,b\n3,2.5\n4,3.5,c,extra\n5,4.5,\xff\n6,5.5,f\n7,6.5,g\n8,7.5,h\n9,8.5,i\n";

#[test]
fn rows_that_cannot_be_read_are_left_out_and_kept_with_the_reason() {
    let folder = Folder::new();
    folder.put("a.csv", MIXED);
    let from = json!({ "csv": "a.csv" });
    let types = [("x", "float64")];
    // As it always was: the first faults, with their places.
    let faults = folder.collect(params(from.clone(), "fail", &types)).map(|_| ()).unwrap_err();
    assert!(faults.iter().any(|fault| fault.code == "data::encoding"), "{faults:?}");

    let mut wanted = params(from, "reject", &types);
    wanted["provenance"] = json!(true);
    let made = read(&folder, wanted);
    assert_eq!(
        rows(&made.table),
        [
            "id:int64|x:float64|name:string|source_file:string|source_row:int64",
            "1|1.5|a|a.csv|1",
            "6|5.5|f|a.csv|6",
            "7|6.5|g|a.csv|7",
            "8|7.5|h|a.csv|8",
            "9|8.5|i|a.csv|9",
        ]
    );
    assert_eq!(
        rows(&made.rejected),
        [
            "source_file:string|source_row:int64|line:int64|reason:string|text:string",
            "a.csv|2|3|`oops` in column `x` is not float64: expected a number such as 39.1 or 1e-3|2,oops,b",
            "a.csv|3|4|this row has 2 cells, the header has 3 cells|3,2.5",
            "a.csv|4|5|this row has 4 cells, the header has 3 cells|4,3.5,c,extra",
            "a.csv|5|6|`a.csv` cannot be read as text: it is not UTF-8|5,4.5,\u{fffd}",
        ]
    );
    assert_eq!((made.counts.rejected, codes(&made)), (4, vec!["data::rejected"]));
    assert_eq!(told(&made.warnings[0]), ("data::rejected", Some(3)));
    // A row that is left out says nothing about types: without it, `n` is whole numbers.
    folder.put("b.csv", b"n,m\n1,2\nword,\n3,4\nx\n5,6\n");
    let made = read(&folder, params(json!({ "csv": "b.csv" }), "reject", &[("m", "int64")]));
    assert_eq!(rows(&made.table)[0], "n:string|m:int64", "a row with an empty cell is one that can be read");
    folder.put("b.csv", b"n,m\n1,2\nword\n3,4\n5,6\n");
    let made = read(&folder, params(json!({ "csv": "b.csv" }), "reject", &[]));
    assert_eq!(rows(&made.table), ["n:int64|m:int64", "1|2", "3|4", "5|6"]);
}

#[test]
fn neither_threads_nor_blocks_change_what_is_left_out() {
    let folder = Folder::new();
    let mut text = String::from("id,x,note\n");
    for row in 0..200_000 {
        match row % 1000 {
            7 => text.push_str(&format!("{row},word\n")),
            // `x` is read a second time: its first numbers are whole.
            _ if row > 150_000 => text.push_str(&format!("{row},{row}.5,some words\n")),
            _ => text.push_str(&format!("{row},{row},some words\n")),
        }
    }
    folder.put("a.csv", text.as_bytes());
    let params = params(json!({ "csv": "a.csv" }), "reject", &[]);
    let bytes = |threads: usize| {
        let limits = Limits { threads, ..Limits::default() };
        let made = folder.collect_within(params.clone(), &limits).unwrap();
        assert_eq!((made.table.rows(), made.counts.rejected), (199_800, 200));
        let out = tempfile::tempdir().unwrap();
        let [data, rejected] = ["data", "rejected"].map(|name| out.path().join(name));
        write(&made.table, &data, threads).unwrap();
        write(&made.rejected, &rejected, threads).unwrap();
        (fs::read(data).unwrap(), fs::read(rejected).unwrap())
    };
    let first = bytes(1);
    assert!(bytes(4) == first, "the same bytes");
    let good: String = text.lines().filter(|line| !line.ends_with("word")).map(|line| format!("{line}\n")).collect();
    folder.put("a.csv", good.as_bytes());
    let made = folder.collect(json!({ "from": { "csv": "a.csv" } })).unwrap();
    let out = tempfile::tempdir().unwrap();
    write(&made.table, &out.path().join("data"), 1).unwrap();
    assert!(fs::read(out.path().join("data")).unwrap() == first.0, "as if the rows had never been there");
}

#[test]
fn cells_that_cannot_be_read_become_missing() {
    let folder = Folder::new();
    folder.put("a.csv", b"id,x,name\n1,1.5,a\n2,oops,b\n3,2.5\n5,4.5,\xff\n6,5.5,f\n7,6.5,g\n8,7,h\n9,8,i\n");
    let made = read(&folder, params(json!({ "csv": "a.csv" }), "fill", &[("x", "float64")]));
    assert_eq!(rows(&made.table)[1..5], ["1|1.5|a", "2||b", "3|2.5|", "5|4.5|"]);
    assert_eq!((made.counts.filled, made.counts.touched, codes(&made)), (3, 3, vec!["data::filled"]));
    assert_eq!(told(&made.warnings[0]), ("data::filled", Some(3)));
    // What is too much cannot be filled.
    folder.put("a.csv", MIXED);
    let fault = one(folder.collect(params(json!({ "csv": "a.csv" }), "fill", &[])));
    assert_eq!(told(&fault), ("data::malformed_row", Some(5)));
    assert!(fault.help.unwrap().contains("on_error: reject"));
}

#[test]
fn too_much_and_what_destroys_the_rest_still_fail() {
    let folder = Folder::new();
    folder.put("half.csv", b"a,b\n1,x\n2,y\n3,z\n4,5\n");
    for on_error in ["reject", "fill"] {
        let fault = one(folder.collect(params(json!({ "csv": "half.csv" }), on_error, &[("b", "int64")])));
        assert_eq!(told(&fault), ("data::too_many_rejected", Some(2)), "{on_error}");
        assert!(fault.message.starts_with("3 of 4 rows"), "{}", fault.message);
    }
    folder.put("all.csv", b"a,b\n1\n2\n");
    assert_eq!(one(folder.collect(params(json!({ "csv": "all.csv" }), "reject", &[]))).code, "data::too_many_rejected");
    folder.put("open.csv", b"a,b\n1,2\n3,4\n5,\"6\n");
    assert_eq!(
        told(&one(folder.collect(params(json!({ "csv": "open.csv" }), "reject", &[])))),
        ("data::malformed_row", Some(4))
    );
}

#[test]
fn lines_that_are_no_json() {
    let folder = Folder::new();
    let text = b"{\"a\": 1, \"b\": \"x\"}\n{\"a\": 2, \n{\"a\": [3], \"b\": \"y\"}\n{\"a\": 4, \"a\": 5}\n{\"a\": \"six\", \"b\": \"z\"}\n{\"a\": 7}\n{\"a\": 8}\n{\"a\": 9}\n{\"a\": 10}\n";
    folder.put("a.jsonl", text);
    let made = read(&folder, params(json!({ "jsonl": "a.jsonl" }), "reject", &[("a", "int64")]));
    assert_eq!(rows(&made.table), ["a:int64|b:string", "1|x", "7|", "8|", "9|", "10|"]);
    let lines: Vec<String> =
        rows(&made.rejected)[1..].iter().map(|row| row.splitn(4, '|').take(3).collect::<Vec<_>>().join("|")).collect();
    assert_eq!(lines, ["a.jsonl|2|2", "a.jsonl|3|3", "a.jsonl|4|4", "a.jsonl|5|5"]);
    let filled = String::from_utf8(text.to_vec()).unwrap().replace("{\"a\": 2, \n", "");
    folder.put("a.jsonl", filled.as_bytes());
    let made = read(&folder, params(json!({ "jsonl": "a.jsonl" }), "fill", &[("a", "int64")]));
    assert_eq!(rows(&made.table)[1..5], ["1|x", "|y", "|", "|z"]);
    assert_eq!(made.counts.filled, 3);
}

#[test]
fn no_digit_is_lost_in_silence() {
    let folder = Folder::new();
    let fine = TimestampNanosecondArray::from(vec![1_000, 2_000, 3_001, 4_000]);
    let large =
        Decimal128Array::from(vec![1, 12_345_678_901_234_567_891, 3, 4]).with_precision_and_scale(38, 0).unwrap();
    let short = Decimal128Array::from(vec![1, 2, 3, 4]).with_precision_and_scale(10, 0).unwrap();
    folder.put("at.parquet", &parquet(vec![("at", Arc::new(fine))]));
    folder.put("x.parquet", &parquet(vec![("x", Arc::new(large)), ("n", Arc::new(short))]));
    let (at, x) = (json!({ "parquet": "at.parquet" }), json!({ "parquet": "x.parquet" }));
    let fault = one(folder.collect(params(at.clone(), "fail", &[])));
    assert_eq!(told(&fault), ("data::cell", Some(3)));
    assert!(fault.message.contains("row 3 of column `at`") && fault.help.unwrap().contains("dtype: string"));
    let fault = one(folder.collect(params(x.clone(), "fail", &[])));
    assert_eq!(told(&fault), ("data::cell", Some(2)));
    assert!(fault.message.contains("`12345678901234567891` in row 2 of column `x`"), "{}", fault.message);

    assert_eq!(
        rows(&read(&folder, params(at.clone(), "fail", &[("at", "string")])).table)[3],
        "1970-01-01T00:00:00.000003001"
    );
    assert_eq!(rows(&read(&folder, params(at.clone(), "fail", &[("at", "datetime")])).table).len(), 5);
    assert_eq!(rows(&read(&folder, params(at, "reject", &[])).table).len(), 4);
    assert_eq!(
        rows(&read(&folder, params(x.clone(), "fail", &[("x", "string")])).table),
        ["x:string|n:int64", "1|1", "12345678901234567891|2", "3|3", "4|4"]
    );
    let filled = read(&folder, params(x, "fill", &[]));
    assert_eq!(rows(&filled.table), ["x:float64|n:int64", "1.0|1", "|2", "3.0|3", "4.0|4"]);

    folder.put("a.jsonl", b"{\"x\": 123456789012345678901234567890}\n{\"x\": 1}\n");
    assert_eq!(
        rows(&read(&folder, json!({ "from": { "jsonl": "a.jsonl" } })).table),
        ["x:string", "123456789012345678901234567890", "1"]
    );
    folder.put("a.csv", b"x,y\n1.5,1.5\n12345678901234567891,9007199254740992\n");
    assert_eq!(rows(&read(&folder, json!({ "from": { "csv": "a.csv" } })).table)[0], "x:string|y:float64");
}

#[test]
fn stated_types_of_other_formats_leave_rows_out_as_well() {
    let folder = Folder::new();
    let texts = StringArray::from(vec!["1", "two", "3", "4", "5"]);
    folder.put("a.parquet", &parquet(vec![("n", Arc::new(texts))]));
    let mut wanted = params(json!({ "parquet": "a.parquet" }), "reject", &[("n", "int64")]);
    wanted["provenance"] = json!(true);
    let made = read(&folder, wanted);
    assert_eq!(rows(&made.table)[1..], ["1|a.parquet|1", "3|a.parquet|3", "4|a.parquet|4", "5|a.parquet|5"]);
    assert_eq!(made.counts.rejected, 1);
    assert!(rows(&made.rejected)[1].ends_with("{\"n\":\"two\"}"), "{:?}", rows(&made.rejected));
    let made = read(&folder, params(json!({ "parquet": "a.parquet" }), "fill", &[("n", "int64")]));
    assert_eq!(rows(&made.table)[1..], ["1", "", "3", "4", "5"]);
}

#[test]
fn broken_images_are_left_out_or_handed_on_as_they_are() {
    let folder = Folder::new();
    let mut lying = png((1, 1), 3);
    lying[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    folder.put("i/cat/a.png", b"no image").put("i/cat/b.png", &png((1, 1), 3));
    folder.put("i/dog/c.png", &lying).put("i/dog/d.png", &png((1, 1), 9)).put("i/dog/e.png", &png((1, 1), 5));
    let from = |more: Value| {
        let mut options = json!({ "path": "i", "mode": "grey" });
        options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "images": options })
    };
    assert_eq!(one(folder.collect(params(from(json!({})), "fail", &[]))).code, "data::damaged_image");
    let mut wanted = params(from(json!({})), "reject", &[]);
    wanted["provenance"] = json!(true);
    let made = read(&folder, wanted);
    assert_eq!(
        rows(&made.table)[1..],
        ["[3]|cat|cat/b.png|i/cat/b.png|1", "[9]|dog|dog/d.png|i/dog/d.png|1", "[5]|dog|dog/e.png|i/dog/e.png|1"],
        "each row keeps its own file"
    );
    let left_out = rows(&made.rejected);
    assert!(left_out[1].starts_with("i/cat/a.png|||`i/cat/a.png` cannot be read as an image"), "{left_out:?}");
    assert!(left_out[2].starts_with("i/dog/c.png|||"), "{left_out:?}");
    let bytes = read(&folder, json!({ "from": from(json!({ "decode": false })) }));
    assert_eq!((bytes.table.rows(), rows(&bytes.table)[0].as_str()), (5, "image:binary|label:string|file:string"));
    folder.put("l.csv", b"file,y\ncat/a.png,1\ncat/b.png,2\nno.png,3\ndog/d.png,4\ndog/e.png,5\ncat/b.png,6\n");
    let made = read(&folder, params(from(json!({ "labels": "l.csv" })), "reject", &[]));
    assert_eq!(rows(&made.table)[1..], ["[3]|cat/b.png|2", "[9]|dog/d.png|4", "[5]|dog/e.png|5", "[3]|cat/b.png|6"]);
    assert_eq!(made.counts.rejected, 2);
    let refused = folder.collect(params(from(json!({})), "fill", &[])).map(|_| ()).unwrap_err();
    assert_eq!(refused[0].code, "collect::fill_images");

    let cells: Vec<Option<&[u8]>> = vec![Some(b"no image"), None];
    let good = png((1, 1), 7);
    let cells: Vec<Option<&[u8]>> = cells.into_iter().chain([Some(good.as_slice()); 3]).collect();
    let image = StructArray::try_from(vec![
        ("bytes", Arc::new(BinaryArray::from(cells)) as ArrayRef),
        ("path", Arc::new(StringArray::from(vec![None::<&str>; 5]))),
    ]);
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c", "d", "e"]));
    folder.put("h.parquet", &parquet(vec![("image", Arc::new(image.unwrap())), ("id", ids)]));
    let hub = |more: Value| {
        let mut options = json!({ "path": "h.parquet", "mode": "grey" });
        options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "parquet": options })
    };
    let fault = one(folder.collect(params(hub(json!({})), "fail", &[])));
    assert_eq!(fault.message.matches('`').count() % 2, 0, "{}", fault.message);
    let made = read(&folder, params(hub(json!({})), "reject", &[]));
    assert_eq!(rows(&made.table), ["image:uint8|id:string", "[7]|c", "[7]|d", "[7]|e"]);
    assert!(rows(&made.rejected)[2].contains("|2||the image in row 2 of column `image`"), "{:?}", rows(&made.rejected));
    let bytes = read(&folder, json!({ "from": hub(json!({ "decode": false })) }));
    assert_eq!((bytes.table.rows(), rows(&bytes.table)[0].as_str()), (5, "image:binary|id:string"));
}

#[test]
fn texts_that_are_none() {
    let folder = Folder::new();
    folder.put("t/a.txt", b"caf\xe9").put("t/b.txt", b"ok").put("t/c.md", b"fine");
    let made = read(&folder, params(json!({ "texts": "t" }), "reject", &[]));
    assert_eq!(rows(&made.table)[1..], ["ok|b.txt", "fine|c.md"]);
    let made = read(&folder, params(json!({ "texts": "t" }), "fill", &[]));
    assert_eq!(rows(&made.table)[1..], ["|a.txt", "ok|b.txt", "fine|c.md"]);
}

#[test]
fn files_that_are_not_read_are_named() {
    let folder = Folder::new();
    let image = png((1, 1), 3);
    folder.put("i/a.png", &image).put("i/b.gif", b"GIF89a").put("i/Thumbs.db", b"x").put("i/.DS_Store", b"x");
    let made = read(&folder, json!({ "from": { "images": "i" } }));
    assert_eq!(codes(&made), ["data::files_not_read"]);
    assert!(made.warnings[0].message.contains("`b.gif`"), "{}", made.warnings[0].message);
    folder.put("i.zip", &zip(&[("i/a.png", &image), ("i/b.webp", b"x"), ("__MACOSX/a.png", b"x")]));
    let made = read(&folder, json!({ "from": { "images": "i.zip" } }));
    assert!(made.warnings[0].message.contains("`i/b.webp`"), "{}", made.warnings[0].message);
    folder.put("t/a.txt", b"x").put("t/b.html", b"x").put("t/c.html", b"x");
    let made = read(&folder, json!({ "from": { "texts": "t" } }));
    assert!(made.warnings[0].message.starts_with("2 files in `t` are not read: `b.html`, `c.html`"));
}

#[test]
fn a_folder_is_all_its_files() {
    let folder = Folder::new();
    let file = |n: i64| parquet(vec![("n", Arc::new(arrow::array::Int64Array::from(vec![n])))]);
    folder
        .put("d/y=2/part-10.parquet", &file(3))
        .put("d/y=2/part-2.parquet", &file(2))
        .put("d/y=1/p.parquet", &file(1));
    folder.put("d/README.md", b"x");
    let made = read(&folder, json!({ "from": { "parquet": "d" } }));
    assert_eq!(rows(&made.table), ["n:int64|y:int64", "1|1", "2|2", "3|2"]);
    assert_eq!(codes(&made), ["data::files_not_read"]);
    let names = ["test-00000-of-00001", "train-00000-of-00002", "train-00001-of-00002"];
    for (n, name) in names.iter().enumerate() {
        folder.put(&format!("h/data/{name}.parquet"), &file(n as i64));
    }
    let made = read(&folder, json!({ "from": { "parquet": "h" } }));
    assert_eq!(rows(&made.table), ["n:int64|split:string", "0|test", "1|train", "2|train"]);
    folder.put("c/a.csv", b"a\n1\n").put("c/deep/b.csv", b"a\n2\n");
    assert_eq!(rows(&read(&folder, json!({ "from": { "csv": "c" } })).table), ["a:int64", "1", "2"]);
    let fault = folder.fault(json!({ "from": { "parquet": "c" } }));
    assert!(fault.code == "data::empty" && fault.message.contains("a.csv"), "{fault:?}");
}

#[test]
fn spellings_of_pandas_and_unmarked_utf_16() {
    let folder = Folder::new();
    folder.put("a.csv", b"x,day\n1.5,2026-01-31\nn/a,None\n#N/A,<NA>\n2.5,Null\n");
    assert_eq!(
        rows(&read(&folder, json!({ "from": { "csv": "a.csv" } })).table),
        ["x:float64|day:date", "1.5|2026-01-31", "|", "|", "2.5|"]
    );
    let own = json!({ "from": { "csv": { "path": "a.csv", "missing": ["NA"] } } });
    assert_eq!(rows(&read(&folder, own).table)[0], "x:string|day:string");
    let wide: Vec<u8> = "a,b\n1,2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    folder.put("w.csv", &wide);
    let fault = folder.fault(json!({ "from": { "csv": "w.csv" } }));
    assert!(fault.code == "data::encoding" && fault.message.contains("UTF-16"), "{fault:?}");
    let stated = json!({ "from": { "csv": { "path": "w.csv", "encoding": "utf-16le" } } });
    assert_eq!(rows(&read(&folder, stated).table), ["a:int64|b:int64", "1|2"]);
}

#[test]
fn units_stay_with_their_column() {
    let folder = Folder::new();
    folder.put("a.csv", b"d,e\n1,2\n3,4\n");
    let made = read(&folder, json!({ "from": { "csv": "a.csv" }, "columns": { "d": { "unit": "mile" } } }));
    let out = tempfile::tempdir().unwrap();
    write(&made.table, &out.path().join("data"), 1).unwrap();
    let table = stages_data::table::dataset::open(&out.path().join("data")).unwrap();
    assert_eq!(table.columns[0].unit.as_deref(), Some("mile"));
    let steps = json!({ "steps": [
        { "rename": { "d": "distance" } },
        { "filter": "distance > 0" },
        { "cast": { "distance": "float64" } },
        { "derive": { "e": "e + 1", "km": "distance * 1.6" } },
    ] });
    let typed = serde_json::from_value(steps).unwrap();
    let made = super::steps::over(&typed, table, Default::default(), None).unwrap();
    let units: Vec<Option<&str>> = made.table.columns.iter().map(|column| column.unit.as_deref()).collect();
    assert_eq!(units, [Some("mile"), None, None]);
}
