//! Binary formats, several files, compression, and what is broken in them.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Date64Array, Decimal128Array, DictionaryArray, DurationSecondArray,
    FixedSizeListArray, Float32Array, Float64Array, Int8Array, Int32Array, Int64Array, LargeStringArray, RecordBatch,
    StringArray, StringViewArray, TimestampNanosecondArray, UInt8Array,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use catalog::kinds::collect::params::Collect;
use contract::artifact::{DType, DatasetType};
use contract::fault::{Fault, Faults};
use contract::worker::Channel;
use contract::worker::protocol::InputFile;
use serde_json::{Value, json};
use stages_data::kinds::collect::{collect, infer};
use stages_data::read::bytes::Limits;
use stages_data::table::dataset::Table;
use stages_data::table::writer::write;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, bytes: &[u8]) -> InputFile {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        InputFile { role: "data".into(), path, shown: name.into() }
    }
}

fn limits() -> Limits {
    Limits { threads: 2, ..Limits::default() }
}

fn params(from: Value, columns: Value) -> Collect {
    serde_json::from_value(json!({ "from": from, "columns": columns })).unwrap()
}

/// Collects, writes, and checks that inferring says the same.
fn read_with(format: &str, files: &[InputFile], columns: Value) -> Result<(Table, DatasetType), Faults> {
    let from = match format {
        "idx" => json!({ "idx": { "images": "i", "labels": "l" } }),
        "images" => json!({ "images": "folder" }),
        _ => json!({ format: "x" }),
    };
    let params = params(from, columns);
    let table = collect(&params, files, &limits(), &Channel::silent())?;
    let folder = tempfile::tempdir().unwrap();
    let made = write(&table, &folder.path().join("data"), 2).unwrap();
    assert_eq!(infer(&params, files, &limits()).unwrap(), made, "what is inferred is what is made");
    Ok((table, made))
}

fn read(format: &str, files: &[InputFile]) -> Result<(Table, DatasetType), Faults> {
    read_with(format, files, json!({}))
}

fn types(made: &DatasetType) -> Vec<String> {
    made.columns.as_ref().unwrap().iter().map(|column| format!("{}: {}", column.name, column.type_name())).collect()
}

fn one(outcome: Result<(Table, DatasetType), Faults>) -> Fault {
    let faults = outcome.map(|(_, made)| made).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    let fault = faults.into_vec().remove(0);
    assert!(fault.help.is_some(), "{fault:?}");
    fault
}

fn parquet(batch: &RecordBatch) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn foreign() -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("i8", Arc::new(Int8Array::from(vec![Some(1), None, Some(-3)]))),
        ("text", Arc::new(LargeStringArray::from(vec!["a", "b", "a"]))),
        ("view", Arc::new(StringViewArray::from(vec![Some("x"), None, Some("z")]))),
        ("dictionary", Arc::new(vec!["p", "q", "p"].into_iter().collect::<DictionaryArray<Int32Type>>())),
        ("decimal", Arc::new(Decimal128Array::from(vec![150, 225, -5]).with_precision_and_scale(10, 2).unwrap())),
        ("flag", Arc::new(BooleanArray::from(vec![true, false, true]))),
        ("day", Arc::new(Date64Array::from(vec![0, 86_400_000, 86_400_000]))),
        ("at", Arc::new(TimestampNanosecondArray::from(vec![0, 1_000_000_000, 1_500_000_000]).with_timezone("+02:00"))),
        (
            "vector",
            Arc::new(FixedSizeListArray::new(
                Arc::new(Field::new("item", DataType::Float64, true)),
                2,
                Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])),
                None,
            )),
        ),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

const FOREIGN: [&str; 9] = [
    "i8: int8?",
    "text: string",
    "view: string?",
    "dictionary: string",
    "decimal: float64",
    "flag: bool",
    "day: date",
    "at: datetime",
    "vector: float32[2]",
];

#[test]
fn parquet_types_become_ours() {
    let folder = Folder::new();
    let (table, made) = read("parquet", &[folder.file("a.parquet", &parquet(&foreign()))]).unwrap();
    assert_eq!(types(&made), FOREIGN);
    let rows = &table.batches[0];
    assert_eq!(rows.column(4).as_ref(), &Float64Array::from(vec![1.5, 2.25, -0.05]));
    assert_eq!(
        rows.column(8).as_fixed_size_list().values().as_ref(),
        &Float32Array::from(vec![1., 2., 3., 4., 5., 6.])
    );
}

