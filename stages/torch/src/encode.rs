//! Encoders: raw columns to one tensor. Everything an encoder learns it learns from the training part, and it
//! travels inside the model.
//!
//! The longest file of the crate's middle: what is done to a cell, what is learnt of a column, and the target, which all
//! columns are learnt beside. The forms themselves are in the files below.

use std::collections::HashMap;

use catalog::columns::features::{Decision, Features, cyclic_width, too_many_to_embed};
use catalog::kinds::train::params::Encoder;
use catalog::network::Table;
use contract::artifact::{Classes, Column, DType, Task};
use contract::fault::Fault;
use contract::route;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::dataset::{Dataset, empty};
use crate::fault::Outcome;
use crate::random::{Purpose, Random};
use crate::raw::{self, Mapped, Sheet};
use crate::room::Room;

mod category;
mod date;
mod number;
mod text;

pub use category::{Answers, TargetMeans};
pub use number::{NumberForm, Spread, normal_quantile};
pub use text::TextForm;

/// All encoders of a model, in the order in which their encodings are joined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Encoders {
    /// At least one.
    pub columns: Vec<Fitted>,
}

/// One column with what its encoder learnt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    /// The raw column (without its list of values).
    pub column: Column,
    /// What is done to a cell.
    pub encoder: FittedEncoder,
}

/// What is done to a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FittedEncoder {
    /// As it is; missing is 0.
    Identity,
    /// (x − mean) / deviation, in float64, then rounded to float32.
    Standard {
        /// One for a scalar; for a tensor one a channel (rank 3), one for all (rank 2) or one an element (rank 1).
        mean: Vec<f64>,
        /// Population deviation (as scikit-learn's `StandardScaler`), 1 for a constant.
        deviation: Vec<f64>,
        /// Whether training had missing cells: then 1 where a cell is missing follows, else 0. A missing cell
        /// itself becomes 0, which is the mean.
        indicator: bool,
    },
    /// 1 at the place of the cell's value, else 0.
    OneHot {
        /// The values seen in training: numbers sorted numerically, text by its bytes. As
        /// [`Dataset::texts`] writes them.
        values: Vec<String>,
        /// Whether training had missing cells: then the last place is theirs.
        indicator: bool,
    },
    /// The index of a vector that the network holds, from 0 to below 2²⁴, which float32 holds exactly: 0 for a value never seen,
    /// then one for each value.
    Embedding {
        /// The values seen in training, in the order of [`FittedEncoder::OneHot`].
        values: Vec<String>,
        /// Whether training had missing cells: then the last index is theirs. Else they are as values never seen.
        indicator: bool,
        /// Length of the vectors.
        dimensions: u64,
    },
    /// A number in another form.
    Number {
        /// Which, with what was learnt.
        form: NumberForm,
        /// Whether training had missing cells: then the last place is theirs. A missing cell is 0 everywhere else.
        indicator: bool,
    },
    /// ±1 at a place chosen by hash.
    Hashed {
        /// Number of places.
        buckets: u32,
        /// Whether training had missing cells: then one place more is theirs.
        indicator: bool,
    },
    /// The mean of the target where the column has the cell's value.
    Target(TargetMeans),
    /// A date as points on circles.
    Cyclic {
        /// Of the training part, in the unit of the column (days, seconds).
        mean: f64,
        /// Population deviation, 1 for a constant.
        deviation: f64,
        /// Whether training had missing cells: then the last place is theirs.
        indicator: bool,
    },
    /// Counts of words or characters.
    Text(TextForm),
}

/// Encoded rows `[n, d]` or `[n, channels, height, width]`.
#[derive(Debug)]
pub enum Encoded {
    /// A tensor of its own, in memory or in a file.
    Owned(Sheet),
    /// The mapped file itself.
    Mapped(Mapped),
}

impl Encoded {
    /// The rows, float32, contiguous, on the CPU. Never to be written in place.
    pub fn tensor(&self) -> &Tensor {
        match self {
            Self::Owned(sheet) => sheet.tensor(),
            Self::Mapped(mapped) => mapped.tensor(),
        }
    }
}

