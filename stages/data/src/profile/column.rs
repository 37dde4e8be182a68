//! One column, read once: what is kept of it, and what follows from that.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use contract::artifact::{Column, DType};
use contract::calendar;

use super::document::{Histogram, Numbers, Quantile, Tensor, Texts, Variable};
use super::sketch::distinct::Distinct;
use super::sketch::frequent::{Bits, Counted, Frequent};
use super::sketch::hash;
use super::sketch::moments::Moments;
use super::sketch::quantile::{Quantiles, quantile, share};
use crate::table::classes::Fx;

/// Rows that are sketched together before they are merged: the cuts are the same however many threads there are.
const CHUNK: usize = 1 << 16;
/// A mean cell is kept of tensors up to so many elements.
const MEAN_CELL: usize = 1 << 14;
/// Bars of a histogram.
const BARS: usize = 30;
/// The quantiles that are written out.
const SHARES: [f64; 9] = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99];

/// What is kept of a column's cells.
#[derive(Debug, Clone)]
pub struct Sketch {
    rows: u64,
    missing: u64,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Number(Box<NumberSketch>),
    Text(Box<TextSketch>),
    Tensor { moments: Moments, sum: Vec<f64> },
    Binary { length: Moments },
}

#[derive(Debug, Clone, Default)]
struct NumberSketch {
    moments: Moments,
    quantiles: Quantiles,
    distinct: Distinct,
    frequent: Frequent<Bits>,
    zeros: u64,
    negative: u64,
    infinite: u64,
    broken: u64,
}

#[derive(Debug, Clone, Default)]
struct TextSketch {
    length: Moments,
    words: Moments,
    distinct: Distinct,
    frequent: Frequent<Box<str>>,
    shapes: Frequent<Box<str>>,
    empty: u64,
}

/// A column's numbers: days of dates, microseconds of times. `None` for types without.
pub fn numbers(array: &ArrayRef) -> Option<ArrayRef> {
    let integers = match array.data_type() {
        DataType::Date32 => cast(array, &DataType::Int32).ok()?,
        DataType::Timestamp(..) => cast(array, &DataType::Int64).ok()?,
        DataType::Utf8 | DataType::Boolean | DataType::Binary | DataType::FixedSizeList(..) => return None,
        _ => array.clone(),
    };
    cast(&integers, &DataType::Float64).ok()
}

impl Sketch {
    /// Of one batch's array, cut into chunks.
    pub fn of(array: &ArrayRef) -> Self {
        let mut whole = Self::chunk(&array.slice(0, array.len().min(CHUNK)));
        for start in (CHUNK..array.len()).step_by(CHUNK) {
            whole.merge(&Self::chunk(&array.slice(start, CHUNK.min(array.len() - start))));
        }
        whole
    }

    fn chunk(array: &ArrayRef) -> Self {
        let mut missing = array.null_count() as u64;
        let content = match array.data_type() {
            DataType::Utf8 => Content::Text(Box::new(TextSketch::of(array.as_string::<i32>().iter().flatten()))),
            DataType::Boolean => {
                let words = array.as_boolean().iter().flatten().map(|value| if value { "true" } else { "false" });
                Content::Text(Box::new(TextSketch::of(words)))
            }
            DataType::Binary => {
                let lengths: Vec<f64> =
                    array.as_binary::<i32>().iter().flatten().map(|value| value.len() as f64).collect();
                Content::Binary { length: Moments::of(&lengths) }
            }
            DataType::FixedSizeList(..) => tensor(array),
            _ => {
                let cast = numbers(array);
                let values: Vec<f64> = match &cast {
                    Some(cast) if cast.null_count() == 0 => cast.as_primitive::<Float64Type>().values().to_vec(),
                    Some(cast) => cast.as_primitive::<Float64Type>().iter().flatten().collect(),
                    None => Vec::new(),
                };
                let (sketch, nan) = NumberSketch::of(values);
                missing += nan;
                Content::Number(Box::new(sketch))
            }
        };
        Self { rows: array.len() as u64, missing, content }
    }

