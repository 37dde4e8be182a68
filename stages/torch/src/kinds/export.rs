//! The kind `export`: a model as a file other programs read, checked in an independent runtime before it is let out.

use catalog::kinds::export::params::{Export, Format};
use contract::artifact::{ArtifactKind, ArtifactType, DType};
use contract::fault::{Fault, Faults};
use contract::worker::Channel;
use contract::worker::protocol::{Finished, RunRequest};
use model::bundle::Bundle;
use model::export::writer::{Extent, Source, write};
use model::export::{check, encoders};
use model::file;
use model::int8::store::{Model, model};
use model::predict::{self, Predictions};
use model::room::Room;
use model::target::Scale;
use prost::Message;
use serde_json::json;
use tch::Device;

use crate::bundle::predictor;
use crate::fault::Outcome;
use crate::request::{decode, input, output};

/// Rows the file is checked with, fewer for networks that compute much.
const ROWS: u64 = 100;
/// Multiply-adds the check may cost.
const WORK: u64 = 2_000_000_000;
/// Largest difference of a probability, or of a number in standard deviations of the target.
const EXACT: f64 = 1e-4;
/// The same for 8-bit models, where a value on the edge between two steps may fall to either side...
const ROUNDED: f64 = 1e-2;
/// ... and the share of rows that may differ by more when their class is the same.
const AGREEMENT: f64 = 0.99;

/// Carries out a request.
///
/// # Errors
/// `model::damaged`, `export::mismatch`, and what the operating system refuses.
pub fn run(request: &RunRequest, channel: &Channel) -> Result<Finished, Faults> {
    let params: Export = decode(request)?;
    let input = input(request, "model")?;
    let output = output(request, "file")?;
    let bundle = Bundle::read(&input.path, "model")?;
    let mut finished = Finished {
        types: [("file".to_owned(), ArtifactType::Other(ArtifactKind::File))].into(),
        ..Finished::default()
    };
    let bytes = match params.format {
        Format::Safetensors => {
            let bytes = std::fs::read(&input.path).map_err(|error| {
                vec![Fault::error(
                    contract::code!("model::damaged"),
                    format!("the model at `model` cannot be read: {error}"),
                )]
            })?;
            channel.info("the bundle itself: weights, architecture and encoders in one safetensors file");
            bytes
        }
        Format::Onnx => {
            let (bytes, difference) = onnx(&bundle, &request.scratch, channel)?;
            finished.observations = json!({ "largest_difference": difference });
            bytes
        }
    };
    finished.summary.insert("bytes".to_owned(), bytes.len() as f64);
    file::write(output, &bytes)?;
    Ok(finished)
}

/// Writes and checks; gives the bytes and the largest difference to our own answers.
fn onnx(bundle: &Bundle, scratch: &std::path::Path, channel: &Channel) -> Result<(Vec<u8>, f64), Faults> {
    let description = &bundle.description;
    if let Some(fitted) = description.encoders.columns.iter().find(|fitted| fitted.column.dtype == DType::Binary) {
        return Err(Faults::from(vec![
            Fault::error(
                contract::code!("export::column"),
                format!("column `{}` is raw bytes, which ONNX has no type for", fitted.column.name),
            )
            .help("`pack` or decode it into a tensor column before training"),
        ]));
    }
    if let Some((fitted, name)) =
        description.encoders.columns.iter().find_map(|fitted| Some((fitted, encoders::unsupported(fitted)?)))
    {
        return Err(Faults::from(vec![
            Fault::error(
                contract::code!("export::encoder"),
                format!("column `{}` is encoded by `{name}`, which cannot be written as ONNX", fitted.column.name),
            )
            .help("`format: safetensors` keeps every encoder; ONNX has `identity`, `standard`, `robust`, `piecewise`, `periodic`, `one_hot` and `embedding`"),
        ]));
    }
    let model = model(bundle)?;
    let source = match &model {
        Model::Real(folded) => Source::Real(folded),
        Model::Whole(quantized) => Source::Whole(quantized),
    };
    let written = |extent| -> Outcome<Vec<u8>> {
        Ok(write(&source, &description.encoders, &description.target, extent)?.encode_to_vec())
    };
    let whole = written(Extent::Whole)?;
    let checked = written(Extent::Numbers)?;

    let rows = (WORK / description.network.operations().max(1)).clamp(4, ROWS) as usize;
    let data = check::made_up(&description.encoders, rows, 0, &scratch.join("rows.arrow"))?;
    let encoded = description.encoders.encode(&data, Room::memory())?;
    let ours = answers(bundle, encoded.values())?;
    let difference = compare(bundle, &model, &checked, &data, &ours)?;
    channel.info(format!("{rows} rows in another runtime: largest difference {difference:.1e}"));
    Ok((whole, difference))
}

