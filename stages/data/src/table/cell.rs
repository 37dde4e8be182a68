//! Single cells of text as values: strict, so that nothing is lost by reading it.
//!
//! `007` is not a number (the zeros would be lost), an integer beyond 64 bits is not one either, and `1e400` is not a float
//! (it would become infinite). Dates and times are ISO 8601.

use contract::artifact::DType;

/// The forms that were seen among the cells of a column, as a set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen(u16);

impl Seen {
    /// `true`, `false`.
    pub const BOOL: Self = Self(1);
    /// A whole number of 64 bits.
    pub const INT: Self = Self(2);
    /// A whole number of more than 64 bits.
    pub const WIDE: Self = Self(4);
    /// A number with a point or an exponent.
    pub const FLOAT: Self = Self(8);
    /// `2013-01-31`.
    pub const DATE: Self = Self(16);
    /// `2013-01-31T12:00:00`.
    pub const LOCAL: Self = Self(32);
    /// `2013-01-31T12:00:00Z`, or with an offset.
    pub const ZONED: Self = Self(64);
    /// Anything else.
    pub const TEXT: Self = Self(128);
    /// Said beside [`Seen::INT`] or [`Seen::WIDE`]: no float equals the number.
    pub const EXACT: Self = Self(256);

    /// Both sets.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether nothing was seen.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether everything that was seen is in `other`.
    pub fn within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// The type that holds all that was seen without loss. Whole numbers beyond 64 bits are numbers only among floats, and only where a
    /// float equals each of them.
    pub fn form(self) -> Form {
        if self.is_empty() {
            Form::Text
        } else if self.within(Self::BOOL) {
            Form::Bool
        } else if self.within(Self::INT.with(Self::EXACT)) {
            Form::Int
        } else if Self::FLOAT.within(self) && self.within(Self::INT.with(Self::WIDE).with(Self::FLOAT)) {
            Form::Float
        } else if self.within(Self::DATE) {
            Form::Date
        } else if self.within(Self::DATE.with(Self::LOCAL)) {
            Form::Local
        } else if self.within(Self::ZONED) {
            Form::Zoned
        } else {
            Form::Text
        }
    }
}

/// The types that text is read as when nothing is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `bool`
    Bool,
    /// `int64`
    Int,
    /// `float64`
    Float,
    /// `date`
    Date,
    /// `datetime`, written without a zone
    Local,
    /// `datetime`, written with zones; kept as UTC
    Zoned,
    /// `string`
    Text,
}

impl Form {
    /// The column type.
    pub fn dtype(self) -> DType {
        match self {
            Self::Bool => DType::Bool,
            Self::Int => DType::Int64,
            Self::Float => DType::Float64,
            Self::Date => DType::Date,
            Self::Local | Self::Zoned => DType::Datetime,
            Self::Text => DType::String,
        }
    }
}

/// Without spaces and tabs at both ends.
#[inline]
pub fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// What a trimmed, non-empty cell looks like.
pub fn form(text: &[u8]) -> Seen {
    let exact = |seen: Seen| if inexact(text) { seen.with(Seen::EXACT) } else { seen };
    if int(text).is_some() {
        exact(Seen::INT)
    } else if whole(text) {
        exact(Seen::WIDE)
    } else if float(text).is_some() {
        Seen::FLOAT
    } else if boolean(text).is_some() {
        Seen::BOOL
    } else if date(text).is_some() {
        Seen::DATE
    } else {
        match datetime(text) {
            Some((_, false)) => Seen::LOCAL,
            Some((_, true)) => Seen::ZONED,
            None => Seen::TEXT,
        }
    }
}

/// `true`, `false` in the three usual spellings.
pub fn boolean(text: &[u8]) -> Option<bool> {
    match text {
        b"true" | b"True" | b"TRUE" => Some(true),
        b"false" | b"False" | b"FALSE" => Some(false),
        _ => None,
    }
}