    /// Takes later rows of the same column in.
    pub fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.missing += other.missing;
        match (&mut self.content, &other.content) {
            (Content::Number(mine), Content::Number(theirs)) => {
                mine.moments.merge(&theirs.moments);
                mine.quantiles.merge(&theirs.quantiles);
                mine.distinct.merge(&theirs.distinct);
                mine.frequent.merge(&theirs.frequent);
                mine.zeros += theirs.zeros;
                mine.negative += theirs.negative;
                mine.infinite += theirs.infinite;
                mine.broken += theirs.broken;
            }
            (Content::Text(mine), Content::Text(theirs)) => {
                mine.length.merge(&theirs.length);
                mine.words.merge(&theirs.words);
                mine.distinct.merge(&theirs.distinct);
                mine.frequent.merge(&theirs.frequent);
                mine.shapes.merge(&theirs.shapes);
                mine.empty += theirs.empty;
            }
            (Content::Tensor { moments, sum }, Content::Tensor { moments: theirs, sum: other }) => {
                moments.merge(theirs);
                for (mine, theirs) in sum.iter_mut().zip(other) {
                    *mine += theirs;
                }
            }
            (Content::Binary { length }, Content::Binary { length: theirs }) => length.merge(theirs),
            // One column has one type.
            _ => {}
        }
    }

    /// What the sketch says of the column.
    pub fn describe(self, column: &Column) -> Variable {
        let mut variable = Variable::new(column, self.rows, self.missing);
        match self.content {
            Content::Number(sketch) => sketch.describe(column.dtype, &mut variable),
            Content::Text(sketch) => sketch.describe(column.dtype, &mut variable),
            Content::Binary { length } => {
                variable.texts = Some(Texts { length, ..Texts::default() });
            }
            Content::Tensor { moments, sum } => {
                let cells = (self.rows - self.missing).max(1) as f64;
                let mean_cell = sum.iter().map(|sum| sum / cells).collect();
                variable.tensor = Some(Tensor { shape: column.shape.clone(), moments, mean_cell });
            }
        }
        variable
    }
}

fn tensor(array: &ArrayRef) -> Content {
    let list = array.as_fixed_size_list();
    let size = list.value_length().max(0) as usize;
    let mut sum = vec![0.0; if size <= MEAN_CELL { size } else { 0 }];
    let mut moments = Moments::default();
    // A few cells at a time: a chunk of images as 64-bit floats would be large.
    let step = (1 << 20) / size.max(1) + 1;
    for start in (0..list.len()).step_by(step) {
        let part = list.slice(start, step.min(list.len() - start));
        let mut values = Vec::with_capacity(part.len() * size);
        for row in (0..part.len()).filter(|row| part.is_valid(*row)) {
            let Some(cell) = numbers(&part.value(row)) else { continue };
            let cell = cell.as_primitive::<Float64Type>();
            for (sum, value) in sum.iter_mut().zip(cell.values()).filter(|(_, value)| value.is_finite()) {
                *sum += value;
            }
            values.extend(cell.values().iter().filter(|value| value.is_finite()));
        }
        moments.merge(&Moments::of(&values));
    }
    Content::Tensor { moments, sum }
}

impl NumberSketch {
    /// The sketch, and how many values are not a number.
    fn of(mut values: Vec<f64>) -> (Self, u64) {
        let mut sketch = Self::default();
        let before = values.len();
        values.retain(|value| !value.is_nan());
        let nan = (before - values.len()) as u64;
        let there = values.len();
        values.retain(|value| value.is_finite());
        sketch.infinite = (there - values.len()) as u64;
        sketch.moments = Moments::of(&values);
        for value in &values {
            sketch.quantiles.add(*value);
            sketch.distinct.add(hash::number(*value));
            sketch.zeros += u64::from(*value == 0.0);
            sketch.negative += u64::from(*value < 0.0);
            sketch.broken += u64::from(value.fract() != 0.0);
        }
        // Runs of one value are looked up once.
        let mut at = 0;
        while at < values.len() {
            let run = values[at..].iter().take_while(|value| **value == values[at]).count();
            sketch.frequent.add(&Bits::of(values[at]), run as u64);
            at += run;
        }
        (sketch, nan)
    }

    fn describe(self, dtype: DType, variable: &mut Variable) {
        let exact = self.frequent.error() == 0;
        let sorted = self.frequent.sorted();
        variable.distinct = if exact { sorted.len() as u64 } else { self.distinct.estimate().round() as u64 };
        variable.distinct_exact = exact;
        let steps = if exact { exact_steps(&sorted) } else { self.quantiles.steps() };
        variable.frequent = Some(Counted {
            values: sorted.iter().map(|(bits, count)| (shown(bits.value(), dtype), *count)).collect(),
            error: self.frequent.error(),
        });
        let quantiles = SHARES
            .iter()
            .filter_map(|share| Some(Quantile { share: *share, value: quantile(&steps, *share)? }))
            .collect();
        if matches!(dtype, DType::Date | DType::Datetime) {
            let ends = self.moments.min.zip(self.moments.max);
            variable.span = ends.map(|(first, last)| (shown(first, dtype), shown(last, dtype)));
        }
        variable.numbers = Some(Numbers {
            zeros: self.zeros,
            negative: self.negative,
            infinite: self.infinite,
            whole: self.broken == 0,
            deviation: self.moments.deviation(),
            skewness: self.moments.skewness(),
            kurtosis: self.moments.kurtosis(),
            quantiles,
            histogram: histogram(&self.moments, &steps, self.broken == 0),
            moments: self.moments,
            sketch: self.quantiles,
        });
        variable.sketch = Some(self.distinct);
    }
}

