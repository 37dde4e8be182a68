//! Archives, arrays, folders, databases, encodings, and several sources as one.

use std::fs;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, Schema};
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

pub struct Folder(pub tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn put(&self, name: &str, bytes: &[u8]) -> &Self {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    /// Collects as the program would: the kind says which files there are, and inferring must say what is made.
    pub fn collect(&self, params: Value) -> Result<Collected, Faults> {
        self.collect_within(params, &Limits { threads: 2, ..Limits::default() })
    }

    pub fn collect_within(&self, params: Value, limits: &Limits) -> Result<Collected, Faults> {
        let stage = catalog::kinds::collect::CollectKind.stage(params)?;
        let typed: Collect = serde_json::from_value(stage.params()).unwrap();
        let mut files = Vec::new();
        for file in stage.files() {
            let mut names = vec![file.path.clone()];
            if file.glob {
                let (before, after) = file.path.split_once('*').unwrap();
                names = walk(self.0.path(), self.0.path());
                names.retain(|name| name.starts_with(before) && name.ends_with(after.rsplit('*').next().unwrap()));
                names.sort();
            }
            files.extend(names.into_iter().map(|name| InputFile {
                role: file.role.clone(),
                path: self.0.path().join(&name),
                shown: name,
            }));
        }
        let scratch = tempfile::tempdir().unwrap();
        let collected = gather(&typed, &files, limits, &Rooms { scratch: scratch.path() }, &Channel::silent())?;
        let out = tempfile::tempdir().unwrap();
        let made = write(&collected.table, &out.path().join("data"), 2).unwrap();
        assert_eq!(infer(&typed, &files, limits).unwrap(), made, "what is inferred is what is made");
        Ok(collected)
    }

    pub fn rows(&self, params: Value) -> Vec<String> {
        rows(&self.collect(params).unwrap_or_else(|faults| panic!("{faults:?}")).table)
    }

    pub fn fault(&self, params: Value) -> Fault {
        one(self.collect(params))
    }
}

pub fn one(outcome: Result<Collected, Faults>) -> Fault {
    let faults = outcome.map(|collected| rows(&collected.table)).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    let fault = faults.into_vec().remove(0);
    assert!(fault.help.is_some() && (fault.place.is_some() || fault.route.is_some()), "{fault:?}");
    fault
}

fn walk(folder: &std::path::Path, root: &std::path::Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names.extend(walk(&path, root));
        } else {
            names.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        }
    }
    names
}