#[test]
fn broken_parquet_files_are_named_with_what_to_do() {
    let folder = Folder::new();
    let whole = parquet(&foreign());
    let mut garbled = whole.clone();
    let middle = whole.len() - 60;
    garbled[middle..middle + 40].fill(0xff);
    for (name, bytes, why) in [
        ("cut.parquet", &whole[..whole.len() / 2], "its end is missing"),
        ("foreign.parquet", b"a,b\n1,2\n".as_slice(), "it does not start as Parquet files do"),
        ("empty.parquet", b"".as_slice(), "it is empty"),
        ("garbled.parquet", garbled.as_slice(), ""),
    ] {
        let fault = one(read("parquet", &[folder.file(name, bytes)]));
        assert_eq!(fault.code, "data::damaged_parquet", "{name}");
        assert_eq!(fault.place.unwrap().file, name);
        assert!(fault.message.contains(why), "{}", fault.message);
    }
    let gone = InputFile { role: "data".into(), path: folder.0.path().join("gone"), shown: "data/gone".into() };
    assert_eq!(one(read("parquet", &[gone])).code, "data::unreadable");
}

#[test]
fn types_without_a_counterpart_are_refused_by_name() {
    let folder = Folder::new();
    let spans: ArrayRef = Arc::new(DurationSecondArray::from(vec![1]));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let batch = RecordBatch::try_from_iter([("n", numbers), ("span", spans)]).unwrap();
    let fault = one(read("parquet", &[folder.file("a.parquet", &parquet(&batch))]));
    assert_eq!(fault.code, "data::unsupported_type");
    assert_eq!(fault.place.unwrap().column, Some(2));
    let holes = FixedSizeListArray::new(
        Arc::new(Field::new("item", DataType::Float32, true)),
        2,
        Arc::new(Float32Array::from(vec![Some(1.0), Some(2.0), None, Some(4.0)])),
        None,
    );
    let batch = RecordBatch::try_from_iter([("v", Arc::new(holes) as ArrayRef)]).unwrap();
    let fault = one(read("arrow", &[folder.file("a.arrow", &arrow_file(&batch))]));
    assert_eq!(fault.code, "data::cell");
    assert!(fault.message.contains("row 2 of column `v`"), "{}", fault.message);
}

#[test]
fn a_file_of_columns_without_rows_is_empty() {
    let folder = Folder::new();
    let none = foreign().slice(0, 0);
    assert_eq!(one(read("parquet", &[folder.file("a.parquet", &parquet(&none))])).code, "data::empty");
    assert_eq!(one(read("arrow", &[folder.file("a.arrow", &arrow_file(&none))])).code, "data::empty");
}

fn arrow_file(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = arrow::ipc::writer::FileWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.finish().unwrap();
    writer.into_inner().unwrap()
}

