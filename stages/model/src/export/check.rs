//! Runs an ONNX file in tract, a runtime that shares no code with ours, on rows made up to look like the training data.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, FixedSizeListArray, Float32Array, Float64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType as Arrow, Field, Schema, TimeUnit};
use arrow::error::ArrowError;
use arrow::ipc::writer::FileWriter;
use contract::artifact::{Column, DType, DatasetType};
use contract::fault::Fault;
use tract_onnx::prelude::*;

use super::encoders::input_type;
use crate::dataset::Dataset;
use crate::encode::encoder::{Likeness, Vocabulary};
use crate::encode::{Encoders, Fitted};
use crate::fault::Outcome;
use crate::onnx::messages::DataType;
use crate::random::{Purpose, Random};

/// Made-up rows of raw columns, written as a data set and read back as every data set is.
///
/// Numbers are spread over mean ± 2 deviations, categories over the values seen and one that was not, and a tenth of the cells
/// is missing where training had missing cells.
///
/// # Errors
/// When the file cannot be written.
pub fn made_up(encoders: &Encoders, rows: usize, seed: u64, path: &Path) -> Outcome<Dataset> {
    let mut random = Random::new(seed, Purpose::Compress);
    let failed = |error: &ArrowError| {
        Fault::error(contract::code!("export::rows"), format!("rows to check with cannot be made: {error}"))
    };
    let mut fields = Vec::new();
    let mut arrays = Vec::new();
    for fitted in &encoders.columns {
        let array = cells(fitted, rows, &mut random).map_err(|error| failed(&error))?;
        fields.push(Field::new(&fitted.column.name, array.data_type().clone(), true));
        arrays.push(array);
    }
    let columns: Vec<Column> = encoders.columns.iter().map(|fitted| fitted.column.clone()).collect();
    let description = DatasetType { columns: Some(columns), rows: Some(rows as u64), ..DatasetType::default() };
    let json = serde_json::to_string(&description).map_err(|error| {
        Fault::error(contract::code!("export::rows"), format!("rows to check with cannot be made: {error}"))
    })?;
    let schema = Schema::new_with_metadata(fields, [("pipeline".to_owned(), json)].into());
    let file = File::create(path).map_err(|error| {
        Fault::error(contract::code!("export::rows"), format!("rows to check with cannot be written: {error}"))
    })?;
    let write = || -> Result<(), ArrowError> {
        let batch = RecordBatch::try_new(Arc::new(schema), arrays)?;
        let mut writer = FileWriter::try_new(file, &batch.schema())?;
        writer.write(&batch)?;
        writer.finish()
    };
    write().map_err(|error| failed(&error))?;
    Dataset::open(path, "made-up rows")
}

fn cells(fitted: &Fitted, rows: usize, random: &mut Random) -> Result<ArrayRef, ArrowError> {
    let column = &fitted.column;
    if !column.shape.is_empty() {
        return tensor_cells(fitted, rows, random);
    }
    if let Some(Vocabulary { values, indicator }) = fitted.encoder().vocabulary() {
        let texts: Vec<Option<String>> = (0..rows)
            .map(|_| {
                let choice = random.below(values.len() as u32 + 2) as usize;
                match values.get(choice) {
                    Some(value) => Some(value.clone()),
                    None if choice == values.len() && indicator => None,
                    // A value that training did not see, where the type has one that is easy to write.
                    None if column.dtype == DType::String => Some("never seen".to_owned()),
                    None => values.first().cloned(),
                }
            })
            .collect();
        return cast(&StringArray::from(texts), &arrow_type(column.dtype));
    }
    let Likeness { mean, deviation, indicator } = fitted.encoder().likeness();
    let (mean, deviation) = (mean[0], deviation[0]);
    let whole = !column.dtype.is_float();
    let lowest = if matches!(column.dtype, DType::UInt8 | DType::UInt16 | DType::UInt32 | DType::UInt64) {
        0.0
    } else {
        f64::MIN
    };
    let values: Vec<Option<f64>> = (0..rows)
        .map(|_| {
            let value = (mean + deviation * 4.0 * (f64::from(random.unit()) - 0.5)).max(lowest);
            let value = if whole { value.round() } else { value };
            (!(indicator && random.below(10) == 0)).then_some(value)
        })
        .collect();
    match column.dtype {
        DType::Bool => {
            let values: Vec<Option<bool>> = values.into_iter().map(|value| value.map(|value| value > mean)).collect();
            Ok(Arc::new(arrow::array::BooleanArray::from(values)))
        }
        DType::Date => cast(&cast(&Float64Array::from(values), &Arrow::Int32)?, &Arrow::Date32),
        DType::Datetime => {
            let micros: Float64Array = values.into_iter().map(|value| value.map(|value| value * 1e6)).collect();
            cast(&cast(&micros, &Arrow::Int64)?, &arrow_type(DType::Datetime))
        }
        dtype => cast(&Float64Array::from(values), &arrow_type(dtype)),
    }
}