/// The header with types, then the rows, cells between bars; a missing cell is empty.
pub fn rows(table: &Table) -> Vec<String> {
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

pub fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A tar archive with names as given, however bad they are.
pub fn tar(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

pub const FILE: tar::EntryType = tar::EntryType::Regular;

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn archives_are_read_like_the_files_in_them() {
    let folder = Folder::new();
    let parts: [(&str, &[u8]); 4] = [
        ("part-10.csv", b"a,b\n5,z\n"),
        ("readme.md", b"hello"),
        ("part-2.csv", b"a,b\n1,x\n2,y\n"),
        ("__MACOSX/part-2.csv", b"\0"),
    ];
    folder.put("a.zip", &zip(&parts));
    let entries: Vec<_> = parts.iter().map(|(name, bytes)| (*name, FILE, *bytes)).collect();
    let packed = tar(&entries);
    folder
        .put("a.tar", &packed)
        .put("a.tar.gz", &gzip(&packed))
        .put("a.bin", &zstd::encode_all(&packed[..], 3).unwrap());
    for name in ["a.zip", "a.tar", "a.tar.gz", "a.bin"] {
        assert_eq!(
            folder.rows(json!({ "from": { "csv": name } })),
            ["a:int64|b:string", "1|x", "2|y", "5|z"],
            "{name}"
        );
    }
    let inside = json!({ "from": { "csv": { "path": "a.zip", "inside": "*-10.csv" } }, "provenance": true });
    assert_eq!(
        folder.rows(inside),
        ["a:int64|b:string|source_file:string|source_row:int64", "5|z|a.zip/part-10.csv|1"]
    );
    let nothing = folder.fault(json!({ "from": { "parquet": "a.zip" } }));
    assert_eq!(nothing.code, "data::nothing_inside");
    assert!(nothing.help.unwrap().contains("`part-10.csv`"));
    let texts = zip(&[("news/sport/1.txt", b"goal".as_slice()), ("news/art/2.txt", "caf\u{e9}".as_bytes())]);
    folder.put("news.zip", &texts);
    assert_eq!(
        folder.rows(json!({ "from": { "texts": "news.zip" } })),
        ["text:string|label:string|file:string", "café|art|art/2.txt", "goal|sport|sport/1.txt"]
    );
}

#[test]
fn archives_cannot_harm() {
    let folder = Folder::new();
    let good: (&str, &[u8]) = ("good.csv", b"a\n1\n");
    for (index, name) in
        ["../evil.csv", "/etc/evil.csv", "a/../../evil.csv", "..\\evil.csv", "C:\\evil.csv"].iter().enumerate()
    {
        folder.put(&format!("{index}.zip"), &zip(&[good, (name, b"a\n1\n")]));
        folder.put(&format!("{index}.tar"), &tar(&[("good.csv", FILE, b"a\n1\n"), (name, FILE, b"a\n1\n")]));
        for archive in [format!("{index}.zip"), format!("{index}.tar")] {
            assert_eq!(folder.fault(json!({ "from": { "csv": archive } })).code, "data::unsafe_archive", "{name}");
        }
    }
    for kind in [tar::EntryType::Symlink, tar::EntryType::Link] {
        folder.put("link.tar", &tar(&[("link.csv", kind, b"")]));
        assert_eq!(folder.fault(json!({ "from": { "csv": "link.tar" } })).code, "data::unsafe_archive", "{kind:?}");
    }
    let twice = tar(&[("a.csv", FILE, b"a\n1\n"), ("a.csv", FILE, b"a\n2\n")]);
    assert_eq!(
        folder.put("twice.tar", &twice).fault(json!({ "from": { "csv": "twice.tar" } })).code,
        "data::unsafe_archive"
    );
    let whole = zip(&[good]);
    folder.put("cut.zip", &whole[..whole.len() - 10]);
    assert_eq!(folder.fault(json!({ "from": { "csv": "cut.zip" } })).code, "data::damaged_archive");
    // Bit 0 of the flags says that an entry is encrypted: in the local header and in the directory.
    let mut locked = whole.clone();
    locked[6] |= 1;
    let directory = locked.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    locked[directory + 8] |= 1;
    assert_eq!(
        folder.put("l.zip", &locked).fault(json!({ "from": { "csv": "l.zip" } })).code,
        "data::encrypted_archive"
    );
    let mut unknown = whole;
    unknown[8] = 14;
    unknown[directory + 10] = 14;
    assert_eq!(
        folder.put("u.zip", &unknown).fault(json!({ "from": { "csv": "u.zip" } })).code,
        "data::unsupported_archive"
    );
    let small = Limits { unpacked: 100_000, ..Limits::default() };
    let bomb = vec![b'1'; 1_000_000];
    folder.put("bomb.zip", &zip(&[("bomb.csv", &bomb)])).put("bomb.tar.gz", &gzip(&tar(&[("bomb.csv", FILE, &bomb)])));
    for name in ["bomb.zip", "bomb.tar.gz"] {
        let fault = one(folder.collect_within(json!({ "from": { "csv": name } }), &small));
        assert_eq!(fault.code, "data::too_large", "{name}");
    }
    assert!(!folder.0.path().join("evil.csv").exists() && !folder.0.path().parent().unwrap().join("evil.csv").exists());
}

fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

#[test]
fn arrays_of_numpy() {
    let folder = Folder::new();
    let floats: Vec<u8> = [1.5f32, 2.0, 3.0, 4.0, 5.0, 6.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let labels: Vec<u8> = [7i64, -1].iter().flat_map(|value| value.to_be_bytes()).collect();
    let x = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", &floats);
    let turned = npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }\n", &floats);
    let y = npy("{'descr': '>i8', 'fortran_order': False, 'shape': (2,), }\n", &labels);
    let words: Vec<u8> = ['a', 'ß', 'c', '\0'].iter().flat_map(|c| (*c as u32).to_le_bytes()).collect();
    let names = npy("{'descr': '<U2', 'fortran_order': False, 'shape': (2,), }\n", &words);
    folder.put("x.npy", &x).put("turned.npy", &turned).put("y.npy", &y);
    folder.put("xy.npz", &zip(&[("x.npy", &x), ("y.npy", &y), ("name.npy", &names)]));
    let from = json!({ "from": { "npy": { "path": "x.npy", "labels": "y.npy" } } });
    assert_eq!(folder.rows(from), ["value:float32|label:int64", "[1.5, 2.0, 3.0]|7", "[4.0, 5.0, 6.0]|-1"]);
    assert_eq!(folder.rows(json!({ "from": { "npy": "turned.npy" } }))[1..], ["[1.5, 3.0, 5.0]", "[2.0, 4.0, 6.0]"]);
    assert_eq!(folder.rows(json!({ "from": { "npy": ["y.npy", "y.npy"] } })), ["value:int64", "7", "-1", "7", "-1"]);
    let all = folder.rows(json!({ "from": { "npz": "xy.npz" } }));
    assert_eq!(all, ["name:string|x:float32|y:int64", "aß|[1.5, 2.0, 3.0]|7", "c|[4.0, 5.0, 6.0]|-1"]);
    let some = folder.rows(json!({ "from": { "npz": { "path": "xy.npz", "inside": "y" } } }));
    assert_eq!(some, ["y:int64", "7", "-1"]);
    for (name, bytes, code) in [
        (
            "object",
            npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"\x80\x04K\x01."),
            "data::unsupported_type",
        ),
        (
            "complex",
            npy("{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", &[0; 8]),
            "data::unsupported_type",
        ),
        (
            "records",
            npy("{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (1,), }", &[0; 4]),
            "data::unsupported_type",
        ),
        ("number", npy("{'descr': '<i4', 'fortran_order': False, 'shape': (), }", &[0; 4]), "data::unsupported_type"),
        ("code", npy("{'descr': __import__('os').system('true'), 'shape': (1,)}", b""), "data::damaged_npy"),
        (
            "lies",
            npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 100), }", &[0; 8]),
            "data::damaged_npy",
        ),
        (
            "overflow",
            npy("{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 8), }", &[0; 8]),
            "data::damaged_npy",
        ),
        ("short", x[..9].to_vec(), "data::damaged_npy"),
        ("cut", x[..x.len() - 1].to_vec(), "data::damaged_npy"),
        ("other", b"a,b\n".to_vec(), "data::damaged_npy"),
    ] {
        let name = format!("{name}.npy");
        assert_eq!(folder.put(&name, &bytes).fault(json!({ "from": { "npy": name } })).code, code);
    }
    assert_eq!(folder.fault(json!({ "from": { "npz": "x.npy" } })).code, "data::damaged_npy");
}