/// A sign and digits without leading zeros.
fn digits(text: &[u8]) -> Option<(bool, &[u8])> {
    let (negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    match rest {
        [] | [b'0', _, ..] => None,
        _ => Some((negative, rest)),
    }
}

/// A 64-bit integer.
#[inline]
pub fn int(text: &[u8]) -> Option<i64> {
    let (negative, rest) = digits(text)?;
    if rest.len() > 18 {
        return if whole(text) { std::str::from_utf8(text).ok()?.parse().ok() } else { None };
    }
    let mut value: i64 = 0;
    for byte in rest {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if negative { -value } else { value })
}

/// An unsigned 64-bit integer.
pub fn uint(text: &[u8]) -> Option<u64> {
    let (negative, rest) = digits(text)?;
    let value = whole(text).then(|| std::str::from_utf8(rest).ok()?.parse().ok()).flatten()?;
    if negative && value != 0 { None } else { Some(value) }
}

/// Whether it is an integer, of any size.
fn whole(text: &[u8]) -> bool {
    digits(text).is_some_and(|(_, rest)| rest.iter().all(u8::is_ascii_digit))
}

/// Whether it is a whole number that no float equals: as one, it would lose digits.
pub fn inexact(text: &[u8]) -> bool {
    // Up to 2^53, every whole number is a float.
    if text.len() < 16 || !whole(text) {
        return false;
    }
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let digits = text.strip_prefix('+').unwrap_or(text);
    // With a precision, all digits of the value are written.
    !text.parse::<f64>().is_ok_and(|value| format!("{value:.0}") == digits)
}

const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// A 64-bit float, correctly rounded. Integers are floats, too; `inf`, `Infinity` and `nan` are read in their usual
/// spellings.
///
/// The short way is exact when mantissa and power of ten both are (W. D. Clinger, How to read floating point numbers
/// accurately, PLDI 1990); the standard library does the rest.
#[inline]
pub fn float(text: &[u8]) -> Option<f64> {
    let (negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if let [b'0', b'0'..=b'9', ..] = rest {
        return None;
    }
    let mut mantissa: u64 = 0;
    let mut count = 0usize;
    let mut decimals = 0i32;
    let mut position = 0;
    let mut point = false;
    while let Some(byte) = rest.get(position) {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
            count += 1;
            decimals += i32::from(point);
        } else if *byte == b'.' && !point {
            point = true;
        } else {
            break;
        }
        position += 1;
    }
    if count == 0 {
        return special(text);
    }
    let mut exponent = -decimals;
    if let Some(b'e' | b'E') = rest.get(position) {
        let power = &rest[position + 1..];
        let unsigned = match power {
            [b'-' | b'+', unsigned @ ..] => unsigned,
            unsigned => unsigned,
        };
        if unsigned.is_empty() || unsigned.len() > 6 || !unsigned.iter().all(u8::is_ascii_digit) {
            return None;
        }
        exponent += std::str::from_utf8(power).ok()?.parse::<i32>().ok()?;
    } else if position != rest.len() {
        return None;
    }
    if count <= 19 && mantissa <= 1 << 53 && exponent.unsigned_abs() <= 22 {
        let power = TENS[exponent.unsigned_abs() as usize];
        let value = if exponent < 0 { mantissa as f64 / power } else { mantissa as f64 * power };
        return Some(if negative { -value } else { value });
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

fn special(text: &[u8]) -> Option<f64> {
    match text {
        b"inf" | b"+inf" | b"Inf" | b"+Inf" | b"Infinity" | b"+Infinity" => Some(f64::INFINITY),
        b"-inf" | b"-Inf" | b"-Infinity" => Some(f64::NEG_INFINITY),
        b"nan" | b"NaN" | b"NAN" => Some(f64::NAN),
        _ => None,
    }
}

fn number(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0u32, |value, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit <= 9).then(|| value * 10 + u32::from(digit))
    })
}