fn exact_steps(counts: &[(Bits, u64)]) -> Vec<(f64, f64)> {
    let mut values: Vec<(Bits, u64)> = counts.to_vec();
    values.sort_unstable();
    let total: u64 = values.iter().map(|(_, count)| count).sum();
    let mut below = 0;
    values
        .into_iter()
        .map(|(bits, count)| {
            below += count;
            (bits.value(), below as f64 / total as f64)
        })
        .collect()
}

/// Equal bars between the least and the largest value; a bar of whole numbers holds whole numbers of them.
fn histogram(moments: &Moments, steps: &[(f64, f64)], whole: bool) -> Option<Histogram> {
    let (min, max) = (moments.min?, moments.max?);
    let span = max - min;
    if !span.is_finite() {
        return None;
    }
    let (from, width, bars) = if whole && span < 9e15 {
        let width = ((span + 1.0) / BARS as f64).ceil().max(1.0);
        (min - 0.5, width, ((span + 1.0) / width).ceil() as usize)
    } else if span > 0.0 {
        (min, span / BARS as f64, BARS)
    } else {
        (min, 1.0, 1)
    };
    let mut below = 0.0;
    let shares = (1..=bars)
        .map(|bar| {
            let upto = if bar == bars { 1.0 } else { share(steps, from + width * bar as f64) };
            let here = upto - below;
            below = upto;
            here
        })
        .collect();
    Some(Histogram { from, width, shares })
}

/// A number as people write it: dates as dates.
pub fn shown(value: f64, dtype: DType) -> String {
    match dtype {
        DType::Date => date(value as i64),
        DType::Datetime => {
            let seconds = (value / 1e6).floor() as i64;
            let of_day = seconds.rem_euclid(86_400);
            format!(
                "{} {:02}:{:02}:{:02}",
                date(seconds.div_euclid(86_400)),
                of_day / 3600,
                of_day / 60 % 60,
                of_day % 60
            )
        }
        DType::Float32 => (value as f32).to_string(),
        _ => value.to_string(),
    }
}

/// The date so many days after 1970-01-01.
fn date(days: i64) -> String {
    let (year, month, day) = calendar::civil(days);
    format!("{year:04}-{month:02}-{day:02}")
}

impl TextSketch {
    fn of<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        // Once for every different text of the chunk.
        let mut places: HashMap<&str, usize, BuildHasherDefault<Fx>> = HashMap::default();
        let mut counted: Vec<(&str, u64)> = Vec::new();
        for text in texts {
            let place = *places.entry(text).or_insert_with(|| {
                counted.push((text, 0));
                counted.len() - 1
            });
            counted[place].1 += 1;
        }
        let mut sketch = Self::default();
        for (text, count) in counted {
            sketch.length.add(text.chars().count() as f64, count);
            sketch.words.add(text.split_whitespace().count() as f64, count);
            sketch.distinct.add(hash::bytes(text.as_bytes()));
            sketch.frequent.add(clipped(text), count);
            sketch.shapes.add(shape(text).as_str(), count);
            sketch.empty += if text.trim().is_empty() { count } else { 0 };
        }
        sketch
    }

    fn describe(self, dtype: DType, variable: &mut Variable) {
        let exact = self.frequent.error() == 0 && self.length.max.is_none_or(|length| length <= CLIP as f64);
        let sorted = self.frequent.sorted();
        variable.distinct = if exact { sorted.len() as u64 } else { self.distinct.estimate().round() as u64 };
        variable.distinct_exact = exact;
        variable.frequent = Some(Counted {
            values: sorted.into_iter().map(|(text, count)| (text.into_string(), count)).collect(),
            error: self.frequent.error(),
        });
        if dtype != DType::Bool {
            variable.texts = Some(Texts {
                length: self.length,
                words: self.words,
                empty: self.empty,
                shapes: Counted {
                    values: self
                        .shapes
                        .sorted()
                        .into_iter()
                        .take(20)
                        .map(|(shape, count)| (shape.into_string(), count))
                        .collect(),
                    error: self.shapes.error(),
                },
            });
        }
        variable.sketch = Some(self.distinct);
    }
}

/// Longer texts are counted by their beginning.
const CLIP: usize = 200;

fn clipped(text: &str) -> &str {
    text.char_indices().nth(CLIP).map_or(text, |(end, _)| &text[..end])
}