pub fn png(size: (u32, u32), value: u8) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let image = image::GrayImage::from_pixel(size.0, size.1, image::Luma([value]));
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

#[test]
fn images_with_a_file_of_labels() {
    let folder = Folder::new();
    folder.put("scans/a.png", &png((1, 1), 3)).put("scans/deep/b.png", &png((1, 1), 9));
    folder.put("labels.csv", b"file,age,kind\ndeep/b.png,40,cat\na.png,,dog\n");
    let from = |labels: Value| json!({ "from": { "images": { "path": "scans", "mode": "grey", "labels": labels } } });
    assert_eq!(
        folder.rows(from(json!("labels.csv"))),
        ["image:uint8|file:string|age:int64|kind:string", "[9]|deep/b.png|40|cat", "[3]|a.png||dog"]
    );
    folder.put("bad.csv", b"path\na.png\n../labels.csv\nno.png\n");
    assert_eq!(folder.fault(from(json!("bad.csv"))).code, "data::unknown_column");
    let faults = folder.collect(from(json!({ "path": "bad.csv", "file": "path" }))).map(|_| ()).unwrap_err();
    let lines: Vec<_> = faults.iter().map(|fault| (fault.code.as_str(), fault.place.as_ref().unwrap().line)).collect();
    assert_eq!(lines, [("data::missing_image", Some(3)), ("data::missing_image", Some(4))]);
    // A header that claims 60,000 × 60,000 pixels.
    let mut lying = png((1, 1), 3);
    lying[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    folder.put("scans/a.png", &lying);
    let fault = folder.fault(from(json!("labels.csv")));
    assert_eq!((fault.code.as_str(), fault.place.unwrap().file.as_str()), ("data::damaged_image", "scans/a.png"));
}

#[test]
fn parquet_of_the_hub() {
    let image = |bytes: Vec<Option<&[u8]>>| -> ArrayRef {
        let paths: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>; bytes.len()]));
        let bytes: ArrayRef = Arc::new(BinaryArray::from(bytes));
        Arc::new(StructArray::from(vec![
            (Arc::new(Field::new("bytes", DataType::Binary, true)), bytes),
            (Arc::new(Field::new("path", DataType::Utf8, true)), paths),
        ]))
    };
    let file = |images: ArrayRef, labels: Vec<i64>| {
        let about = r#"{"info": {"features": {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}"#;
        let fields =
            vec![Field::new("image", images.data_type().clone(), true), Field::new("label", DataType::Int64, true)];
        let schema = Schema::new_with_metadata(fields, [("huggingface".to_owned(), about.to_owned())].into());
        let batch = RecordBatch::try_new(Arc::new(schema), vec![images, Arc::new(Int64Array::from(labels))]).unwrap();
        let mut bytes = Vec::new();
        let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        bytes
    };
    let (one, two, wide) = (png((1, 1), 3), png((1, 1), 9), png((2, 1), 9));
    let folder = Folder::new();
    folder.put("data/train-0.parquet", &file(image(vec![Some(&one), Some(&two)]), vec![1, -1]));
    folder.put("data/train-1.parquet", &file(image(vec![Some(&two)]), vec![0]));
    let from = |name: &str| json!({ "from": { "parquet": { "path": name, "mode": "grey" } } });
    let found = folder.rows(from("data/train-*.parquet"));
    assert_eq!(found, ["image:uint8|label:string", "[3]|dog", "[9]|", "[9]|cat"]);
    folder.put("sizes.parquet", &file(image(vec![Some(&one), Some(&wide)]), vec![1, 1]));
    assert_eq!(folder.fault(from("sizes.parquet")).code, "data::sizes_differ");
    folder.put("none.parquet", &file(image(vec![Some(&one), None]), vec![1, 1]));
    assert_eq!(folder.fault(from("none.parquet")).code, "data::damaged_image");
    folder.put("label.parquet", &file(image(vec![Some(&one)]), vec![2]));
    assert_eq!(folder.fault(from("label.parquet")).code, "data::cell");
}