impl Fitted {
    /// How many numbers one cell becomes.
    pub fn width(&self) -> u64 {
        match &self.encoder {
            FittedEncoder::Identity => self.column.shape.iter().product(),
            FittedEncoder::Standard { indicator, .. } => {
                self.column.shape.iter().product::<u64>() + u64::from(*indicator)
            }
            FittedEncoder::OneHot { values, indicator } => values.len() as u64 + u64::from(*indicator),
            FittedEncoder::Embedding { .. } => 1,
            FittedEncoder::Number { form, indicator } => form.width() as u64 + u64::from(*indicator),
            FittedEncoder::Hashed { buckets, indicator } => u64::from(*buckets) + u64::from(*indicator),
            FittedEncoder::Target(means) => means.width() as u64,
            FittedEncoder::Cyclic { indicator, .. } => cyclic_width(self.column.dtype) + u64::from(*indicator),
            FittedEncoder::Text(form) => form.weights.len() as u64,
        }
    }

    /// How many elements of a cell share one mean, in the order of the cell.
    fn run(&self) -> usize {
        match self.column.shape.as_slice() {
            [_, height, width] => (height * width) as usize,
            [height, width] => (height * width) as usize,
            _ => 1,
        }
    }
}

impl Encoders {
    /// Fits the decided encoders to the training part. Those that draw at random (frequencies, folds) follow the seed.
    ///
    /// # Errors
    /// All faults: an empty data set, a column that is not there, cells that are infinite.
    pub fn fit(features: &Features, data: &Dataset, target: &Target, seed: u64) -> Result<Self, Vec<Fault>> {
        if data.rows() == 0 {
            return Err(vec![empty(data.name())]);
        }
        let mut columns = Vec::new();
        let mut faults = Vec::new();
        let mut random = Random::new(seed, Purpose::Encoders);
        for decision in &features.columns {
            match fit(decision, data, target, seed, &mut random) {
                Ok(fitted) => columns.push(fitted),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(Self { columns }) } else { Err(faults) }
    }

    /// The only column, when it is an image that stays one: rank 3.
    fn image(&self) -> Option<&Fitted> {
        match self.columns.as_slice() {
            [one] if one.column.shape.len() == 3 => Some(one),
            _ => None,
        }
    }

    /// Shape of one encoded row.
    pub fn shape(&self) -> Vec<u64> {
        match self.image() {
            Some(image) => image.column.shape.clone(),
            None => vec![self.columns.iter().map(Fitted::width).sum()],
        }
    }

    /// The vectors that the network looks up for embedded columns, in order.
    pub fn tables(&self) -> Vec<Table> {
        let mut tables = Vec::new();
        let mut position = 0;
        for fitted in &self.columns {
            if let FittedEncoder::Embedding { values, indicator, dimensions } = &fitted.encoder {
                let values = values.len() as u64 + 1 + u64::from(*indicator);
                tables.push(Table { position, values, dimensions: *dimensions });
            }
            position += fitted.width();
        }
        tables
    }

    /// Whether an encoding of the rows they were fitted on tells a row its own answer ([`Encoders::encode_training`] does not).
    pub fn tell_answers(&self) -> bool {
        self.columns.iter().any(|fitted| matches!(fitted.encoder, FittedEncoder::Target(_)))
    }

    /// Which raw column an element of an encoded row comes from.
    pub fn source(&self, element: u64) -> Option<&str> {
        let mut start = 0;
        for fitted in &self.columns {
            start += fitted.width();
            if element < start {
                return Some(&fitted.column.name);
            }
        }
        None
    }

    /// Encodes a data set, once, up front.
    ///
    /// # Errors
    /// All faults: a column that is not there or has another form than in training, an infinite cell.
    pub fn encode(&self, data: &Dataset, room: Room<'_>) -> Result<Encoded, Vec<Fault>> {
        self.encode_as(data, None, room)
    }

    /// Encodes the very rows the encoders were fitted on, to learn from them: as [`Encoders::encode`], but a `target`
    /// encoding is taken from the folds a row is not in.
    ///
    /// # Errors
    /// As [`Encoders::encode`].
    pub fn encode_training(&self, data: &Dataset, target: &Target, room: Room<'_>) -> Result<Encoded, Vec<Fault>> {
        self.encode_as(data, Some(target), room)
    }

    fn encode_as(&self, data: &Dataset, training: Option<&Target>, room: Room<'_>) -> Result<Encoded, Vec<Fault>> {
        if let Some(image) = self.image() {
            return self.encode_image(image, data, room).map_err(|fault| vec![fault]);
        }
        let width = self.shape()[0] as usize;
        let mut sheet = room.zeros(&[data.rows() as i64, width as i64], Kind::Float).map_err(|fault| vec![fault])?;
        let mut faults: Vec<Option<Fault>> = vec![None; self.columns.len()];
        let mut encode = |rows: &Dataset, out: &mut [f32], whole: bool| {
            let mut offset = 0;
            for (fitted, fault) in self.columns.iter().zip(&mut faults) {
                // Folds are drawn over all rows at once.
                let folded = training.is_some() && matches!(fitted.encoder, FittedEncoder::Target(_));
                if fault.is_none() && folded == whole {
                    *fault = fitted.encode_into(rows, out, width, offset, training).err();
                }
                offset += fitted.width() as usize;
            }
        };
        // All columns of a few rows after each other: each page of a file is written once.
        let out = sheet.floats_mut();
        for block in data.blocks() {
            let from = (block.before() - data.before()) * width;
            encode(&block, &mut out[from..from + block.rows() * width], false);
        }
        encode(data, out, true);
        let faults: Vec<Fault> = faults.into_iter().flatten().collect();
        if faults.is_empty() { Ok(Encoded::Owned(sheet)) } else { Err(faults) }
    }

    fn encode_image(&self, image: &Fitted, data: &Dataset, room: Room<'_>) -> Outcome<Encoded> {
        let standard = match &image.encoder {
            FittedEncoder::Standard { mean, deviation, .. } => Some((mean, deviation)),
            _ => None,
        };
        let column = data.column(&image.column.name)?;
        if standard.is_none() && column.dtype == DType::Float32 {
            let mapped = image.packed(data)?;
            finite(&image.column.name, data, raw::floats(mapped.tensor()), image.width() as usize)?;
            return Ok(Encoded::Mapped(mapped));
        }
        let mut size = vec![data.rows() as i64];
        size.extend(image.column.shape.iter().map(|side| *side as i64));
        let cell = image.width() as usize;
        let mut sheet = room.zeros(&size, Kind::Float)?;
        let out = sheet.floats_mut();
        for block in data.blocks() {
            let mapped = image.packed(&block)?;
            let values = raw::floats(mapped.tensor());
            finite(&image.column.name, &block, values, cell)?;
            let from = (block.before() - data.before()) * cell;
            let out = &mut out[from..from + values.len()];
            match standard {
                Some((mean, deviation)) => standardise(values, out, mean, deviation, image.run()),
                None => out.copy_from_slice(values),
            }
        }
        Ok(Encoded::Owned(sheet))
    }
}

impl Fitted {
    fn packed(&self, data: &Dataset) -> Outcome<Mapped> {
        let column = data.column(&self.column.name)?;
        if column.shape != self.column.shape {
            return Err(Fault::error(
                "data::other_shape",
                format!(
                    "column `{}` at `{}` is {}, the model was trained on {}",
                    column.name,
                    data.name(),
                    column.type_name(),
                    self.column.type_name()
                ),
            )
            .help("prepare this data as the training data was"));
        }
        data.packed(&self.column.name)
    }

