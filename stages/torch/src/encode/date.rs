//! What a date becomes: points on circles, so that December lies beside January, and its place in time.

use engine::artifact::DType;
use std::f64::consts::TAU;

const DAY: f64 = 86_400.0;

/// Writes the encoding of a date (days since 1970, or seconds for a date with time): its standardised place in time, then sine and
/// cosine of month, day of the month, day of the week and day of the year; of a date with time of the hour, too.
/// `catalog::features::cyclic_width` places.
pub fn write(dtype: DType, value: f64, mean: f64, deviation: f64, out: &mut [f32]) {
    let seconds = if dtype == DType::Datetime { value } else { value * DAY };
    let days = (seconds / DAY).floor();
    let (year, month, day) = civil(days as i64);
    let year_begins = days_from_civil(year, 1, 1) as f64;
    let year_length = days_from_civil(year + 1, 1, 1) as f64 - year_begins;
    let month_length = {
        let next = if month == 12 { days_from_civil(year + 1, 1, 1) } else { days_from_civil(year, month + 1, 1) };
        (next - days_from_civil(year, month, 1)) as f64
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

/// Year, month and day of a day since 1970 in the Gregorian calendar (Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_based = (5 * of_year + 2) / 153;
    let day = (of_year - (153 * march_based + 2) / 5 + 1) as u32;
    let month = if march_based < 10 { march_based + 3 } else { march_based - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The inverse of [`civil`].
fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let march_based = i64::from((month + 9) % 12);
    let of_year = (153 * march_based + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_is_gregorian() {
        for (days, date) in [
            (0, (1970, 1, 1)),
            (-1, (1969, 12, 31)),
            (11_016, (2000, 2, 29)),
            (19_782, (2024, 2, 29)),
            (19_783, (2024, 3, 1)),
            (-719_468, (0, 3, 1)),
        ] {
            assert_eq!(civil(days), date);
            assert_eq!(days_from_civil(date.0, date.1, date.2), days);
        }
    }

    #[test]
    fn the_year_s_end_lies_beside_its_beginning() {
        let encoded = |days: i64| {
            let mut out = [0f32; 9];
            write(DType::Date, days as f64, 0.0, 1.0, &mut out);
            out
        };
        let (last, first) = (encoded(days_from_civil(2023, 12, 31)), encoded(days_from_civil(2024, 1, 1)));
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