fn tensor_cells(fitted: &Fitted, rows: usize, random: &mut Random) -> Result<ArrayRef, ArrowError> {
    let cell = fitted.column.shape.iter().product::<u64>() as usize;
    let Likeness { mean, deviation, .. } = fitted.encoder().likeness();
    let run = cell / mean.len().max(1);
    let bytes = fitted.column.dtype == DType::UInt8;
    let values: Vec<f32> = (0..rows * cell)
        .map(|place| {
            let group = (place % cell / run.max(1)).min(mean.len() - 1);
            let value = mean[group] + deviation[group] * 4.0 * (f64::from(random.unit()) - 0.5);
            if bytes { value.round().clamp(0.0, 255.0) as f32 } else { value as f32 }
        })
        .collect();
    let values: ArrayRef = Arc::new(Float32Array::from(values));
    let values = if bytes { cast(&values, &Arrow::UInt8)? } else { values };
    let item = Arc::new(Field::new("item", values.data_type().clone(), false));
    Ok(Arc::new(FixedSizeListArray::try_new(item, cell as i32, values, None)?))
}

fn arrow_type(dtype: DType) -> Arrow {
    match dtype {
        DType::Bool => Arrow::Boolean,
        DType::Int8 => Arrow::Int8,
        DType::Int16 => Arrow::Int16,
        DType::Int32 => Arrow::Int32,
        DType::Int64 => Arrow::Int64,
        DType::UInt8 => Arrow::UInt8,
        DType::UInt16 => Arrow::UInt16,
        DType::UInt32 => Arrow::UInt32,
        DType::UInt64 => Arrow::UInt64,
        DType::Float32 => Arrow::Float32,
        DType::Float64 => Arrow::Float64,
        DType::String => Arrow::Utf8,
        DType::Date => Arrow::Date32,
        DType::Datetime => Arrow::Timestamp(TimeUnit::Microsecond, None),
        DType::Binary => Arrow::Binary,
    }
}

/// The answers of a file: by output name, numbers in row-major order. Text outputs are left out.
pub type Answers = BTreeMap<String, Vec<f64>>;

/// Runs a file on a data set, or on encoded rows alone.
///
/// # Errors
/// `export::mismatch` when the runtime does not understand the file.
pub fn run(bytes: &[u8], inputs: Vec<Tensor>, outputs: &[&str]) -> Outcome<Answers> {
    let refused = |error: TractError| {
        let text = format!("{error:#}");
        let first = text.lines().next().unwrap_or_default().to_owned();
        Fault::error(contract::code!("export::mismatch"), format!("an independent runtime cannot run the exported file: {first}"))
            .help("this is a mistake in `pipeline`: please report it with the model's layers; `format: safetensors` works meanwhile")
    };
    let attempt = || -> TractResult<Answers> {
        let mut model = tract_onnx::onnx().model_for_read(&mut &*bytes)?;
        for (index, input) in inputs.iter().enumerate() {
            let fact = InferenceFact::dt_shape(input.datum_type(), input.shape());
            model.set_input_fact(index, fact)?;
        }
        let model = model.into_optimized()?.into_runnable()?;
        let found = model.run(inputs.into_iter().map(IntoTValue::into_tvalue).collect())?;
        let mut answers = Answers::new();
        for (name, value) in outputs.iter().zip(found) {
            if value.datum_type() != String::datum_type() {
                let value = value.cast_to::<f64>()?;
                answers.insert((*name).to_owned(), value.to_plain_array_view::<f64>()?.iter().copied().collect());
            }
        }
        Ok(answers)
    };
    attempt().map_err(refused)
}

/// The columns of a data set as a graph's inputs, in the order of the encoders.
///
/// # Errors
/// When a column is not what the encoders say.
pub fn inputs(encoders: &Encoders, data: &Dataset) -> Outcome<Vec<Tensor>> {
    encoders.columns.iter().map(|fitted| input(fitted, data)).collect()
}

fn input(fitted: &Fitted, data: &Dataset) -> Outcome<Tensor> {
    let (name, rows) = (&fitted.column.name, data.rows());
    let shaped = |tensor: TractResult<Tensor>| {
        tensor.map_err(|error| {
            Fault::error(contract::code!("export::rows"), format!("rows to check with cannot be made: {error}"))
        })
    };
    match input_type(fitted) {
        DataType::Float => {
            let packed = data.packed(name)?;
            shaped(Tensor::from_shape(packed.size(), packed.values()))
        }
        DataType::Double => shaped(Tensor::from_shape(&[rows, 1], &data.numbers(name)?.values)),
        DataType::Bool => {
            let flags: Vec<bool> = data.numbers(name)?.values.iter().map(|value| *value > 0.0).collect();
            shaped(Tensor::from_shape(&[rows, 1], &flags))
        }
        _ => {
            let texts: Vec<String> = data.texts(name)?.into_iter().map(Option::unwrap_or_default).collect();
            shaped(tensor1(&texts).into_shape(&[rows, 1]))
        }
    }
}