    /// Writes this column's encoding at `offset` of every row of `width` numbers; `out` holds zeros there. With a target the
    /// rows are those of the training part.
    fn encode_into(
        &self,
        data: &Dataset,
        out: &mut [f32],
        width: usize,
        offset: usize,
        training: Option<&Target>,
    ) -> Outcome<()> {
        let name = &self.column.name;
        if !self.column.shape.is_empty() {
            let mapped = self.packed(data)?;
            let values = raw::floats(mapped.tensor());
            let cell = self.column.shape.iter().product::<u64>() as usize;
            finite(name, data, values, cell)?;
            for (row, cell) in out.chunks_exact_mut(width).zip(values.chunks_exact(cell)) {
                let place = &mut row[offset..offset + cell.len()];
                match &self.encoder {
                    FittedEncoder::Standard { mean, deviation, .. } => {
                        standardise(cell, place, mean, deviation, self.run());
                    }
                    _ => place.copy_from_slice(cell),
                }
            }
            return Ok(());
        }
        let rows = out.chunks_exact_mut(width);
        match &self.encoder {
            FittedEncoder::Identity => {
                let numbers = data.numbers(name)?;
                finite_scalar(name, data, &numbers.values)?;
                for (row, value) in rows.zip(&numbers.values) {
                    row[offset] = if value.is_nan() { 0.0 } else { *value as f32 };
                }
            }
            FittedEncoder::Standard { mean, deviation, indicator } => {
                let numbers = data.numbers(name)?;
                finite_scalar(name, data, &numbers.values)?;
                let (mean, deviation) = (mean[0], deviation[0]);
                for (row, value) in rows.zip(&numbers.values) {
                    if !value.is_nan() {
                        row[offset] = ((value - mean) / deviation) as f32;
                    } else if *indicator {
                        row[offset + 1] = 1.0;
                    }
                }
            }
            FittedEncoder::OneHot { values, indicator } => {
                let places: HashMap<&str, usize> =
                    values.iter().enumerate().map(|(place, value)| (value.as_str(), place)).collect();
                for (row, text) in rows.zip(data.texts(name)?) {
                    match text {
                        Some(text) => {
                            if let Some(place) = places.get(text.as_str()) {
                                row[offset + place] = 1.0;
                            }
                        }
                        None if *indicator => row[offset + values.len()] = 1.0,
                        None => {}
                    }
                }
            }
            FittedEncoder::Embedding { values, indicator, .. } => {
                let indices: HashMap<&str, usize> =
                    values.iter().enumerate().map(|(place, value)| (value.as_str(), place + 1)).collect();
                for (row, text) in rows.zip(data.texts(name)?) {
                    let index = match text {
                        Some(text) => indices.get(text.as_str()).copied().unwrap_or(0),
                        None if *indicator => values.len() + 1,
                        None => 0,
                    };
                    row[offset] = index as f32;
                }
            }
            FittedEncoder::Number { form, indicator } => {
                let numbers = data.numbers(name)?;
                finite_scalar(name, data, &numbers.values)?;
                let end = offset + form.width();
                for (row, value) in rows.zip(&numbers.values) {
                    if !value.is_nan() {
                        form.write(*value, &mut row[offset..end]);
                    } else if *indicator {
                        row[end] = 1.0;
                    }
                }
            }
            FittedEncoder::Hashed { buckets, indicator } => {
                for (row, text) in rows.zip(data.texts(name)?) {
                    match text {
                        Some(text) => {
                            let (place, sign) = category::bucket(&text, *buckets);
                            row[offset + place] = sign;
                        }
                        None if *indicator => row[offset + *buckets as usize] = 1.0,
                        None => {}
                    }
                }
            }
            FittedEncoder::Target(means) => {
                let texts = data.texts(name)?;
                let put = |row: &mut [f32], means: &[f64]| {
                    row[offset..].iter_mut().zip(means).for_each(|(place, mean)| *place = *mean as f32);
                };
                match training {
                    Some(target) => {
                        let encoded = means.training_rows(&texts, &Answers::of(target, data)?);
                        rows.zip(&encoded).for_each(|(row, means)| put(row, means));
                    }
                    None => rows.zip(means.rows(&texts)).for_each(|(row, means)| put(row, means)),
                }
            }
            FittedEncoder::Cyclic { mean, deviation, indicator } => {
                let numbers = data.numbers(name)?;
                let end = offset + cyclic_width(self.column.dtype) as usize;
                for (row, value) in rows.zip(&numbers.values) {
                    if !value.is_nan() {
                        date::write(self.column.dtype, *value, *mean, *deviation, &mut row[offset..end]);
                    } else if *indicator {
                        row[end] = 1.0;
                    }
                }
            }
            FittedEncoder::Text(form) => {
                let end = offset + form.weights.len();
                for (row, text) in rows.zip(data.texts(name)?) {
                    form.write(text.as_deref().unwrap_or_default(), &mut row[offset..end]);
                }
            }
        }
        Ok(())
    }
}

fn fit(decision: &Decision, data: &Dataset, target: &Target, seed: u64, random: &mut Random) -> Outcome<Fitted> {
    let name = &decision.column.name;
    let mut fitted =
        Fitted { column: Column { classes: None, ..decision.column.clone() }, encoder: FittedEncoder::Identity };
    match &decision.encoder {
        Encoder::Identity => {}
        Encoder::Auto | Encoder::Standard if !fitted.column.shape.is_empty() => {
            let mapped = fitted.packed(data)?;
            let values = raw::floats(mapped.tensor());
            let cell = fitted.column.shape.iter().product::<u64>() as usize;
            finite(name, data, values, cell)?;
            let (mean, deviation) = tensor_moments(values, cell, fitted.run());
            fitted.encoder = FittedEncoder::Standard { mean, deviation, indicator: false };
        }
        Encoder::Auto | Encoder::Standard => {
            let numbers = data.numbers(name)?;
            finite_scalar(name, data, &numbers.values)?;
            let (mean, deviation) = moments(numbers.values.iter().copied().filter(|value| !value.is_nan()));
            let indicator = numbers.missing > 0;
            fitted.encoder = FittedEncoder::Standard { mean: vec![mean], deviation: vec![deviation], indicator };
        }
        Encoder::OneHot => {
            let (values, indicator) = seen(data, name, fitted.column.dtype)?;
            fitted.encoder = FittedEncoder::OneHot { values, indicator };
        }
        Encoder::Embedding(options) => {
            let (values, indicator) = seen(data, name, fitted.column.dtype)?;
            let count = values.len() as u64;
            if let Some(fault) = too_many_to_embed(decision, count) {
                return Err(fault);
            }
            let dimensions = options.dimensions(count);
            fitted.encoder = FittedEncoder::Embedding { values, indicator, dimensions };
        }
        Encoder::Robust | Encoder::Quantile(_) | Encoder::Piecewise(_) | Encoder::Periodic(_) => {
            let numbers = data.numbers(name)?;
            finite_scalar(name, data, &numbers.values)?;
            let present = numbers.values.iter().copied().filter(|value| !value.is_nan()).collect();
            if let Some(form) = NumberForm::fit(&decision.encoder, present, random) {
                fitted.encoder = FittedEncoder::Number { form, indicator: numbers.missing > 0 };
            }
        }
        Encoder::Hashed(options) => {
            let indicator = data.texts(name)?.iter().any(Option::is_none);
            fitted.encoder = FittedEncoder::Hashed { buckets: options.buckets, indicator };
        }
        Encoder::Target(options) => {
            let answers = Answers::of(target, data)?;
            let texts = data.texts(name)?;
            let means = TargetMeans::fit(&texts, &answers, options.smoothing, options.folds, seed);
            fitted.encoder = FittedEncoder::Target(means);
        }
        Encoder::Cyclic => {
            let numbers = data.numbers(name)?;
            let (mean, deviation) = moments(numbers.values.iter().copied().filter(|value| !value.is_nan()));
            fitted.encoder = FittedEncoder::Cyclic { mean, deviation, indicator: numbers.missing > 0 };
        }
        Encoder::TfIdf(options) => {
            fitted.encoder = FittedEncoder::Text(TextForm::fit(options, &data.texts(name)?));
        }
    }
    Ok(fitted)
}

/// The distinct values of a column, and whether cells of it are missing.
fn seen(data: &Dataset, name: &str, dtype: DType) -> Outcome<(Vec<String>, bool)> {
    let (mut values, mut missing) = (std::collections::BTreeSet::new(), false);
    for block in data.blocks() {
        for text in block.texts(name)? {
            match text {
                Some(text) => _ = values.insert(text),
                None => missing = true,
            }
        }
    }
    Ok((distinct(values.into_iter(), dtype), missing))
}

/// Distinct values in the order classes have: numbers numerically, false before true, text by its bytes.
pub fn distinct(texts: impl Iterator<Item = String>, dtype: DType) -> Vec<String> {
    let set: std::collections::BTreeSet<String> = texts.collect();
    let mut values: Vec<String> = set.into_iter().collect();
    if dtype.is_integer() {
        values.sort_by_key(|value| value.parse::<i128>().unwrap_or(i128::MAX));
    } else if dtype.is_float() {
        let number = |value: &String| value.parse::<f64>().unwrap_or(f64::NAN);
        values.sort_by(|left, right| number(left).total_cmp(&number(right)));
    }
    values
}

/// Mean and population deviation in two passes; a deviation that is only rounding becomes 1.
fn moments(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let (mut count, mut sum) = (0f64, 0f64);
    for value in values.clone() {
        count += 1.0;
        sum += value;
    }
    if count == 0.0 {
        return (0.0, 1.0);
    }
    let mean = sum / count;
    let squares: f64 = values.map(|value| (value - mean) * (value - mean)).sum();
    let deviation = (squares / count).sqrt();
    // As scikit-learn: a constant column stays finite whatever rounding did to its mean.
    let constant = deviation <= 10.0 * f64::EPSILON * mean.abs() || deviation == 0.0;
    (mean, if constant { 1.0 } else { deviation })
}

fn tensor_moments(values: &[f32], cell: usize, run: usize) -> (Vec<f64>, Vec<f64>) {
    (0..cell / run)
        .map(|group| {
            let start = group * run;
            let of_group = values.chunks_exact(cell).flat_map(move |row| row[start..start + run].iter());
            moments(of_group.map(|value| f64::from(*value)))
        })
        .unzip()
}

fn standardise(values: &[f32], out: &mut [f32], mean: &[f64], deviation: &[f64], run: usize) {
    let groups = mean.len();
    for (index, (from, to)) in values.chunks_exact(run).zip(out.chunks_exact_mut(run)).enumerate() {
        let (mean, deviation) = (mean[index % groups], deviation[index % groups]);
        for (value, place) in from.iter().zip(to) {
            *place = ((f64::from(*value) - mean) / deviation) as f32;
        }
    }
}

fn infinite(name: &str, data: &Dataset, row: usize, what: &str) -> Fault {
    Fault::error(
        "data::not_finite",
        format!("column `{name}` at `{}` holds {what} in row {}", data.name(), data.before() + row + 1),
    )
    .help("remove such rows with `filter`, or make them missing, in a `preprocess` stage")
}

fn finite_scalar(name: &str, data: &Dataset, values: &[f64]) -> Outcome<()> {
    match values.iter().position(|value| value.is_infinite()) {
        Some(row) => Err(infinite(name, data, row, "an infinite number")),
        None => Ok(()),
    }
}

fn finite(name: &str, data: &Dataset, values: &[f32], cell: usize) -> Outcome<()> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(place) => Err(infinite(name, data, place / cell.max(1), "a value that is not finite")),
        None => Ok(()),
    }
}