#[test]
fn folders_of_partitions() {
    let folder = Folder::new();
    folder
        .put("d/year=2023/city=S%C3%A3o/a.csv", b"n\n1\n")
        .put("d/year=2024/city=__HIVE_DEFAULT_PARTITION__/a.csv", b"n\n2\n3\n");
    assert_eq!(
        folder.rows(json!({ "from": { "csv": "d/*/*.csv" } })),
        ["n:int64|year:int64|city:string", "1|2023|São", "2|2024|", "3|2024|"]
    );
    folder.put("d/year=2024/city=x/a.csv", b"year\n2\n");
    assert_eq!(folder.fault(json!({ "from": { "csv": "d/year=2024/city=x/a.csv" } })).code, "data::duplicate_column");
    folder.put("e/a.csv", b"n\n1\n").put("e/k=1/a.csv", b"n\n1\n");
    assert_eq!(folder.fault(json!({ "from": { "csv": ["e/a.csv", "e/k=1/a.csv"] } })).code, "data::columns_differ");
    let keyed =
        |path: &str| catalog::kinds::collect::CollectKind.stage(json!({ "from": { "csv": path } })).unwrap().keyed();
    assert_ne!(keyed("d/year=2023/a.csv"), keyed("d/year=2024/a.csv"), "what becomes a column is keyed");
    assert_eq!(keyed("d/a.csv"), keyed("e/a.csv"));
}

