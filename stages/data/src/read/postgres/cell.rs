//! Cells as PostgreSQL sends them in its binary format, and the Arrow columns they become.
//!
//! The encodings are those of PostgreSQL's `*_send` functions (`src/backend/utils/adt`), stable since version 7.4: integers and floats
//! are big-endian, dates and times count from 2000-01-01, a `numeric` is a sign, a weight and digits to the base of 10,000.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Float32Builder, Float64Builder, Int16Builder, Int32Builder,
    Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use contract::artifact::DType;
use tokio_postgres::types::{FromSql, Kind, Type};

/// Days from 1970-01-01 to 2000-01-01.
const EPOCH_DAYS: i32 = 10_957;
/// Microseconds between the same.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
/// Digits of a whole number that surely fit into 64 bits.
const SAFE_DIGITS: i32 = 18;

/// The bytes of a cell, of whatever type; `None` for a missing one.
pub struct Raw<'a>(pub Option<&'a [u8]>);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// How the cells of a column are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `boolean`
    Bool,
    /// `smallint`
    Int2,
    /// `integer`
    Int4,
    /// `bigint`
    Int8,
    /// `oid`
    Oid,
    /// `real`
    Float4,
    /// `double precision`
    Float8,
    /// `numeric(p)` of at most 18 digits and none behind the point.
    Whole,
    /// Any other `numeric`.
    Numeric,
    /// Text of any name, enumerations, `json`.
    Text,
    /// `jsonb`
    Jsonb,
    /// `uuid`
    Uuid,
    /// `bytea`
    Bytes,
    /// `date`
    Date,
    /// `timestamp`, and `timestamptz` as UTC.
    Instant,
}

impl Form {
    /// How a column of this type and modifier is read; `None` for types that have no column here.
    pub fn of(kind: &Type, modifier: i32) -> Option<Self> {
        match kind.kind() {
            Kind::Domain(inner) => return Self::of(inner, modifier),
            Kind::Enum(_) => return Some(Self::Text),
            _ => {}
        }
        Some(match *kind {
            Type::BOOL => Self::Bool,
            Type::INT2 => Self::Int2,
            Type::INT4 => Self::Int4,
            Type::INT8 => Self::Int8,
            Type::OID => Self::Oid,
            Type::FLOAT4 => Self::Float4,
            Type::FLOAT8 => Self::Float8,
            Type::NUMERIC if whole(modifier) => Self::Whole,
            Type::NUMERIC => Self::Numeric,
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::JSON | Type::XML => {
                Self::Text
            }
            Type::JSONB => Self::Jsonb,
            Type::UUID => Self::Uuid,
            Type::BYTEA => Self::Bytes,
            Type::DATE => Self::Date,
            Type::TIMESTAMP | Type::TIMESTAMPTZ => Self::Instant,
            _ if kind.name() == "citext" => Self::Text,
            _ => return None,
        })
    }

    /// The type of the column.
    pub fn dtype(self) -> DType {
        match self {
            Self::Bool => DType::Bool,
            Self::Int2 => DType::Int16,
            Self::Int4 => DType::Int32,
            Self::Int8 | Self::Oid | Self::Whole => DType::Int64,
            Self::Float4 => DType::Float32,
            Self::Float8 | Self::Numeric => DType::Float64,
            Self::Text | Self::Jsonb | Self::Uuid => DType::String,
            Self::Bytes => DType::Binary,
            Self::Date => DType::Date,
            Self::Instant => DType::Datetime,
        }
    }
}

/// `numeric(p, s)` has the modifier `(p << 16 | s) + 4`; without one it has -1. Scales below zero are numbers of eleven bits.
fn whole(modifier: i32) -> bool {
    modifier >= 4 && (modifier - 4) & 0x7ff == 0 && (modifier - 4) >> 16 <= SAFE_DIGITS
}

/// A column being filled.
pub enum Filling {
    /// Of [`DType::Bool`].
    Bool(BooleanBuilder),
    /// Of [`DType::Int16`].
    Int16(Int16Builder),
    /// Of [`DType::Int32`].
    Int32(Int32Builder),
    /// Of [`DType::Int64`].
    Int64(Int64Builder),
    /// Of [`DType::Float32`].
    Float32(Float32Builder),
    /// Of [`DType::Float64`].
    Float64(Float64Builder),
    /// Of [`DType::String`].
    Text(StringBuilder),
    /// Of [`DType::Binary`].
    Bytes(BinaryBuilder),
    /// Of [`DType::Date`].
    Date(Date32Builder),
    /// Of [`DType::Datetime`].
    Instant(TimestampMicrosecondBuilder),
}

