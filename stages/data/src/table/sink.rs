//! Where the cells of one column of one chunk of text go.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray,
    TimestampMicrosecondArray, UInt64Array,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use contract::artifact::{Column, DType};

use crate::fault::{Outcome, kernel};
use crate::table::cell::{self, Form, Seen};
use crate::table::dataset::arrow_type;

/// What is to become of a column's cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Not wanted in this pass.
    Skip,
    /// Only their forms are wanted.
    Probe,
    /// Read as this form; what does not fit is missing for now and its form remembered. The flag says that the form is
    /// certain to stay (text that has been seen to be text).
    Guess(Form, bool),
    /// Read as this type; what does not fit is a fault.
    Stated(DType),
}

/// The cells that mean missing.
#[derive(Debug, Clone)]
pub struct Missing {
    spellings: Vec<Vec<u8>>,
    first: [bool; 256],
    longest: usize,
    /// Whether one of them could be a value of some type, so that it must be looked for before reading.
    early: bool,
}

impl Missing {
    /// These spellings, besides the empty cell.
    pub fn new(spellings: &[String]) -> Self {
        let spellings: Vec<Vec<u8>> = spellings.iter().map(|text| cell::trim(text.as_bytes()).to_vec()).collect();
        let mut first = [false; 256];
        for spelling in &spellings {
            if let Some(byte) = spelling.first() {
                first[usize::from(*byte)] = true;
            }
        }
        let longest = spellings.iter().map(Vec::len).max().unwrap_or_default();
        let nan = |text: &[u8]| text.eq_ignore_ascii_case(b"nan");
        let early = spellings.iter().any(|text| !nan(text) && !cell::form(text).within(Seen::TEXT));
        Self { spellings, first, longest, early }
    }

    /// Whether a trimmed, non-empty cell is one of them.
    #[inline]
    fn names(&self, text: &[u8]) -> bool {
        text.len() <= self.longest
            && self.first[usize::from(text[0])]
            && self.spellings.iter().any(|spelling| spelling == text)
    }
}

/// Which cells are there; costs nothing until the first that is not.
#[derive(Debug, Default)]
pub struct Validity {
    len: usize,
    bits: Option<Vec<u8>>,
}

impl Validity {
    #[inline]
    fn present(&mut self) {
        if let Some(bits) = &mut self.bits {
            if self.len.is_multiple_of(8) {
                bits.push(0);
            }
            bits[self.len / 8] |= 1 << (self.len % 8);
        }
        self.len += 1;
    }

    fn missing(&mut self) {
        let len = self.len;
        let bits = self.bits.get_or_insert_with(|| {
            let mut bits = vec![0xff; len.div_ceil(8)];
            if let (Some(last), used @ 1..) = (bits.last_mut(), len % 8) {
                *last = (1 << used) - 1;
            }
            bits
        });
        if len.is_multiple_of(8) {
            bits.push(0);
        }
        self.len += 1;
    }

    fn finish(self) -> Option<NullBuffer> {
        let len = self.len;
        self.bits.map(|bits| NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(bits), 0, len)))
    }
}

#[derive(Debug)]
enum Values {
    None,
    Bool(Vec<bool>),
    Int(Vec<i64>),
    UInt(Vec<u64>),
    Float(Vec<f64>),
    Days(Vec<i32>),
    Micros(Vec<i64>),
    Text { bytes: Vec<u8>, ends: Vec<i32> },
}

/// A column being read.
#[derive(Debug)]
pub struct Sink {
    target: Target,
    values: Values,
    validity: Validity,
    seen: Seen,
}

/// Whether a whole number loses digits as this float.
#[inline]
fn loses(value: f64, text: &[u8]) -> bool {
    value.abs() > 9_007_199_254_740_992.0 && cell::inexact(text)
}

/// Whether a cell is of a type where that is stated.
pub fn fits(dtype: DType, text: &[u8]) -> bool {
    let text = cell::trim(text);
    text.is_empty()
        || Sink::new(Target::Stated(dtype), 1).push_stated(dtype, text)
        || matches!(dtype, DType::String | DType::Binary)
}

/// A cell that is not of the stated type.
#[derive(Debug, PartialEq, Eq)]
pub struct Misfit;