#[test]
fn text_in_other_encodings() {
    let folder = Folder::new();
    let text = "name,n\nJosé,1\n";
    let wide = |mark: u16, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        [mark].into_iter().chain(text.encode_utf16()).flat_map(bytes).collect()
    };
    folder.put("le.csv", &wide(0xfeff, u16::to_le_bytes)).put("be.csv", &wide(0xfeff, u16::to_be_bytes));
    folder.put("bom.csv", &[b"\xef\xbb\xbf", text.as_bytes()].concat()).put("latin.csv", b"name,n\nJos\xe9,1\n");
    for name in ["le.csv", "be.csv", "bom.csv"] {
        assert_eq!(folder.rows(json!({ "from": { "csv": name } })), ["name:string|n:int64", "José|1"], "{name}");
    }
    let stated = json!({ "from": { "csv": { "path": "latin.csv", "encoding": "latin-1" } } });
    assert_eq!(folder.rows(stated), ["name:string|n:int64", "José|1"]);
    let fault = folder.fault(json!({ "from": { "csv": "latin.csv" } }));
    assert_eq!((fault.code.as_str(), fault.place.unwrap().line), ("data::encoding", Some(2)));
    assert!(fault.help.unwrap().contains("encoding: latin-1"));
    let mut cut = wide(0xfeff, u16::to_le_bytes);
    cut.pop();
    folder.put("cut.csv", &cut);
    assert_eq!(folder.fault(json!({ "from": { "csv": "cut.csv" } })).code, "data::encoding");
    let unknown = json!({ "from": { "csv": { "path": "latin.csv", "encoding": "klingon" } } });
    assert_eq!(folder.fault(unknown).code, "data::unknown_encoding");
}

#[test]
fn sqlite_by_query() {
    let folder = Folder::new();
    let path = folder.0.path().join("lab ?#%.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "create table t (n integer, x, word text, raw blob);
             insert into t values (1, 1, 'a', x'00ff'), (2, 2.5, null, null), (null, 3, 'ç', x'');
             create table mixed (v); insert into mixed values (1), ('two');
             create table odd (v, w); insert into odd values (1, 'a'), ('two', 'b'), (3, 'c'), (4, 'd');",
        )
        .unwrap();
    drop(connection);
    let before = fs::read(&path).unwrap();
    let from = |query: &str| json!({ "from": { "sqlite": { "path": "lab ?#%.db", "query": query } } });
    assert_eq!(
        folder.rows(from("select * from t order by rowid")),
        ["n:int64|x:float64|word:string|raw:binary", "1|1.0|a|00ff", "2|2.5||", "|3.0|ç|"]
    );
    for (query, code) in [
        ("select * from nowhere", "data::bad_query"),
        ("delete from t", "data::bad_query"),
        ("create table u (a)", "data::bad_query"),
        ("select 1 as a, 2 as a", "data::duplicate_column"),
        ("select v from mixed", "data::types_differ"),
        ("select * from t where n > 5", "data::empty"),
    ] {
        assert_eq!(folder.fault(from(query)).code, code, "{query}");
    }
    let mixed = |options: serde_json::Value| {
        let mut asked = from("select * from odd order by rowid");
        asked.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        asked
    };
    let rejected = folder.collect(mixed(json!({ "on_error": "reject", "provenance": true }))).unwrap();
    assert_eq!(
        rows(&rejected.table)[1..],
        ["1|a|lab ?#%.db|1", "3|c|lab ?#%.db|3", "4|d|lab ?#%.db|4"],
        "the others keep their numbers"
    );
    let filled = mixed(json!({ "on_error": "fill" }));
    assert_eq!(folder.rows(filled), ["v:int64|w:string", "1|a", "|b", "3|c", "4|d"]);
    let stated = mixed(json!({ "columns": { "v": { "dtype": "string" } } }));
    assert_eq!(folder.rows(stated), ["v:string|w:string", "1|a", "two|b", "3|c", "4|d"]);
    let numbers = mixed(json!({ "columns": { "v": { "dtype": "float64" } }, "on_error": "reject" }));
    assert_eq!(folder.rows(numbers), ["v:float64|w:string", "1.0|a", "3.0|c", "4.0|d"]);
    assert_eq!(fs::read(&path).unwrap(), before, "nothing is written");
    assert_eq!(fs::read_dir(folder.0.path()).unwrap().count(), 1, "nor beside it");
    let waiting = rusqlite::Connection::open(&path).unwrap();
    waiting.execute_batch("pragma journal_mode = wal; insert into t values (9, 9, '', null);").unwrap();
    assert_eq!(
        folder.fault(from("select * from t")).code,
        "data::database_busy",
        "what is not in the file is not in the key"
    );
    drop(waiting);
    folder.put("no.db", b"this is not a database, but it is long enough to look at");
    let no = json!({ "from": { "sqlite": { "path": "no.db", "query": "select 1 as a" } } });
    let no_table = json!({ "from": { "sqlite": { "path": "no.db", "query": "select * from t" } } });
    assert!(folder.collect(no).is_ok() || folder.fault(no_table.clone()).code == "data::damaged_database");
    assert_eq!(folder.fault(no_table).code, "data::damaged_database");
}

