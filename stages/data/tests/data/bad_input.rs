//! What arrives from the world: too wide, too long, mixed up, made to harm. Each is named with its row and column, and nothing is
//! dropped in silence.

use std::fs;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow::util::display::array_value_to_string;
use catalog::kinds::collect::params::Collect;
use contract::fault::{Fault, Faults};
use contract::kind::Kind;
use contract::worker::Channel;
use contract::worker::protocol::InputFile;
use serde_json::{Value, json};
use stages_data::kinds::collect::{Collected, Rooms, gather, infer};
use stages_data::read::bytes::Limits;
use stages_data::table::dataset::Table;
use stages_data::table::writer::write;

/// Collects one file as `from` says, and checks that inferring says the same.
fn collect(params: &Value, name: &str, bytes: &[u8], limits: &Limits) -> Result<Collected, Faults> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    let stage = catalog::kinds::collect::CollectKind.stage(params.clone())?;
    let typed: Collect = serde_json::from_value(stage.params()).unwrap();
    let files = [InputFile { role: "data".into(), path, shown: name.into() }];
    let scratch = tempfile::tempdir().unwrap();
    let collected = gather(&typed, &files, limits, &Rooms { scratch: scratch.path() }, &Channel::silent())?;
    if typed.annotators.is_none() {
        let made = write(&collected.table, &scratch.path().join("data"), 2).unwrap();
        assert_eq!(infer(&typed, &files, limits).unwrap(), made, "what is inferred is what is made");
    }
    Ok(collected)
}

fn csv(text: impl AsRef<[u8]>) -> Result<Collected, Faults> {
    collect(&json!({ "from": { "csv": "a.csv" } }), "a.csv", text.as_ref(), &Limits::default())
}

fn one(outcome: Result<Collected, Faults>) -> Fault {
    let faults = outcome.map(|collected| shown(&collected.table)).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    let fault = faults.into_vec().remove(0);
    assert!(fault.help.is_some() && (fault.place.is_some() || fault.route.is_some()), "{fault:?}");
    fault
}

/// Code, line and column of a fault.
fn at(fault: &Fault) -> (&str, Option<u64>, Option<u64>) {
    let place = fault.place.as_ref().unwrap();
    (fault.code.as_str(), place.line, place.column)
}

/// Names with types, then rows.
fn shown(table: &Table) -> Vec<String> {
    let names: Vec<String> =
        table.columns.iter().map(|column| format!("{}:{}", column.name, column.dtype.name())).collect();
    let mut lines = vec![names.join("|")];
    for batch in &table.batches {
        for row in 0..batch.num_rows() {
            let cells: Vec<String> =
                batch.columns().iter().map(|array| array_value_to_string(array, row).unwrap()).collect();
            lines.push(cells.join("|"));
        }
    }
    lines
}

#[test]
fn a_million_columns_are_refused_at_once_and_very_many_are_read() {
    let header: String = (0..1_000_000).map(|column| format!("c{column},")).collect();
    let fault = one(csv(format!("{}last\n1,2\n", header)));
    assert_eq!(at(&fault), ("data::too_wide", Some(1), None));
    let without = json!({ "from": { "csv": { "path": "a.csv", "header": false } } });
    let fault = one(collect(&without, "a.csv", "1,".repeat(1_000_000).as_bytes(), &Limits::default()));
    assert_eq!(fault.code, "data::too_wide");
    let keys: String = (0..70_000).map(|row| format!("{{\"k{row}\": 1}}\n")).collect();
    let lines = json!({ "from": { "jsonl": "a.jsonl" } });
    assert_eq!(one(collect(&lines, "a.jsonl", keys.as_bytes(), &Limits::default())).code, "data::too_wide");
    let wide = 5000;
    let names: Vec<String> = (0..wide).map(|column| format!("c{column}")).collect();
    let cells: Vec<String> = (0..wide).map(|column| column.to_string()).collect();
    let read = csv(format!("{}\n{}\n", names.join(","), cells.join(","))).unwrap();
    assert_eq!((read.table.columns.len(), read.table.rows()), (wide, 1));
}

#[test]
fn a_field_that_goes_on_and_on_is_bounded() {
    // A gigabyte takes its time; the bound is the same code, set lower.
    let limits = Limits { record: 1 << 20, ..Limits::default() };
    let long = "x".repeat(8 << 20);
    let params = json!({ "from": { "csv": "a.csv" } });
    for text in [format!("a,b\n1,2\n3,{long}\n"), format!("a,b\n1,2\n3,\"{long}\"\n"), format!("a,b\n1,2\n3,\"{long}")]
    {
        let faults = collect(&params, "a.csv", text.as_bytes(), &limits).map(|_| ()).unwrap_err();
        let last = faults.last().unwrap();
        assert_eq!(
            (last.code.as_str(), last.place.as_ref().unwrap().line),
            ("data::malformed_row", Some(3)),
            "{faults:?}"
        );
        assert!(faults.iter().any(|fault| fault.message.contains("more than 1 MiB")), "{faults:?}");
        assert!(faults.iter().all(|fault| fault.message.len() < 300), "the field itself is not the message");
    }
    let lines = json!({ "from": { "jsonl": "a.jsonl" } });
    let fault = one(collect(&lines, "a.jsonl", format!("{{\"a\": 1}}\n{{\"a\": \"{long}\"}}\n").as_bytes(), &limits));
    assert_eq!(at(&fault), ("data::malformed_row", Some(2), None));
    // What is long and within the bound is read.
    assert_eq!(csv(format!("a,b\n1,{long}\n")).unwrap().table.rows(), 1);
}