impl Sink {
    /// An empty one, with room for about `rows` cells.
    pub fn new(target: Target, rows: usize) -> Self {
        let dtype = match target {
            Target::Skip | Target::Probe => None,
            Target::Guess(form, _) => Some(form.dtype()),
            Target::Stated(dtype) => Some(dtype),
        };
        let values = match dtype {
            None => Values::None,
            Some(DType::Bool) => Values::Bool(Vec::with_capacity(rows)),
            Some(DType::UInt64) => Values::UInt(Vec::with_capacity(rows)),
            Some(DType::Float32 | DType::Float64) => Values::Float(Vec::with_capacity(rows)),
            Some(DType::Date) => Values::Days(Vec::with_capacity(rows)),
            Some(DType::Datetime) => Values::Micros(Vec::with_capacity(rows)),
            Some(DType::String | DType::Binary) => {
                let mut ends = Vec::with_capacity(rows + 1);
                ends.push(0);
                Values::Text { bytes: Vec::with_capacity(rows * 8), ends }
            }
            Some(_) => Values::Int(Vec::with_capacity(rows)),
        };
        Self { target, values, validity: Validity::default(), seen: Seen::default() }
    }

    /// The forms of cells that did not fit (of all cells, for [`Target::Probe`]).
    pub fn seen(&self) -> Seen {
        self.seen
    }

    /// Adds a cell as it stands in the file, without its quotes.
    ///
    /// # Errors
    /// When it is not of the stated type.
    #[inline]
    pub fn push(&mut self, text: &[u8], quoted: bool, missing: &Missing) -> Result<(), Misfit> {
        match (&mut self.values, self.target) {
            (Values::Int(values), Target::Guess(..)) if !missing.early => {
                if let Some(value) = cell::int(text) {
                    values.push(value);
                    self.validity.present();
                    return Ok(());
                }
            }
            (Values::Float(values), Target::Guess(..)) if !missing.early => {
                // Not `nan`, which is usually among the spellings of missing.
                if let Some(value) = cell::float(text).filter(|value| !value.is_nan() && !loses(*value, text)) {
                    values.push(value);
                    self.validity.present();
                    return Ok(());
                }
            }
            (Values::Text { bytes, ends }, Target::Guess(Form::Text, true) | Target::Stated(DType::String)) => {
                // Most texts are neither blank nor anywhere near a spelling of missing.
                if let Some(first) = text.first()
                    && *first > b' '
                    && !missing.first[usize::from(*first)]
                {
                    bytes.extend_from_slice(text);
                    ends.push(bytes.len() as i32);
                    self.validity.present();
                    return Ok(());
                }
            }
            (_, Target::Skip) => return Ok(()),
            _ => {}
        }
        self.push_slowly(text, quoted, missing)
    }

    fn push_slowly(&mut self, text: &[u8], quoted: bool, missing: &Missing) -> Result<(), Misfit> {
        let trimmed = cell::trim(text);
        let gone = trimmed.is_empty() || missing.names(trimmed);
        match self.target {
            Target::Skip => {}
            Target::Probe => {
                if !gone {
                    self.seen = self.seen.with(cell::form(trimmed));
                }
            }
            Target::Guess(Form::Text, certain) => {
                if !gone && !certain && !Seen::TEXT.within(self.seen) {
                    self.seen = self.seen.with(cell::form(trimmed));
                }
                self.push_text(text, quoted, gone);
            }
            Target::Stated(DType::String | DType::Binary) => self.push_text(text, quoted, gone),
            Target::Guess(form, _) => {
                if gone {
                    self.push_missing();
                } else if !self.push_guess(form, trimmed) {
                    self.seen = self.seen.with(cell::form(trimmed));
                    self.push_missing();
                }
            }
            Target::Stated(dtype) => {
                if gone {
                    self.push_missing();
                } else if !self.push_stated(dtype, trimmed) {
                    self.push_missing();
                    return Err(Misfit);
                }
            }
        }
        Ok(())
    }

    /// A quoted empty cell is an empty text, an unquoted one is missing; blanks are text.
    fn push_text(&mut self, text: &[u8], quoted: bool, gone: bool) {
        let Values::Text { bytes, ends } = &mut self.values else { return };
        if gone && (!quoted || !text.is_empty()) && (text.is_empty() || !cell::trim(text).is_empty()) {
            ends.push(bytes.len() as i32);
            self.validity.missing();
        } else {
            bytes.extend_from_slice(text);
            ends.push(bytes.len() as i32);
            self.validity.present();
        }
    }