fn arrow_stream(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = arrow::ipc::writer::StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.finish().unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn arrow_files_and_streams_are_told_apart() {
    let folder = Folder::new();
    for (name, bytes) in [("a.arrow", arrow_file(&foreign())), ("a.arrows", arrow_stream(&foreign()))] {
        let (_, made) = read("arrow", &[folder.file(name, &bytes)]).unwrap();
        assert_eq!(types(&made), FOREIGN, "{name}");
        let fault = one(read("arrow", &[folder.file(name, &bytes[..bytes.len() / 2])]));
        assert_eq!(fault.code, "data::damaged_arrow", "{name}");
    }
    let fault = one(read("arrow", &[folder.file("x.arrow", b"something else entirely")]));
    assert_eq!(fault.code, "data::damaged_arrow");
}

#[test]
fn our_own_data_sets_keep_roles_and_shapes() {
    let folder = Folder::new();
    let images = folder.file("i", &idx(0x08, &[2, 2, 3], &[7; 12]));
    let labels = InputFile { role: "labels".into(), ..folder.file("l", &idx(0x08, &[2], &[1, 0])) };
    let (table, _) = read_with("idx", &[images, labels], json!({ "label": { "role": "target" } })).unwrap();
    let path = folder.0.path().join("ours.arrow");
    let made = write(&table, &path, 1).unwrap();
    let ours = InputFile { role: "data".into(), path, shown: "ours.arrow".into() };
    assert_eq!(read("arrow", &[ours]).unwrap().1, made);
}

fn idx(kind: u8, dims: &[u32], elements: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, kind, dims.len() as u8];
    dims.iter().for_each(|dim| bytes.extend(dim.to_be_bytes()));
    bytes.extend(elements);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn idx_images_and_labels() {
    let folder = Folder::new();
    let pixels: Vec<u8> = (0..12).collect();
    let images = folder.file("images.gz", &gzip(&idx(0x08, &[2, 2, 3], &pixels)));
    let labels = InputFile { role: "labels".into(), ..folder.file("labels", &idx(0x08, &[2], &[9, 4])) };
    let (table, made) = read("idx", &[images.clone(), labels]).unwrap();
    assert_eq!(types(&made), ["image: uint8[1, 2, 3]", "label: int64"]);
    assert_eq!(made.column("label").unwrap().classes.as_ref().unwrap().values, ["4", "9"]);
    assert_eq!(table.batches[0].column(0).as_fixed_size_list().values().as_ref(), &UInt8Array::from(pixels));
    let floats: Vec<u8> = [0.5f32, -1.0, 2.0, 3.0].iter().flat_map(|value| value.to_be_bytes()).collect();
    let (table, made) = read("idx", &[folder.file("f", &idx(0x0d, &[2, 2], &floats))]).unwrap();
    assert_eq!(types(&made), ["image: float32[2]"]);
    let values = table.batches[0].column(0).as_fixed_size_list().values().clone();
    assert_eq!(values.as_ref(), &Float32Array::from(vec![0.5, -1.0, 2.0, 3.0]));
    let few = InputFile { role: "labels".into(), ..folder.file("few", &idx(0x08, &[1], &[9])) };
    let fault = one(read("idx", &[images, few]));
    assert_eq!(fault.code, "data::rows_differ");
}

#[test]
fn idx_headers_that_lie_are_found_out() {
    let folder = Folder::new();
    for (name, bytes, why) in [
        ("short", idx(0x08, &[3, 2, 2], &[1; 11]), "12 bytes, but 11 follow"),
        ("long", idx(0x08, &[1, 2, 2], &[1; 5]), "4 bytes, but 5 follow"),
        ("huge", idx(0x08, &[u32::MAX, u32::MAX, u32::MAX], &[1]), "more elements than any file can hold"),
        ("zero", idx(0x08, &[2, 0, 2], &[]), "one that is zero"),
        ("magic", b"\x89PNG\r\n".to_vec(), "does not start as IDX files do"),
        ("header", vec![0, 0, 8, 3, 0, 0], "ends inside its header"),
    ] {
        let fault = one(read("idx", &[folder.file(name, &bytes)]));
        assert_eq!(fault.code, "data::damaged_idx", "{name}");
        assert!(fault.message.contains(why), "{name}: {}", fault.message);
        assert_eq!(fault.place.unwrap().file, name);
    }
    assert_eq!(one(read("idx", &[folder.file("none", &idx(0x08, &[0, 2, 2], &[]))])).code, "data::empty");
}

fn png(width: u32, height: u32, colour: [u8; 3]) -> Vec<u8> {
    let image = image::RgbImage::from_pixel(width, height, image::Rgb(colour));
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn images(folder: &Path, options: Value) -> Result<(Table, DatasetType), Faults> {
    let mut options = options;
    options["path"] = json!("images");
    let params = params(json!({ "images": options }), json!({}));
    let files = [InputFile { role: "images".into(), path: folder.to_owned(), shown: "images".into() }];
    let table = collect(&params, &files, &limits(), &Channel::silent())?;
    let out = tempfile::tempdir().unwrap();
    let made = write(&table, &out.path().join("data"), 1).unwrap();
    let inferred = infer(&params, &files, &limits()).unwrap();
    assert_eq!(inferred.rows, made.rows);
    assert_eq!(inferred.column("label"), made.column("label"));
    assert_eq!(inferred.column("image"), made.column("image"));
    Ok((table, made))
}

#[test]
fn a_folder_of_images_has_a_folder_for_each_class() {
    let folder = Folder::new();
    folder.file("images/cat/10.png", &png(3, 2, [1, 2, 3]));
    folder.file("images/cat/9.png", &png(3, 2, [4, 5, 6]));
    folder.file("images/ant/1.PNG", &png(3, 2, [7, 8, 9]));
    folder.file("images/ant/notes.txt", b"not an image");
    folder.file("images/.hidden/1.png", b"junk");
    let root = folder.0.path().join("images");
    let (table, made) = images(&root, json!({})).unwrap();
    assert_eq!(types(&made), ["image: uint8[3, 2, 3]", "label: string", "file: string"]);
    assert_eq!(table.batches[0].column(1).as_ref(), &StringArray::from(vec!["ant", "cat", "cat"]));
    assert_eq!(table.batches[0].column(2).as_ref(), &StringArray::from(vec!["ant/1.PNG", "cat/9.png", "cat/10.png"]));
    let pixels = table.batches[0].column(0).as_fixed_size_list().value(1);
    let expected: Vec<u8> = [4, 5, 6].iter().flat_map(|value| [*value; 6]).collect();
    assert_eq!(pixels.as_ref(), &UInt8Array::from(expected), "channel by channel");
    let (_, grey) = images(&root, json!({ "mode": "grey", "size": [4, 4] })).unwrap();
    assert_eq!(types(&grey)[0], "image: uint8[1, 4, 4]");
}

#[test]
fn what_is_wrong_with_images_is_named() {
    let folder = Folder::new();
    let root = folder.0.path().join("images");
    fs::create_dir_all(&root).unwrap();
    assert_eq!(one(images(&root, json!({}))).code, "data::empty");
    folder.file("images/a/1.png", &png(3, 2, [0; 3]));
    let whole = png(3, 2, [9; 3]);
    folder.file("images/a/2.png", &whole[..whole.len() / 2]);
    folder.file("images/a/3.jpg", b"no image at all");
    folder.file("images/a/4.png", &png(5, 2, [0; 3]));
    let faults = images(&root, json!({})).map(|(_, made)| made).unwrap_err();
    let found: Vec<(&str, &str)> =
        faults.iter().map(|fault| (fault.code.as_str(), fault.place.as_ref().unwrap().file.as_str())).collect();
    assert_eq!(
        found,
        [
            ("data::damaged_image", "images/a/2.png"),
            ("data::damaged_image", "images/a/3.jpg"),
            ("data::sizes_differ", "images/a/4.png"),
        ]
    );
    folder.file("images/loose.png", &png(3, 2, [0; 3]));
    assert_eq!(one(images(&root, json!({}))).code, "data::no_class");
}

#[test]
fn an_image_that_claims_to_be_huge_is_not_unpacked() {
    // A header of 60,000 x 60,000 pixels, as in a decompression bomb.
    let mut bytes = png(3, 2, [0; 3]);
    bytes[16..20].copy_from_slice(&60_000u32.to_be_bytes());
    bytes[20..24].copy_from_slice(&60_000u32.to_be_bytes());
    let folder = Folder::new();
    folder.file("images/a/1.png", &bytes);
    assert_eq!(one(images(&folder.0.path().join("images"), json!({}))).code, "data::damaged_image");
}

#[test]
fn several_files_are_one_table_in_natural_order() {
    let folder = Folder::new();
    let files = [
        folder.file("part-10.csv", b"n,s\n3,c\n"),
        folder.file("part-2.csv", b"s,n\nb,2.5\n"),
        folder.file("part-1.csv.gz", &gzip(b"n,s\n1,a\n")),
    ];
    let (table, made) = read("csv", &files).unwrap();
    assert_eq!(types(&made), ["n: float64", "s: string"]);
    let numbers: Vec<f64> = table
        .pieces(0)
        .iter()
        .flat_map(|piece| piece.as_primitive::<arrow::datatypes::Float64Type>().values().to_vec())
        .collect();
    assert_eq!(numbers, [1.0, 2.5, 3.0]);
    let faults = read("csv", &[files[0].clone(), folder.file("part-11.csv", b"n,S,x\n1,a,b\n")]);
    let faults = faults.map(|(_, made)| made).unwrap_err();
    let codes: Vec<&str> = faults.iter().map(|fault| fault.code.as_str()).collect();
    assert_eq!(codes, ["data::columns_differ"; 3], "{faults:?}");
    assert!(faults.iter().all(|fault| fault.place.as_ref().unwrap().file == "part-11.csv"));
}

#[test]
fn parquet_files_are_widened_or_refused() {
    let folder = Folder::new();
    let batch = |array: ArrayRef| parquet(&RecordBatch::try_from_iter([("n", array)]).unwrap());
    let small = folder.file("1.parquet", &batch(Arc::new(Int32Array::from(vec![1]))));
    let large = folder.file("2.parquet", &batch(Arc::new(Int64Array::from(vec![2]))));
    let text = folder.file("3.parquet", &batch(Arc::new(StringArray::from(vec!["x"]))));
    let none = folder.file("4.parquet", &batch(Arc::new(arrow::array::NullArray::new(2))));
    let (_, made) = read("parquet", &[small.clone(), large.clone(), none]).unwrap();
    assert_eq!(types(&made), ["n: int64?"]);
    let fault = one(read("parquet", &[small, large, text]));
    assert_eq!(fault.code, "data::types_differ");
    assert_eq!(fault.place.unwrap().to_string(), "3.parquet:1");
}

#[test]
fn stated_types_apply_to_every_format() {
    let folder = Folder::new();
    let batch = RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(vec![7, 8])) as ArrayRef),
        ("x", Arc::new(Float64Array::from(vec![1.0, 2.5])) as ArrayRef),
    ])
    .unwrap();
    let file = folder.file("a.parquet", &parquet(&batch));
    let stated = json!({ "id": { "dtype": "string", "role": "id" } });
    let (_, made) = read_with("parquet", std::slice::from_ref(&file), stated).unwrap();
    assert_eq!(made.columns.unwrap()[0].dtype, DType::String);
    let fault = one(read_with("parquet", &[file], json!({ "x": { "dtype": "int64" } })));
    assert_eq!(fault.code, "data::cell");
    assert!(fault.message.contains("`2.5` in row 2 of column `x`"), "{}", fault.message);
}