/// What a model predicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// The raw column; its classes are those of the training part.
    pub column: Column,
    /// What was learnt of it.
    pub scale: Scale,
}

/// What was learnt of a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// The classes in the order of the model's outputs: numbers sorted numerically, text by its bytes.
    Classes(Vec<String>),
    /// The model predicts (y − mean) / deviation.
    Number {
        /// Mean of the training part.
        mean: f64,
        /// Population deviation of the training part, 1 for a constant.
        deviation: f64,
    },
}

impl Target {
    /// Learns the target from the training part: its classes, or its mean and deviation.
    ///
    /// # Errors
    /// Unknown column, missing or infinite cells, `train::one_class`, a column that cannot be predicted.
    pub fn fit(name: &str, task: Task, data: &Dataset) -> Outcome<Self> {
        if data.rows() == 0 {
            return Err(empty(data.name()));
        }
        let column = data.column(name).map_err(|fault| fault.at(route!["target"]))?.clone();
        if !column.shape.is_empty() || column.dtype == DType::Binary {
            return Err(Fault::error(
                "train::target_type",
                format!("the target `{name}` is {}, which cannot be predicted", column.type_name()),
            )
            .help("a target is one number, text or true/false a row")
            .at(route!["target"]));
        }
        let scale = match task {
            Task::Classification => Scale::Classes(classes(&column, data)?),
            Task::Regression => {
                let values = whole(name, data)?;
                let (mean, deviation) = moments(values.iter().copied());
                Scale::Number { mean, deviation }
            }
        };
        let known = match &scale {
            Scale::Classes(values) => Some(Classes {
                count: values.len() as u64,
                values: if values.len() <= 256 { values.clone() } else { Vec::new() },
            }),
            Scale::Number { .. } => None,
        };
        Ok(Self { column: Column { classes: known, ..column }, scale })
    }