    fn push_missing(&mut self) {
        match &mut self.values {
            Values::None => return,
            Values::Bool(values) => values.push(false),
            Values::Int(values) | Values::Micros(values) => values.push(0),
            Values::UInt(values) => values.push(0),
            Values::Float(values) => values.push(0.0),
            Values::Days(values) => values.push(0),
            Values::Text { bytes, ends } => ends.push(bytes.len() as i32),
        }
        self.validity.missing();
    }

    fn push_guess(&mut self, form: Form, text: &[u8]) -> bool {
        let fits = match &mut self.values {
            Values::Bool(values) => cell::boolean(text).map(|value| values.push(value)),
            Values::Int(values) => cell::int(text).map(|value| values.push(value)),
            Values::Float(values) => {
                cell::float(text).filter(|value| !loses(*value, text)).map(|value| values.push(value))
            }
            Values::Days(values) => cell::date(text).map(|value| values.push(value)),
            Values::Micros(values) => {
                let found = match (form, cell::datetime(text)) {
                    (Form::Zoned, Some((micros, true))) | (Form::Local, Some((micros, false))) => Some(micros),
                    (Form::Local, None) => cell::date(text).map(|days| i64::from(days) * 86_400_000_000),
                    _ => None,
                };
                found.map(|value| values.push(value))
            }
            Values::None | Values::UInt(_) | Values::Text { .. } => None,
        };
        if fits.is_some() {
            self.validity.present();
        }
        fits.is_some()
    }

    fn push_stated(&mut self, dtype: DType, text: &[u8]) -> bool {
        let fits = match &mut self.values {
            Values::Bool(values) => cell::stated_bool(text).map(|value| values.push(value)),
            Values::Int(values) => {
                let (low, high) = cell::range(dtype);
                cell::stated_int(text).filter(|value| (low..=high).contains(value)).map(|value| values.push(value))
            }
            Values::UInt(values) => {
                let found = cell::uint(text).or_else(|| u64::try_from(cell::stated_int(text)?).ok());
                found.map(|value| values.push(value))
            }
            Values::Float(values) => cell::stated_float(text).map(|value| values.push(value)),
            Values::Days(values) => cell::date(text).map(|value| values.push(value)),
            Values::Micros(values) => {
                let found = cell::datetime(text).map(|(micros, _)| micros);
                let found = found.or_else(|| cell::date(text).map(|days| i64::from(days) * 86_400_000_000));
                found.map(|value| values.push(value))
            }
            Values::None | Values::Text { .. } => None,
        };
        if fits.is_some() {
            self.validity.present();
        }
        fits.is_some()
    }

    /// The cells as an array; `None` when none were kept.
    ///
    /// # Errors
    /// Never for cells that were pushed: the types fit by then.
    pub fn finish(self) -> Outcome<Option<ArrayRef>> {
        let nulls = self.validity.finish();
        let wide: ArrayRef = match self.values {
            Values::None => return Ok(None),
            Values::Bool(values) => Arc::new(BooleanArray::new(BooleanBuffer::from(values), nulls)),
            Values::Int(values) => Arc::new(Int64Array::new(values.into(), nulls)),
            Values::UInt(values) => Arc::new(UInt64Array::new(values.into(), nulls)),
            Values::Float(values) => Arc::new(Float64Array::new(values.into(), nulls)),
            Values::Days(values) => Arc::new(Date32Array::new(values.into(), nulls)),
            Values::Micros(values) => Arc::new(TimestampMicrosecondArray::new(values.into(), nulls)),
            Values::Text { bytes, ends } => {
                let (ends, bytes) = (OffsetBuffer::new(ends.into()), Buffer::from_vec(bytes));
                if self.target == Target::Stated(DType::Binary) {
                    Arc::new(BinaryArray::new(ends, bytes, nulls))
                } else {
                    Arc::new(StringArray::try_new(ends, bytes, nulls).map_err(|error| kernel("reading text", &error))?)
                }
            }
        };
        match self.target {
            Target::Stated(dtype) => {
                let to = arrow_type(&Column::new("", dtype));
                if wide.data_type() == &to {
                    return Ok(Some(wide));
                }
                cast(&wide, &to).map(Some).map_err(|error| kernel("narrowing numbers", &error))
            }
            _ => Ok(Some(wide)),
        }
    }
}
