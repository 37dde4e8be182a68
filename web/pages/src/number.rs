//! Numbers as people read them.

/// A whole number with thin spaces between thousands.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A number of about four digits.
pub fn number(value: f64) -> String {
    if value == value.trunc() && value.abs() < 1e15 {
        let sign = if value < 0.0 { "−" } else { "" };
        return format!("{sign}{}", count(value.abs() as u64));
    }
    let size = value.abs();
    if !(1e-4..1e9).contains(&size) {
        return format!("{value:.3e}");
    }
    let digits = (3 - size.log10().floor() as i32).clamp(0, 8) as usize;
    let text = format!("{value:.digits$}").replace('-', "−");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A share between 0 and 1.
pub fn percent(share: f64) -> String {
    if share > 0.0 && share < 0.001 { "<0.1 %".into() } else { format!("{:.1} %", share * 100.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_about_four_digits() {
        assert_eq!(
            [0.0, -3.0, 1234567.0, 0.123456, -12.3456, 2e-7].map(number),
            ["0", "−3", "1\u{202f}234\u{202f}567", "0.1235", "−12.35", "2.000e-7"]
        );
        assert_eq!([0.0, 0.0001, 0.5, 1.0].map(percent), ["0.0 %", "<0.1 %", "50.0 %", "100.0 %"]);
    }
}