    /// Number of outputs a model of it has.
    pub fn outputs(&self) -> u64 {
        match &self.scale {
            Scale::Classes(classes) => classes.len() as u64,
            Scale::Number { .. } => 1,
        }
    }

    /// The classes; none for a number.
    pub fn classes(&self) -> &[String] {
        match &self.scale {
            Scale::Classes(classes) => classes,
            Scale::Number { .. } => &[],
        }
    }

    /// The target of a data set as training wants it: int64 `[n]` places of classes, or float32 `[n]` standardised.
    ///
    /// # Errors
    /// Unknown column, missing cells, `data::unseen_class` for classes the training part did not have.
    pub fn encode(&self, data: &Dataset, room: Room<'_>) -> Outcome<Sheet> {
        let size = [data.rows() as i64];
        match &self.scale {
            Scale::Classes(_) => {
                let mut sheet = room.zeros(&size, Kind::Int64)?;
                let out = sheet.longs_mut();
                self.each_label(data, |row, label| out[row] = label)?;
                Ok(sheet)
            }
            Scale::Number { mean, deviation } => {
                let values = whole(&self.column.name, data)?;
                let mut sheet = room.zeros(&size, Kind::Float)?;
                for (place, value) in sheet.floats_mut().iter_mut().zip(values) {
                    *place = ((value - mean) / deviation) as f32;
                }
                Ok(sheet)
            }
        }
    }