#[test]
fn encodings_that_are_mixed_are_named_where_they_change() {
    let mixed = [b"a,b\n1,caf\xc3\xa9\n2,".as_slice(), b"caf\xe9\n"].concat();
    assert_eq!(at(&one(csv(&mixed))), ("data::encoding", Some(3), Some(6)));
    // A byte order mark of UTF-16, and then bytes that are none.
    let broken = [
        b"\xff\xfe".as_slice(),
        "a,b\n1,x\n2,".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>().as_slice(),
        b"\x00\xd8\n\x00",
    ]
    .concat();
    let fault = one(csv(&broken));
    assert_eq!((fault.code.as_str(), fault.place.unwrap().line), ("data::encoding", Some(3)));
    // One mark is enough; a second file without it is read as it is.
    let marked = [b"\xef\xbb\xbf".as_slice(), "a,b\n1,é\n".as_bytes()].concat();
    assert_eq!(shown(&csv(&marked).unwrap().table), ["a:int64|b:string", "1|é"]);
}

#[test]
fn spellings_of_nothing_and_of_no_number() {
    let text = "a,b,c\n1.5,x,1\nNaN,NA,N/A\ninf,,\n-Infinity,null,NULL\n,?,nan\n";
    assert_eq!(
        shown(&csv(text).unwrap().table),
        ["a:float64|b:string|c:int64", "1.5|x|1", "||", "inf||", "-inf||", "||"],
        "NaN is a spelling of missing unless it is told otherwise"
    );
    let own = json!({ "from": { "csv": { "path": "a.csv", "missing": ["-"] } } });
    let read = collect(&own, "a.csv", b"a,b\n1.5,-\nNaN,NA\n-,x\n", &Limits::default()).unwrap();
    assert_eq!(shown(&read.table), ["a:float64|b:string", "1.5|", "NaN|NA", "|x"]);
    // A spelling nobody declared makes a column text, or a fault where a number was stated.
    let stated = json!({ "from": { "csv": "a.csv" }, "columns": { "a": { "dtype": "float64" } } });
    let fault = one(collect(&stated, "a.csv", b"a,b\n1.5,x\nnone,y\n", &Limits::default()));
    assert_eq!(at(&fault), ("data::cell", Some(3), Some(1)));
    assert!(fault.message.contains("`none` in column `a`"), "{}", fault.message);
}

#[test]
fn dates_in_five_formats_are_read_or_kept_and_never_guessed() {
    let text = "iso,time,zone,german,american\n\
                2026-01-31,2026-01-31T05:00:00,2026-01-31T05:00:00+02:00,31.01.2026,01/31/2026\n\
                2026-02-01,2026-02-01 06:30,2026-02-01T00:00:00Z,01.02.2026,02/01/2026\n";
    assert_eq!(
        shown(&csv(text).unwrap().table),
        [
            "iso:date|time:datetime|zone:datetime|german:string|american:string",
            "2026-01-31|2026-01-31T05:00:00|2026-01-31T03:00:00|31.01.2026|01/31/2026",
            "2026-02-01|2026-02-01T06:30:00|2026-02-01T00:00:00|01.02.2026|02/01/2026",
        ]
    );
    // In one column they are text; where a date is stated, each that is none is named.
    let mixed = "day\n2026-01-31\n31.01.2026\n01/31/2026\n2026-02-30\n20260131\n";
    assert_eq!(shown(&csv(mixed).unwrap().table)[0], "day:string");
    let stated = json!({ "from": { "csv": "a.csv" }, "columns": { "day": { "dtype": "date" } } });
    let faults = collect(&stated, "a.csv", mixed.as_bytes(), &Limits::default()).map(|_| ()).unwrap_err();
    let lines: Vec<_> = faults.iter().map(at).collect();
    assert_eq!(lines, [3, 4, 5, 6].map(|line| ("data::cell", Some(line), Some(1))));
}