#[test]
fn large_sources_are_sampled_and_say_what_they_do_not_know() {
    let folder = Folder::new();
    let path = folder.0.path().join("large.csv");
    let mut file = std::io::BufWriter::new(File::create(&path).unwrap());
    writeln!(file, "n,s").unwrap();
    let row = format!("1,{}\n", "x".repeat(1000));
    for _ in 0..70_000 {
        file.write_all(row.as_bytes()).unwrap();
    }
    writeln!(file, "late,x").unwrap();
    drop(file);
    let files = [InputFile { role: "data".into(), path, shown: "large.csv".into() }];
    let params = params(json!({ "csv": "large.csv" }), json!({}));
    let guessed = infer(&params, &files, &limits()).unwrap();
    assert_eq!((guessed.rows, types(&guessed)), (None, vec!["n: int64?".to_owned(), "s: string?".to_owned()]));
    assert!(guessed.columns.unwrap().iter().all(|column| column.classes.is_none()));
    let table = collect(&params, &files, &limits(), &Channel::silent()).unwrap();
    assert_eq!(table.rows(), 70_001);
    assert_eq!(table.columns[0].dtype, DType::String, "all rows decide when the stage runs");
}

#[test]
fn long_files_are_the_same_whatever_the_threads() {
    let folder = Folder::new();
    let mut text = String::from("id,quoted,late,sparse\n");
    for row in 0..120_000 {
        let late = if row == 110_000 { "1.5".to_owned() } else { row.to_string() };
        let sparse = if row % 7 == 0 { "NA" } else { "true" };
        text.push_str(&format!("{row},\"line {row}\nand, \"\"more\"\"\",{late},{sparse}\n"));
    }
    let file = folder.file("long.csv", text.as_bytes());
    let params = params(json!({ "csv": "long.csv" }), json!({}));
    let bytes = |threads: usize| {
        let limits = Limits { threads, ..Limits::default() };
        let table = collect(&params, std::slice::from_ref(&file), &limits, &Channel::silent()).unwrap();
        let out = folder.0.path().join("out");
        let made = write(&table, &out, threads).unwrap();
        assert_eq!(types(&made), ["id: int64", "quoted: string", "late: float64", "sparse: bool?"]);
        assert_eq!(made.rows, Some(120_000));
        fs::read(&out).unwrap()
    };
    let expected = bytes(1);
    assert!(bytes(2) == expected && bytes(5) == expected, "bytes depend on the number of threads");
    let broken = folder.file("broken.csv", text.replace("\n90000,", "\nx,y,z\n90000,").as_bytes());
    let faults = collect(&params, &[broken], &Limits { threads: 3, ..limits() }, &Channel::silent()).unwrap_err();
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].place.as_ref().unwrap().line, Some(2 + 2 * 90_000), "lines count across blocks");
}

#[test]
fn schema_metadata_of_others_does_no_harm() {
    let folder = Folder::new();
    let schema = Schema::new_with_metadata(
        vec![Field::new("n", DataType::Int64, false)],
        [("pipeline".to_owned(), "not ours".to_owned())].into(),
    );
    let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(Int64Array::from(vec![1]))]).unwrap();
    let (_, made) = read("arrow", &[folder.file("a.arrow", &arrow_file(&batch))]).unwrap();
    assert_eq!(types(&made), ["n: int64"]);
}