#[test]
fn several_sources_below_each_other() {
    let folder = Folder::new();
    folder.put("a.csv", b"id,x,when\n1,1,2024-01-01\n").put("b.jsonl", b"{\"x\": 2.5, \"id\": 2, \"note\": \"n\"}\n");
    let both = json!({ "from": { "concat": [{ "csv": "a.csv" }, { "jsonl": "b.jsonl" }] }, "provenance": true });
    let collected = folder.collect(both).unwrap();
    assert_eq!(
        rows(&collected.table),
        [
            "id:int64|x:float64|when:date|source_file:string|source_row:int64|note:string",
            "1|1.0|2024-01-01|a.csv|1|",
            "2|2.5||b.jsonl|1|n"
        ]
    );
    let said: Vec<_> = collected.warnings.iter().map(|fault| fault.message.as_str()).collect();
    assert_eq!(
        said,
        [
            "`a.csv` has no column `note`: its 1 rows are missing there",
            "`b.jsonl` has no column `when`: its 1 rows are missing there"
        ]
    );
    folder.put("c.jsonl", b"{\"id\": true}\n");
    let fault = folder.fault(json!({ "from": { "concat": [{ "csv": "a.csv" }, { "jsonl": "c.jsonl" }] } }));
    assert_eq!(fault.code, "data::types_differ");
    assert!(fault.message.contains("`c.jsonl`") && fault.message.contains("`a.csv`"), "{}", fault.message);
}

#[test]
fn several_sources_beside_each_other() {
    let folder = Folder::new();
    folder.put("people.csv", b"id,name\n1,a\n2,b\n,c\n4,d\n");
    folder.put("visits.jsonl", b"{\"id\": 2, \"day\": \"2024-01-02\"}\n{\"id\": 1, \"day\": \"2024-01-01\"}\n{\"id\": 2, \"day\": \"2024-01-03\"}\n{\"id\": 9, \"day\": \"2024-01-09\"}\n");
    let join = |how: &str, on: &str| json!({ "from": { "join": { "sources": [{ "csv": "people.csv" }, { "jsonl": "visits.jsonl" }], "on": on, "how": how } } });
    let inner = ["id:int64|name:string|day:date", "1|a|2024-01-01", "2|b|2024-01-02", "2|b|2024-01-03"];
    assert_eq!(folder.rows(join("inner", "id")), inner);
    let left = [&inner[..], &["|c|", "4|d|"]].concat();
    assert_eq!(folder.rows(join("left", "id")), left);
    assert_eq!(folder.rows(join("full", "id")), [&left[..], &["9||2024-01-09"]].concat());
    let codes: Vec<String> =
        folder.collect(join("left", "name")).map(|_| ()).unwrap_err().into_iter().map(|fault| fault.code).collect();
    assert_eq!(codes, ["data::unknown_column", "data::duplicate_column"]);
}
