//! `cyclic`: a date as points on circles, so that December lies beside January, and its place in time.

use std::f64::consts::TAU;

use catalog::columns::features::cyclic_width;
use catalog::kinds::train::params::Encoder as Asked;
use contract::artifact::{Column, DType};
use contract::calendar::{civil, days as day_of};
use serde::{Deserialize, Serialize};

use super::encoder::{Encoder, Lesson, Rows, Strip};
use crate::cells::moments;
use crate::fault::Outcome;
use crate::onnx::cell::Cell;
use crate::onnx::graph::Graph;

const DAY: f64 = 86_400.0;

/// A date as points on circles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cyclic {
    /// Of the training part, in the unit of the column (days, seconds).
    pub mean: f64,
    /// Population deviation, 1 for a constant.
    pub deviation: f64,
    /// Whether training had missing cells: then the last place is theirs.
    pub indicator: bool,
}

impl Encoder for Cyclic {
    fn fit(lesson: &mut Lesson<'_>) -> Outcome<Option<Self>> {
        if lesson.decision.encoder != Asked::Cyclic {
            return Ok(None);
        }
        let numbers = lesson.data.numbers(lesson.name())?;
        let (mean, deviation) = moments(numbers.values.iter().copied().filter(|value| !value.is_nan()));
        Ok(Some(Self { mean, deviation, indicator: numbers.missing > 0 }))
    }

    fn width(&self, column: &Column) -> u64 {
        cyclic_width(column.dtype) + u64::from(self.indicator)
    }

    fn write(&self, rows: &Rows<'_>, strip: &mut Strip<'_>) -> Outcome<()> {
        let dtype = rows.column.dtype;
        let numbers = rows.data.numbers(rows.name())?;
        let width = cyclic_width(dtype) as usize;
        for (row, value) in strip.rows().zip(&numbers.values) {
            if !value.is_nan() {
                write(dtype, *value, self.mean, self.deviation, &mut row[..width]);
            } else if self.indicator {
                row[width] = 1.0;
            }
        }
        Ok(())
    }

    fn not_in_onnx(&self) -> Option<&'static str> {
        Some("cyclic")
    }

    fn graph(&self, _: &mut Graph, _: &Cell<'_>) -> String {
        unreachable!("`export` refuses what `not_in_onnx` names")
    }
}

/// Writes the encoding of a date (days since 1970, or seconds for a date with time): its standardised place in time, then sine and
/// cosine of month, day of the month, day of the week and day of the year; of a date with time of the hour, too.
/// `catalog::columns::features::cyclic_width` places.
fn write(dtype: DType, value: f64, mean: f64, deviation: f64, out: &mut [f32]) {
    let seconds = if dtype == DType::Datetime { value } else { value * DAY };
    let days = (seconds / DAY).floor();
    let (year, month, day) = civil(days as i64);
    let year_begins = day_of(year, 1, 1) as f64;
    let year_length = day_of(year + 1, 1, 1) as f64 - year_begins;
    let month_length = {
        let next = if month == 12 { day_of(year + 1, 1, 1) } else { day_of(year, month + 1, 1) };
        (next - day_of(year, month, 1)) as f64
    };
    // Monday is 0; 1970 began on a Thursday.
    let weekday = (days + 3.0).rem_euclid(7.0);
    let turns = [
        (f64::from(month) - 1.0) / 12.0,
        (f64::from(day) - 1.0) / month_length,
        weekday / 7.0,
        (days - year_begins) / year_length,
        (seconds - days * DAY) / DAY,
    ];
    out[0] = ((value - mean) / deviation) as f32;
    for (pair, turn) in out[1..].chunks_exact_mut(2).zip(turns) {
        pair[0] = libm::sin(TAU * turn) as f32;
        pair[1] = libm::cos(TAU * turn) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_year_s_end_lies_beside_its_beginning() {
        let encoded = |days: i64| {
            let mut out = [0f32; 9];
            write(DType::Date, days as f64, 0.0, 1.0, &mut out);
            out
        };
        let (last, first) = (encoded(day_of(2023, 12, 31)), encoded(day_of(2024, 1, 1)));
        let distance =
            |place: usize| ((last[place] - first[place]).powi(2) + (last[place + 1] - first[place + 1]).powi(2)).sqrt();
        assert!(distance(7) < 0.02, "one day of the year apart");
        assert!(distance(1) < 0.6, "one month apart");
        // 2024-01-01 was a Monday.
        assert_eq!((first[5], first[6]), (0.0, 1.0));
    }

    #[test]
    fn the_hour_is_of_dates_with_time() {
        let mut out = [0f32; 11];
        write(DType::Datetime, 6.0 * 3600.0, 0.0, 3600.0, &mut out);
        assert_eq!(out[0], 6.0);
        assert!((out[9] - 1.0).abs() < 1e-6 && out[10].abs() < 1e-6, "a quarter of the day");
        write(DType::Datetime, -1.0, 0.0, 1.0, &mut out);
        assert!(out.iter().all(|value| value.is_finite()));
    }
}