macro_rules! each {
    ($filling:expr, $builder:ident => $then:expr) => {
        match $filling {
            Filling::Bool($builder) => $then,
            Filling::Int16($builder) => $then,
            Filling::Int32($builder) => $then,
            Filling::Int64($builder) => $then,
            Filling::Float32($builder) => $then,
            Filling::Float64($builder) => $then,
            Filling::Text($builder) => $then,
            Filling::Bytes($builder) => $then,
            Filling::Date($builder) => $then,
            Filling::Instant($builder) => $then,
        }
    };
}

impl Filling {
    /// An empty column for cells of a form.
    pub fn new(form: Form) -> Self {
        match form.dtype() {
            DType::Bool => Self::Bool(BooleanBuilder::new()),
            DType::Int16 => Self::Int16(Int16Builder::new()),
            DType::Int32 => Self::Int32(Int32Builder::new()),
            DType::Float32 => Self::Float32(Float32Builder::new()),
            DType::Float64 => Self::Float64(Float64Builder::new()),
            DType::String => Self::Text(StringBuilder::new()),
            DType::Binary => Self::Bytes(BinaryBuilder::new()),
            DType::Date => Self::Date(Date32Builder::new()),
            DType::Datetime => Self::Instant(TimestampMicrosecondBuilder::new()),
            _ => Self::Int64(Int64Builder::new()),
        }
    }

    /// Adds a cell.
    ///
    /// # Errors
    /// What is wrong with it, in words that follow "row 3 of column `x`".
    pub fn push(&mut self, form: Form, raw: Option<&[u8]>) -> Result<(), String> {
        let Some(raw) = raw else {
            each!(self, builder => builder.append_null());
            return Ok(());
        };
        match (self, form) {
            (Self::Bool(column), _) => column.append_value(raw.first() == Some(&1)),
            (Self::Int16(column), _) => column.append_value(i16::from_be_bytes(exact(raw)?)),
            (Self::Int32(column), _) => column.append_value(i32::from_be_bytes(exact(raw)?)),
            (Self::Int64(column), Form::Oid) => column.append_value(i64::from(u32::from_be_bytes(exact(raw)?))),
            (Self::Int64(column), Form::Whole) => {
                let text = decimal(raw)?;
                let value = text.parse().map_err(|_| format!("is {text}, which is no whole number of 64 bits"))?;
                column.append_value(value);
            }
            (Self::Int64(column), _) => column.append_value(i64::from_be_bytes(exact(raw)?)),
            (Self::Float32(column), _) => column.append_value(f32::from_be_bytes(exact(raw)?)),
            (Self::Float64(column), Form::Numeric) => column.append_value(nearest(&decimal(raw)?)?),
            (Self::Float64(column), _) => column.append_value(f64::from_be_bytes(exact(raw)?)),
            (Self::Text(column), Form::Uuid) => column.append_value(uuid(exact(raw)?)),
            (Self::Text(column), Form::Jsonb) => match raw {
                [1, json @ ..] => column.append_value(text(json)?),
                _ => return Err("is `jsonb` of an unknown version".into()),
            },
            (Self::Text(column), _) => column.append_value(text(raw)?),
            (Self::Bytes(column), _) => column.append_value(raw),
            (Self::Date(column), _) => match i32::from_be_bytes(exact(raw)?) {
                i32::MAX | i32::MIN => return Err("is an infinite date".into()),
                days => column.append_value(days.checked_add(EPOCH_DAYS).ok_or("is out of range")?),
            },
            (Self::Instant(column), _) => match i64::from_be_bytes(exact(raw)?) {
                i64::MAX | i64::MIN => return Err("is an infinite time".into()),
                micros => column.append_value(micros.checked_add(EPOCH_MICROS).ok_or("is out of range")?),
            },
        }
        Ok(())
    }

    /// The cells so far; the column is empty again.
    pub fn take(&mut self) -> ArrayRef {
        each!(self, builder => Arc::new(builder.finish()))
    }
}