    /// The places of the classes of a data set.
    ///
    /// # Errors
    /// As [`Target::encode`].
    pub fn labels(&self, data: &Dataset) -> Outcome<Vec<i64>> {
        let mut labels = Vec::with_capacity(data.rows());
        self.each_label(data, |_, label| labels.push(label))?;
        Ok(labels)
    }

    /// The place of the class of every row, in order; of rows without one nothing, and then they are the fault.
    fn each_label(&self, data: &Dataset, mut f: impl FnMut(usize, i64)) -> Outcome<()> {
        let name = &self.column.name;
        let places: HashMap<&str, i64> =
            self.classes().iter().enumerate().map(|(place, class)| (class.as_str(), place as i64)).collect();
        let mut unseen: Vec<String> = Vec::new();
        let mut missing = 0;
        for block in data.blocks() {
            let before = block.before() - data.before();
            for (row, text) in block.texts(name)?.into_iter().enumerate() {
                match text {
                    None => missing += 1,
                    Some(text) => match places.get(text.as_str()) {
                        Some(place) => f(before + row, *place),
                        None => unseen.push(text),
                    },
                }
            }
        }
        if missing > 0 {
            return Err(missing_target(name, data, missing));
        }
        if !unseen.is_empty() {
            let rows = unseen.len();
            let shown: Vec<String> = distinct(unseen.into_iter(), self.column.dtype)
                .iter()
                .take(5)
                .map(|text| format!("`{text}`"))
                .collect();
            return Err(Fault::error(
                "data::unseen_class",
                format!(
                    "{rows} {} at `{}` {} of a class of `{name}` that the training part does not have: {}",
                    if rows == 1 { "row" } else { "rows" },
                    data.name(),
                    if rows == 1 { "is" } else { "are" },
                    shown.join(", ")
                ),
            )
            .help(format!("`stratify: {name}` in the `split` stage gives every part its share of every class")));
        }
        Ok(())
    }