#[test]
fn a_parquet_packed_in_an_unknown_way_is_named() {
    let columns: Vec<(&str, ArrayRef)> = vec![("value", Arc::new(Int64Array::from(vec![1, 2, 3])))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    // In the footer: the path (one name), then the field `codec`, whose 0 is "not packed" (parquet.thrift, ColumnMetaData).
    let path = [b"\x19\x18\x05value\x15".as_slice(), b"\x00"].concat();
    let found = bytes.windows(path.len()).position(|window| window == path).expect("the column's metadata");
    let params = json!({ "from": { "parquet": "a.parquet" } });
    // LZO, which nobody writes any more, and a number that no codec has (zigzag).
    for codec in [6, 40] {
        bytes[found + path.len() - 1] = codec;
        let fault = one(collect(&params, "a.parquet", &bytes, &Limits::default()));
        assert_eq!((fault.code.as_str(), fault.place.unwrap().file.as_str()), ("data::unsupported_codec", "a.parquet"));
    }
}

#[test]
fn labels_that_are_fractions_are_no_labels() {
    let params = json!({ "from": { "csv": "a.csv" }, "annotators": { "columns": "rater_*", "item": "id" } });
    let read = |text: &str| collect(&params, "a.csv", text.as_bytes(), &Limits::default());
    let fault = one(read("id,rater_a,rater_b\n1,1,2.0\n2,0,2.5\n"));
    assert_eq!(fault.code, "data::not_a_label");
    assert!(fault.message.contains("`2.5` in row 2 of column `rater_b`"), "{}", fault.message);
    // Whole numbers that came as floats are labels; so are words among numbers, and yes and no.
    let labels = read("id,rater_a,rater_b\n1,1,2.0\n2,,0.0\n").unwrap().labels.unwrap();
    assert_eq!(
        shown(&labels),
        ["item:int64|label:int64|annotator:string", "1|1|rater_a", "1|2|rater_b", "2|0|rater_b"]
    );
    let labels = read("id,rater_a,rater_b\nx,1,yes\ny,2,no\n").unwrap().labels.unwrap();
    assert_eq!(shown(&labels)[1..], ["x|1|rater_a", "x|yes|rater_b", "y|2|rater_a", "y|no|rater_b"]);
    assert_eq!(one(read("id,rater_a\n1,\n2,\n")).code, "data::no_labels");
    let fault = one(read("id,rater_a\n1,a\n1,b\n"));
    assert_eq!(fault.code, "data::duplicate_item");
    assert!(fault.message.contains("rows 1 and 2"), "{}", fault.message);
    assert_eq!(one(read("id,rater_a\n,a\n1,b\n")).code, "data::cell");
    // Without an item, rows are known by their number.
    let params = json!({ "from": { "csv": "a.csv" }, "annotators": { "columns": ["a", "b"] } });
    let read = collect(&params, "a.csv", b"text,a,b\nhi,true,\nho,false,true\n", &Limits::default()).unwrap();
    assert_eq!(shown(&read.table), ["text:string", "hi", "ho"]);
    assert_eq!(
        shown(&read.labels.unwrap()),
        ["item:int64|label:bool|annotator:string", "1|true|a", "2|false|a", "2|true|b"]
    );
}

#[test]
fn images_and_arrays_that_lie_or_would_fill_the_memory() {
    // A PNG header that claims 60,000 × 60,000 pixels.
    let mut png = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR".to_vec();
    png.extend(60_000_u32.to_be_bytes());
    png.extend(60_000_u32.to_be_bytes());
    png.extend(b"\x08\x02\x00\x00\x00\x00\x00\x00\x00");
    let bytes: ArrayRef = Arc::new(arrow::array::BinaryArray::from_vec(vec![&png]));
    let path: ArrayRef = Arc::new(arrow::array::StringArray::from(vec!["a.png"]));
    let image = arrow::array::StructArray::try_from(vec![("bytes", bytes), ("path", path)]).unwrap();
    let columns: Vec<(&str, ArrayRef)> = vec![("image", Arc::new(image))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut file = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let params = json!({ "from": { "parquet": "a.parquet" } });
    assert_eq!(
        at(&one(collect(&params, "a.parquet", &file, &Limits::default()))),
        ("data::damaged_image", Some(1), None)
    );
    // Two small images of 16,000 × 16,000 when they are resized: more than one column of one data set holds.
    let lists = json!({ "from": { "parquet": { "path": "a.parquet", "size": [16000, 16000] } } });
    let fault = one(collect(&lists, "a.parquet", &many_images(4), &Limits::default()));
    assert_eq!(fault.code, "data::too_large");
    // A column of floats in a file of its own is what it is: no image.
    let numbers: Vec<(&str, ArrayRef)> = vec![("image", Arc::new(Float64Array::from(vec![1.5])))];
    let batch = RecordBatch::try_from_iter(numbers).unwrap();
    let mut file = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    assert_eq!(shown(&collect(&params, "a.parquet", &file, &Limits::default()).unwrap().table)[0], "image:float64");
}

/// A Parquet file with so many images of one pixel.
fn many_images(count: usize) -> Vec<u8> {
    let mut png = std::io::Cursor::new(Vec::new());
    image::DynamicImage::new_rgb8(1, 1).write_to(&mut png, image::ImageFormat::Png).unwrap();
    let png = png.into_inner();
    let bytes: ArrayRef = Arc::new(arrow::array::BinaryArray::from_vec(vec![png.as_slice(); count]));
    let path: ArrayRef = Arc::new(arrow::array::StringArray::from(vec!["a.png"; count]));
    let image = arrow::array::StructArray::try_from(vec![("bytes", bytes), ("path", path)]).unwrap();
    let columns: Vec<(&str, ArrayRef)> = vec![("image", Arc::new(image))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut file = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    file
}