fn exact<const N: usize>(raw: &[u8]) -> Result<[u8; N], String> {
    raw.try_into().map_err(|_| format!("has {} bytes where {N} are expected", raw.len()))
}

fn text(raw: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(raw).map_err(|_| "is not UTF-8".to_owned())
}

fn uuid(raw: [u8; 16]) -> String {
    let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// The float nearest to a decimal number. A whole number that no float equals is refused: identifiers would lose digits.
fn nearest(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("is {text}, which is no number"))?;
    let exact = text.contains('.') || text.parse::<i128>().is_ok_and(|whole| whole == value as i128);
    if value.is_finite() && !exact {
        return Err(format!("is {text}, a whole number that a column of floats cannot hold"));
    }
    Ok(value)
}

/// A `numeric` in decimal digits, as `numeric_out` writes it.
fn decimal(raw: &[u8]) -> Result<String, String> {
    let word = |at: usize| -> Result<[u8; 2], String> {
        raw.get(2 * at..2 * at + 2).ok_or("is cut off".to_owned()).and_then(exact)
    };
    let count = usize::from(u16::from_be_bytes(word(0)?));
    let weight = i32::from(i16::from_be_bytes(word(1)?));
    let sign = u16::from_be_bytes(word(2)?);
    let scale = usize::from(u16::from_be_bytes(word(3)?));
    let mut out = match sign {
        0 => String::new(),
        0x4000 => "-".to_owned(),
        0xc000 => return Ok("NaN".into()),
        0xd000 => return Ok("inf".into()),
        0xf000 => return Ok("-inf".into()),
        _ => return Err("is a `numeric` of an unknown sign".into()),
    };
    // The group of four digits at a power of 10,000; those that are not sent are zero.
    let group = |power: i32| -> Result<String, String> {
        let at = weight - power;
        let value = if (0..count as i32).contains(&at) { u16::from_be_bytes(word(4 + at as usize)?) } else { 0 };
        Ok(format!("{value:04}"))
    };
    let mut before = String::new();
    for power in (0..=weight.max(0)).rev() {
        before.push_str(&group(power)?);
    }
    let before = before.trim_start_matches('0');
    out.push_str(if before.is_empty() { "0" } else { before });
    if scale > 0 {
        let mut behind = String::new();
        for step in 1..=scale.div_ceil(4) as i32 {
            behind.push_str(&group(-step)?);
        }
        out.push('.');
        out.push_str(&behind[..scale]);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(weight: i16, sign: u16, scale: u16, digits: &[u16]) -> String {
        let mut raw = Vec::new();
        raw.extend((digits.len() as u16).to_be_bytes());
        raw.extend(weight.to_be_bytes());
        raw.extend(sign.to_be_bytes());
        raw.extend(scale.to_be_bytes());
        digits.iter().for_each(|digit| raw.extend(digit.to_be_bytes()));
        decimal(&raw).unwrap()
    }

    #[test]
    fn numbers_are_written_out() {
        assert_eq!(numeric(0, 0, 0, &[]), "0");
        assert_eq!(numeric(1, 0, 2, &[1, 2345, 6700]), "12345.67");
        assert_eq!(numeric(-1, 0x4000, 4, &[12]), "-0.0012");
        assert_eq!(numeric(-2, 0, 6, &[1200]), "0.000012");
        assert_eq!(numeric(2, 0, 0, &[5]), "500000000");
        assert_eq!(numeric(0, 0xc000, 0, &[]), "NaN");
        assert!(decimal(&[0, 1, 0]).is_err());
    }

    #[test]
    fn floats_hold_what_they_can() {
        assert_eq!(nearest("0.1"), Ok(0.1));
        assert_eq!(nearest("9007199254740992"), Ok(9_007_199_254_740_992.0));
        assert!(nearest("9007199254740993").unwrap_err().contains("whole number"));
        assert!(nearest("NaN").unwrap().is_nan());
        assert_eq!(nearest("-inf"), Ok(f64::NEG_INFINITY));
    }

    #[test]
    fn only_short_whole_numerics_are_integers() {
        let modifier = |precision: i32, scale: i32| (precision << 16 | (scale & 0x7ff)) + 4;
        assert!(whole(modifier(18, 0)) && !whole(modifier(19, 0)) && !whole(modifier(10, 2)) && !whole(-1));
        assert!(!whole(modifier(3, -2)));
    }
}
