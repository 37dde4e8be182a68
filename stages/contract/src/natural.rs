//! The order in which people sort names.

use std::cmp::Ordering;

/// Compares names as people sort them: runs of digits by their value, everything else by character.
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        let (Some(l), Some(r)) = (left.chars().next(), right.chars().next()) else {
            // What is a prefix of the other comes first; `a01` and `a1` still need an order.
            return left.len().cmp(&right.len()).then_with(|| a.cmp(b));
        };
        if l.is_ascii_digit() && r.is_ascii_digit() {
            let (l, rest_l) = digits(left);
            let (r, rest_r) = digits(right);
            match l.len().cmp(&r.len()).then_with(|| l.cmp(r)) {
                Ordering::Equal => (left, right) = (rest_l, rest_r),
                unequal => return unequal,
            }
        } else if l == r {
            (left, right) = (&left[l.len_utf8()..], &right[r.len_utf8()..]);
        } else {
            return l.cmp(&r);
        }
    }
}

/// The leading number without its zeros, and what follows it.
fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (text[..end].trim_start_matches('0'), &text[end..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_sort_as_people_sort_them() {
        let mut names = vec!["b", "a10", "a9", "a09", "a", "a1b", "a1", "é"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["a", "a1", "a1b", "a09", "a9", "a10", "b", "é"]);
    }

    #[test]
    fn numbers_sort_as_numbers() {
        let mut names = vec!["p10", "p2", "p1", "q", "p02", "p", "p2x10", "p2x9"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["p", "p1", "p02", "p2", "p2x9", "p2x10", "p10", "q"]);
    }

    proptest! {
        #[test]
        fn natural_order_is_total(a in "[a-c0-3]{0,6}", b in "[a-c0-3]{0,6}", c in "[a-c0-3]{0,6}") {
            prop_assert_eq!(natural(&a, &b), natural(&b, &a).reverse());
            prop_assert_eq!(natural(&a, &b) == Ordering::Equal, a == b);
            if natural(&a, &b) != Ordering::Greater && natural(&b, &c) != Ordering::Greater {
                prop_assert_ne!(natural(&a, &c), Ordering::Greater);
            }
        }
    }
}
