//! Conditions of gates: `>= 0.97`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    /// `>=`
    #[serde(rename = ">=")]
    AtLeast,
    /// `<=`
    #[serde(rename = "<=")]
    AtMost,
    /// `>`
    #[serde(rename = ">")]
    Above,
    /// `<`
    #[serde(rename = "<")]
    Below,
    /// `==`
    #[serde(rename = "==")]
    Equal,
}

impl Comparison {
    /// As written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::AtLeast => ">=",
            Self::AtMost => "<=",
            Self::Above => ">",
            Self::Below => "<",
            Self::Equal => "==",
        }
    }
}

/// A comparison with a number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// How.
    pub comparison: Comparison,
    /// With what; finite.
    pub value: f64,
}

impl Condition {
    /// Whether a value meets it. NaN meets nothing.
    pub fn holds(&self, value: f64) -> bool {
        match self.comparison {
            Comparison::AtLeast => value >= self.value,
            Comparison::AtMost => value <= self.value,
            Comparison::Above => value > self.value,
            Comparison::Below => value < self.value,
            Comparison::Equal => value == self.value,
        }
    }

    /// Whether no value between the bounds (both included) can meet it.
    pub fn impossible(&self, low: f64, high: f64) -> bool {
        match self.comparison {
            Comparison::AtLeast => self.value > high,
            Comparison::AtMost => self.value < low,
            Comparison::Above => self.value >= high,
            Comparison::Below => self.value <= low,
            Comparison::Equal => !(low..=high).contains(&self.value),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.comparison.symbol(), self.value)
    }
}

/// The text is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a condition")]
pub struct Malformed(String);

impl Malformed {
    /// What would be one.
    pub const HELP: &str = "write a comparison and a number: `>= 0.97`, `< 0.1`, `<=`, `>` or `==`";
}

impl FromStr for Condition {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let malformed = || Malformed(text.to_owned());
        let trimmed = text.trim();
        // Two-character comparisons first: `>` is the beginning of `>=`.
        let all = [Comparison::AtLeast, Comparison::AtMost, Comparison::Equal, Comparison::Above, Comparison::Below];
        let (comparison, rest) = all
            .into_iter()
            .find_map(|comparison| Some((comparison, trimmed.strip_prefix(comparison.symbol())?)))
            .ok_or_else(malformed)?;
        let value: f64 = rest.trim().parse().map_err(|_| malformed())?;
        if value.is_finite() { Ok(Self { comparison, value }) } else { Err(malformed()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn conditions_are_read_and_hold() {
        for (text, value, expected) in [
            (">= 0.97", 0.97, true),
            (">=0.97", 0.969, false),
            (" < 1e-1 ", 0.05, true),
            ("<= 3", 3.5, false),
            ("> -2", 0.0, true),
            ("== 1", 1.0, true),
            (">= 0", f64::NAN, false),
        ] {
            let condition: Condition = text.parse().unwrap();
            assert_eq!(condition.holds(value), expected, "{text} {value}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for text in ["", "0.97", ">= high", "=> 1", "!= 1", "= 1", ">= inf", ">= nan", ">=", ">= 1 2"] {
            assert!(text.parse::<Condition>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_condition_outside_the_range_is_impossible() {
        for (text, expected) in
            [(">= 97", true), ("> 1", true), (">= 1", false), ("< 0", true), ("<= 0", false), ("== 2", true)]
        {
            assert_eq!(text.parse::<Condition>().unwrap().impossible(0.0, 1.0), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn shown_and_read_again_it_is_the_same(value in -1e6..1e6f64, which in 0..5usize) {
            let comparison =
                [Comparison::AtLeast, Comparison::AtMost, Comparison::Above, Comparison::Below, Comparison::Equal][which];
            let condition = Condition { comparison, value };
            prop_assert_eq!(condition.to_string().parse::<Condition>().unwrap(), condition);
        }
    }
}
