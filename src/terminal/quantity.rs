//! Durations, sizes and numbers as people read them.

use std::time::Duration;

/// `0.4 ms`, `12 ms`, `3.2 s`, `4 min 05 s`, `2 h 03 min`.
pub fn duration(value: Duration) -> String {
    let seconds = value.as_secs_f64();
    if seconds < 0.000_95 {
        format!("{:.0} µs", seconds * 1e6)
    } else if seconds < 0.009_95 {
        format!("{:.1} ms", seconds * 1e3)
    } else if seconds < 0.999_5 {
        format!("{:.0} ms", seconds * 1e3)
    } else if seconds < 59.95 {
        format!("{seconds:.1} s")
    } else {
        let whole = seconds.round() as u64;
        if whole < 3600 {
            format!("{} min {:02} s", whole / 60, whole % 60)
        } else {
            format!("{} h {:02} min", whole / 3600, whole % 3600 / 60)
        }
    }
}

/// `812 B`, `14.2 kB`, `3.1 MB`: powers of 1000.
pub fn bytes(value: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut scaled = value as f64;
    let mut unit = 0;
    while scaled >= 999.5 && unit + 1 < UNITS.len() {
        scaled /= 1000.0;
        unit += 1;
    }
    if unit == 0 || scaled >= 99.95 {
        format!("{scaled:.0} {}", UNITS[unit])
    } else {
        format!("{scaled:.1} {}", UNITS[unit])
    }
}

/// So many of something: `1 stage`, `1,797 stages`.
pub fn some(value: usize, noun: &str) -> String {
    format!("{} {noun}{}", count(value as u64), if value == 1 { "" } else { "s" })
}

/// `1,797`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Four significant digits, without needless zeros: `0.9893`, `12.5`, `1.2e-6`.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    if value == 0.0 {
        return "0".into();
    }
    let magnitude = value.abs().log10().floor() as i32;
    if !(-4..9).contains(&magnitude) {
        return format!("{value:.3e}");
    }
    if value.fract() == 0.0 {
        return format!("{value:.0}");
    }
    let decimals = (3 - magnitude).max(0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// `20GiB`, `500 MB`, `0`: what `--keep` takes. A number without a unit is most likely a slip, and would remove everything.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let value: f64 = text[..split].parse().ok()?;
    let factor: f64 = match text[split..].trim().to_ascii_lowercase().as_str() {
        "" if value == 0.0 => 1.0,
        "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let bytes = value * factor;
    (bytes.is_finite() && bytes >= 0.0 && bytes < u64::MAX as f64).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_two_or_three_digits() {
        let shown: Vec<String> = [0.000_012, 0.004_2, 0.012, 0.9996, 3.21, 59.97, 245.0, 7380.0]
            .iter()
            .map(|seconds| duration(Duration::from_secs_f64(*seconds)))
            .collect();
        assert_eq!(shown, ["12 µs", "4.2 ms", "12 ms", "1.0 s", "3.2 s", "1 min 00 s", "4 min 05 s", "2 h 03 min"]);
    }

    #[test]
    fn sizes_and_counts() {
        assert_eq!(bytes(812), "812 B");
        assert_eq!(bytes(14_200), "14.2 kB");
        assert_eq!(bytes(999_900), "1.0 MB");
        assert_eq!(count(7), "7");
        assert_eq!(count(1_797), "1,797");
        assert_eq!(count(1_000_000), "1,000,000");
    }

    #[test]
    fn numbers_keep_four_digits() {
        assert_eq!(number(0.989_26), "0.9893");
        assert_eq!(number(0.5), "0.5");
        assert_eq!(number(12.5), "12.5");
        assert_eq!(number(1797.0), "1797");
        assert_eq!(number(0.000_001_23), "1.230e-6");
        assert_eq!(number(f64::NAN), "NaN");
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!(parse_bytes("20GiB"), Some(20 << 30));
        assert_eq!(parse_bytes("1.5 kB"), Some(1500));
        assert_eq!(parse_bytes("12"), None);
        assert_eq!((parse_bytes("0"), parse_bytes("12 B")), (Some(0), Some(12)));
        assert_eq!(parse_bytes("12 apples"), None);
        assert_eq!(parse_bytes("-1"), None);
    }
}