    /// The target of a data set as numbers in their own unit.
    ///
    /// # Errors
    /// Unknown column, missing or infinite cells.
    pub fn numbers(&self, data: &Dataset) -> Outcome<Vec<f64>> {
        whole(&self.column.name, data)
    }
}

fn classes(column: &Column, data: &Dataset) -> Outcome<Vec<String>> {
    let mut found = std::collections::BTreeSet::new();
    let mut missing = 0;
    for block in data.blocks() {
        for text in block.texts(&column.name)? {
            match text {
                Some(text) => _ = found.insert(text),
                None => missing += 1,
            }
        }
    }
    if missing > 0 {
        return Err(missing_target(&column.name, data, missing));
    }
    let classes = distinct(found.into_iter(), column.dtype);
    if let [one] = classes.as_slice() {
        return Err(Fault::error(
            "train::one_class",
            format!("the target `{}` has only one class in the training part: `{one}`", column.name),
        )
        .help("there is nothing to learn; look at the stages above, or choose another `target`")
        .at(route!["target"]));
    }
    Ok(classes)
}

fn missing_target(name: &str, data: &Dataset, missing: usize) -> Fault {
    let rows = if missing == 1 { "row has" } else { "rows have" };
    Fault::error("data::missing_target", format!("{missing} {rows} no `{name}` at `{}`", data.name()))
        .help(format!("`drop_missing: {{ columns: [{name}] }}` in a `preprocess` stage removes such rows"))
}

fn whole(name: &str, data: &Dataset) -> Outcome<Vec<f64>> {
    let numbers = data.numbers(name)?;
    if numbers.missing > 0 {
        return Err(missing_target(name, data, numbers.missing));
    }
    finite_scalar(name, data, &numbers.values)?;
    Ok(numbers.values)
}

#[cfg(test)]
mod leak_tests;
#[cfg(test)]
mod tests;