fn compare(
    bundle: &Bundle,
    model: &Model,
    file: &[u8],
    data: &model::dataset::Dataset,
    ours: &Predictions,
) -> Outcome<f64> {
    let description = &bundle.description;
    let inputs = check::inputs(&description.encoders, data)?;
    let whole = matches!(model, Model::Whole(_));
    match ours {
        Predictions::Numbers(ours) => {
            let Scale::Number { deviation, .. } = &description.target.scale else {
                return Err(Fault::error(contract::code!("export::mismatch"), "a number was predicted for classes"));
            };
            let theirs = check::run(file, inputs, &["prediction"])?.remove("prediction").unwrap_or_default();
            let scaled = |values: &[f64]| values.iter().map(|value| value / deviation).collect::<Vec<f64>>();
            let limit = if whole { 5.0 * ROUNDED } else { EXACT };
            verdict(&scaled(ours), &scaled(&theirs), 1, |(left, right)| furthest(left, right) <= limit)
        }
        Predictions::Classes { probabilities, classes, .. } => {
            let theirs = check::run(file, inputs, &["probabilities"])?.remove("probabilities").unwrap_or_default();
            verdict(probabilities, &theirs, *classes, |(left, right)| {
                let difference = furthest(left, right);
                if whole { difference <= ROUNDED || best(left) == best(right) } else { difference <= EXACT }
            })
        }
    }
}

/// What our own runtime says of encoded rows.
fn answers(bundle: &Bundle, rows: &[f32]) -> Outcome<Predictions> {
    let predictor = predictor(bundle, Device::Cpu)?;
    Ok(predict::read(&predict::all(predictor.as_ref(), rows)?, &bundle.description.target))
}

/// The largest difference, when enough rows are near.
fn verdict(ours: &[f64], theirs: &[f64], width: usize, near: impl Fn((&[f64], &[f64])) -> bool) -> Outcome<f64> {
    let largest = furthest(ours, theirs);
    let rows = ours.len() / width.max(1);
    let agreeing = ours.chunks_exact(width).zip(theirs.chunks_exact(width)).filter(|rows| near(*rows)).count();
    if ours.len() != theirs.len() || (agreeing as f64) < AGREEMENT * rows as f64 {
        return Err(Fault::error(
            contract::code!("export::mismatch"),
            format!(
                "an independent runtime gives other answers for the exported file: {} of {rows} rows differ, by at most {largest:.1e}",
                rows - agreeing
            ),
        )
        .help("the file was not written. This is a mistake in `pipeline`: please report it with the model's layers"));
    }
    Ok(largest)
}

/// The largest difference; infinite when one is not a number.
fn furthest(left: &[f64], right: &[f64]) -> f64 {
    let differences = left.iter().zip(right).map(|(left, right)| (left - right).abs());
    differences
        .fold(0.0, |largest, difference| if difference.is_nan() { f64::INFINITY } else { largest.max(difference) })
}

fn best(values: &[f64]) -> Option<usize> {
    (0..values.len()).max_by(|left, right| values[*left].total_cmp(&values[*right]).then(right.cmp(left)))
}

#[cfg(test)]
mod tests;