/// Days since 1970-01-01 of `YYYY-MM-DD`.
pub fn date(text: &[u8]) -> Option<i32> {
    if text.len() != 10 || text[4] != b'-' || text[7] != b'-' {
        return None;
    }
    let (year, month, day) = (number(&text[..4])?, number(&text[5..7])?, number(&text[8..])?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        _ => return None,
    };
    if day == 0 || day > length {
        return None;
    }
    // Howard Hinnant, chrono-compatible low-level date algorithms, `days_from_civil`.
    let (year, month, day) = (year as i32, month as i32, day as i32);
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Microseconds since 1970-01-01T00:00:00 of `YYYY-MM-DDTHH:MM[:SS[.ffffff]]` (a space may stand for the `T`), and whether a
/// zone was given (`Z`, `+02:00`, `+0200`, `+02`), in which case they are UTC.
pub fn datetime(text: &[u8]) -> Option<(i64, bool)> {
    if text.len() < 16 || !matches!(text[10], b'T' | b't' | b' ') {
        return None;
    }
    let days = i64::from(date(&text[..10])?);
    let time = &text[11..];
    if time[2] != b':' {
        return None;
    }
    let (hours, minutes) = (number(&time[..2])?, number(&time[3..5])?);
    let mut rest = &time[5..];
    let mut seconds = 0;
    let mut micros = 0;
    if let [b':', a, b, after @ ..] = rest {
        seconds = number(&[*a, *b])?;
        rest = after;
        if let [b'.' | b',', after @ ..] = rest {
            let end = after.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(after.len());
            let (fraction, after) = after.split_at(end);
            // Anything finer than a microsecond would be lost.
            if fraction.is_empty() || fraction.iter().skip(6).any(|byte| *byte != b'0') {
                return None;
            }
            let shown = &fraction[..fraction.len().min(6)];
            micros = i64::from(number(shown)?) * 10_i64.pow(6 - shown.len() as u32);
            rest = after;
        }
    }
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let (offset, zoned) = match rest {
        [] => (0, false),
        [b'Z' | b'z'] => (0, true),
        [sign @ (b'+' | b'-'), zone @ ..] => {
            let (h, m) = match zone {
                [_, _] => (number(zone)?, 0),
                [a, b, b':', c, d] | [a, b, c, d] => (number(&[*a, *b])?, number(&[*c, *d])?),
                _ => return None,
            };
            if h > 23 || m > 59 {
                return None;
            }
            let minutes = i64::from(h * 60 + m);
            (if *sign == b'-' { -minutes } else { minutes }, true)
        }
        _ => return None,
    };
    let clock = i64::from(hours * 3600 + minutes * 60 + seconds);
    Some(((days * 86_400 + clock - offset * 60) * 1_000_000 + micros, zoned))
}

/// A bool as people write it when they say that it is one: also `1`, `0`, `yes`, `no`, in any case.
pub fn stated_bool(text: &[u8]) -> Option<bool> {
    match text.to_ascii_lowercase().as_slice() {
        b"true" | b"1" | b"yes" | b"t" | b"y" => Some(true),
        b"false" | b"0" | b"no" | b"f" | b"n" => Some(false),
        _ => None,
    }
}

/// An integer where one is stated: also with leading zeros, and floats that are whole (`181.0`).
pub fn stated_int(text: &[u8]) -> Option<i64> {
    int(text).or_else(|| std::str::from_utf8(text).ok()?.parse().ok()).or_else(|| {
        let value = float(text)?;
        (value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0).then_some(value as i64)
    })
}

/// A float where one is stated: also with leading zeros.
pub fn stated_float(text: &[u8]) -> Option<f64> {
    float(text).or_else(|| {
        let rest = text.strip_prefix(b"-").unwrap_or(text);
        let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
        (rest.first()?.is_ascii_digit() && value.is_finite()).then_some(value)
    })
}

/// The smallest and largest value of an integer type (of `int64` for `uint64`, which is read with [`uint`]).
pub fn range(dtype: DType) -> (i64, i64) {
    match dtype {
        DType::Int8 => (i64::from(i8::MIN), i64::from(i8::MAX)),
        DType::Int16 => (i64::from(i16::MIN), i64::from(i16::MAX)),
        DType::Int32 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        DType::UInt8 => (0, i64::from(u8::MAX)),
        DType::UInt16 => (0, i64::from(u16::MAX)),
        DType::UInt32 => (0, i64::from(u32::MAX)),
        _ => (i64::MIN, i64::MAX),
    }
}

/// What a cell of a type looks like, for messages.
pub fn expected(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "`true` or `false` (also 1, 0, yes, no)",
        DType::Int8 => "a whole number from -128 to 127",
        DType::Int16 => "a whole number from -32768 to 32767",
        DType::Int32 => "a whole number of 32 bits",
        DType::Int64 => "a whole number of 64 bits",
        DType::UInt8 => "a whole number from 0 to 255",
        DType::UInt16 => "a whole number from 0 to 65535",
        DType::UInt32 => "a whole number of 32 bits, not negative",
        DType::UInt64 => "a whole number of 64 bits, not negative",
        DType::Float32 | DType::Float64 => "a number such as 39.1 or 1e-3",
        DType::Date => "a date such as 2013-01-31",
        DType::Datetime => "a date and time such as 2013-01-31T12:00:00",
        DType::String | DType::Binary => "text",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn forms() {
        for (text, expected) in [
            ("0", Seen::INT),
            ("-17", Seen::INT),
            ("+5", Seen::INT),
            ("9007199254740992", Seen::INT),
            ("9007199254740993", Seen::INT.with(Seen::EXACT)),
            ("9223372036854775807", Seen::INT.with(Seen::EXACT)),
            ("-9223372036854775808", Seen::INT),
            ("9223372036854775808", Seen::WIDE),
            ("+100000000000000000000", Seen::WIDE),
            ("123456789012345678901234567890", Seen::WIDE.with(Seen::EXACT)),
            ("007", Seen::TEXT),
            ("00.5", Seen::TEXT),
            ("-01", Seen::TEXT),
            ("1.5", Seen::FLOAT),
            (".5", Seen::FLOAT),
            ("5.", Seen::FLOAT),
            ("1e-3", Seen::FLOAT),
            ("1E22", Seen::FLOAT),
            ("inf", Seen::FLOAT),
            ("1e400", Seen::TEXT),
            ("1e", Seen::TEXT),
            ("1.2.3", Seen::TEXT),
            (".", Seen::TEXT),
            ("-", Seen::TEXT),
            ("+", Seen::TEXT),
            ("1_000", Seen::TEXT),
            ("0x10", Seen::TEXT),
            ("١٢", Seen::TEXT),
            ("true", Seen::BOOL),
            ("FALSE", Seen::BOOL),
            ("tRUE", Seen::TEXT),
            ("2012-02-29", Seen::DATE),
            ("2013-02-29", Seen::TEXT),
            ("2013-13-01", Seen::TEXT),
            ("2013-1-1", Seen::TEXT),
            ("2013-01-01 05:00", Seen::LOCAL),
            ("2013-01-01T05:00:00.123456", Seen::LOCAL),
            ("2013-01-01T05:00:00.1234567", Seen::TEXT),
            ("2013-01-01T05:00:00Z", Seen::ZONED),
            ("2013-01-01T24:00:00", Seen::TEXT),
            ("2013-01-01T05", Seen::TEXT),
        ] {
            assert_eq!(form(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn sets_decide_types() {
        let all = |seen: &[Seen]| seen.iter().fold(Seen::default(), |a, b| a.with(*b)).form();
        assert_eq!(all(&[]), Form::Text);
        assert_eq!(all(&[Seen::INT, Seen::FLOAT]), Form::Float);
        assert_eq!(all(&[Seen::INT, Seen::WIDE]), Form::Text);
        assert_eq!(all(&[Seen::FLOAT, Seen::WIDE]), Form::Float);
        assert_eq!(all(&[Seen::INT, Seen::EXACT]), Form::Int);
        assert_eq!(all(&[Seen::FLOAT, Seen::INT, Seen::EXACT]), Form::Text, "no digit is lost");
        assert_eq!(all(&[Seen::INT, Seen::BOOL]), Form::Text);
        assert_eq!(all(&[Seen::DATE, Seen::LOCAL]), Form::Local);
        assert_eq!(all(&[Seen::ZONED, Seen::LOCAL]), Form::Text);
        assert_eq!(all(&[Seen::DATE, Seen::INT]), Form::Text);
    }

    #[test]
    fn dates_and_times() {
        assert_eq!(date(b"1970-01-01"), Some(0));
        assert_eq!(date(b"2000-03-01"), Some(11_017));
        assert_eq!(date(b"1969-12-31"), Some(-1));
        assert_eq!(date(b"0001-01-01"), Some(-719_162));
        assert_eq!(datetime(b"1970-01-01T00:00:01.5"), Some((1_500_000, false)));
        assert_eq!(datetime(b"1970-01-01 02:00:00+02:00"), Some((0, true)));
        assert_eq!(datetime(b"1969-12-31T23:59:59.999999Z"), Some((-1, true)));
        assert_eq!(datetime(b"1970-01-01 02:00+xx"), None);
    }

    #[test]
    fn stated_types_are_more_lenient() {
        assert_eq!(stated_int(b"007"), Some(7));
        assert_eq!(stated_int(b"181.0"), Some(181));
        assert_eq!(stated_int(b"181.5"), None);
        assert_eq!(stated_float(b"007.5"), Some(7.5));
        assert_eq!(stated_float(b"abc"), None);
        assert_eq!(stated_bool(b"Yes"), Some(true));
        assert_eq!(uint(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(uint(b"-1"), None);
    }

    proptest! {
        #[test]
        fn floats_are_read_as_the_standard_library_reads_them(value in any::<f64>().prop_filter("finite", |v| v.is_finite())) {
            let text = value.to_string();
            prop_assert_eq!(float(text.as_bytes()).map(f64::to_bits), Some(value.to_bits()));
            let text = format!("{value:e}");
            prop_assert_eq!(float(text.as_bytes()).map(f64::to_bits), Some(value.to_bits()));
        }

        #[test]
        fn short_decimals_are_read_as_the_standard_library_reads_them(text in "-?(0|[1-9][0-9]{0,12})\\.[0-9]{1,8}(e-?[0-9]{1,2})?") {
            prop_assert_eq!(float(text.as_bytes()).map(f64::to_bits), text.parse::<f64>().ok().map(f64::to_bits));
        }

        #[test]
        fn integers_are_read_as_the_standard_library_reads_them(value in any::<i64>()) {
            prop_assert_eq!(int(value.to_string().as_bytes()), Some(value));
        }

        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            form(trim(&bytes));
        }
    }
}
