//! The order people expect of names with numbers in them: `p2` before `p10`.

use std::cmp::Ordering;

/// Compares two names; runs of digits compare as numbers, everything else byte by byte. Names that differ only in leading
/// zeros are ordered by their bytes, so that the order is total.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.as_bytes(), b.as_bytes());
    loop {
        match (left.first(), right.first()) {
            (None, None) => return a.cmp(b),
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let (x, rest_left) = number(left);
                let (y, rest_right) = number(right);
                let order = x.len().cmp(&y.len()).then_with(|| x.cmp(y));
                if order.is_ne() {
                    return order;
                }
                (left, right) = (rest_left, rest_right);
            }
            (Some(x), Some(y)) => {
                let order = x.cmp(y);
                if order.is_ne() {
                    return order;
                }
                (left, right) = (&left[1..], &right[1..]);
            }
        }
    }
}

/// The digits at the start without leading zeros, and the rest.
fn number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let zeros = digits.iter().position(|byte| *byte != b'0').unwrap_or(digits.len());
    (&digits[zeros..], rest)
}

#[cfg(test)]
mod tests {
    use super::compare;

    #[test]
    fn numbers_inside_names_are_numbers() {
        let mut names = ["p10", "p2", "p1", "q", "p", "p1_9", "p1_10", "p02", "P3", "99999999999999999999999", "3"];
        names.sort_by(|a, b| compare(a, b));
        assert_eq!(names, ["3", "99999999999999999999999", "P3", "p", "p1", "p1_9", "p1_10", "p02", "p2", "p10", "q"]);
    }
}