/// A text's form as a regular expression: `AB-123` is `[A-Z]{2}-[0-9]{3}`. Of long texts, the form of the beginning.
pub fn shape(text: &str) -> String {
    let class = |c: char| match c {
        '0'..='9' => "[0-9]",
        'a'..='z' => "[a-z]",
        'A'..='Z' => "[A-Z]",
        ' ' => " ",
        c if c.is_alphabetic() => r"\p{L}",
        c if c.is_ascii() => "",
        _ => r"\S",
    };
    let mut shape = String::new();
    let mut chars = text.chars().peekable();
    let mut runs = 0;
    while let Some(first) = chars.next() {
        runs += 1;
        if runs > 12 {
            shape.push_str(".*");
            break;
        }
        let kind = class(first);
        let mut run = 1;
        while chars.peek().is_some_and(|next| class(*next) == kind && (!kind.is_empty() || *next == first)) {
            chars.next();
            run += 1;
        }
        if kind.is_empty() {
            shape.push_str(&regex::escape(first.encode_utf8(&mut [0; 4])));
        } else {
            shape.push_str(kind);
        }
        if run > 1 {
            shape.push_str(&format!("{{{run}}}"));
        }
    }
    shape
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Date32Array, Float64Array, StringArray};

    use super::*;

    fn described(array: ArrayRef, dtype: DType) -> Variable {
        Sketch::of(&array).describe(&Column::new("x", dtype))
    }

    #[test]
    fn shapes_match_their_texts() {
        for (text, expected) in [
            ("AB-123", "[A-Z]{2}\\-[0-9]{3}"),
            ("a.b", r"[a-z]\.[a-z]"),
            ("", ""),
            ("Größe 7", r"[A-Z][a-z]\p{L}{2}[a-z] [0-9]"),
            ("a\nb", "[a-z]\n[a-z]"),
        ] {
            let shape = shape(text);
            assert_eq!(shape, expected);
            assert!(regex::Regex::new(&format!("^{shape}$")).unwrap().is_match(text), "{text}");
        }
        let long = "a1".repeat(50);
        assert!(regex::Regex::new(&format!("^{}$", shape(&long))).unwrap().is_match(&long));
    }

    #[test]
    fn numbers_that_are_none_are_counted() {
        let values = vec![Some(1.0), None, Some(f64::NAN), Some(f64::INFINITY), Some(-2.5), Some(0.0), Some(-0.0)];
        let variable = described(Arc::new(Float64Array::from(values)), DType::Float64);
        assert_eq!((variable.rows, variable.missing, variable.distinct), (7, 2, 3));
        let numbers = variable.numbers.unwrap();
        assert_eq!((numbers.infinite, numbers.zeros, numbers.negative, numbers.whole), (1, 2, 1, false));
        assert_eq!((numbers.moments.count, numbers.moments.min, numbers.moments.max), (4, Some(-2.5), Some(1.0)));
        let none = described(Arc::new(Float64Array::from(vec![None::<f64>; 3])), DType::Float64);
        assert_eq!((none.missing, none.distinct), (3, 0));
        assert!(none.numbers.unwrap().histogram.is_none());
    }

    #[test]
    fn histograms_count_every_row() {
        let values: Vec<f64> = (0..10_000).map(|i| f64::from(i % 100)).collect();
        let variable = described(Arc::new(Float64Array::from(values)), DType::Float64);
        let histogram = variable.numbers.unwrap().histogram.unwrap();
        assert_eq!((histogram.from, histogram.width, histogram.shares.len()), (-0.5, 4.0, 25));
        assert!(histogram.shares.iter().all(|share| (share - 0.04).abs() < 1e-12), "{histogram:?}");
    }

    #[test]
    fn dates_and_texts_are_described() {
        let days = described(Arc::new(Date32Array::from(vec![0, -1, 19_782, 11_016])), DType::Date);
        let values: Vec<String> = days.frequent.unwrap().values.into_iter().map(|(value, _)| value).collect();
        assert_eq!(values, ["1969-12-31", "1970-01-01", "2000-02-29", "2024-02-29"]);
        let texts = StringArray::from(vec![Some("UA12"), Some("AA7"), None, Some("UA12"), Some(" ")]);
        let texts = described(Arc::new(texts), DType::String);
        assert_eq!((texts.missing, texts.distinct, texts.distinct_exact), (1, 3, true));
        assert_eq!(texts.frequent.unwrap().values[0], ("UA12".to_owned(), 2));
        let facts = texts.texts.unwrap();
        assert_eq!((facts.length.max, facts.empty), (Some(4.0), 1));
        assert_eq!(facts.shapes.values[0].0, "[A-Z]{2}[0-9]{2}");
    }
}
