//! `matrix`: the product of axes, known before anything runs.

use std::fmt::Write as _;

/// Most children one stage may have.
pub const MOST: usize = 10_000;

/// One axis: its name, and what its values are called, in the document's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    /// The name.
    pub name: String,
    /// What the values are called; no two alike.
    pub labels: Vec<String>,
}

/// One value of every axis, by position, in the order of the axes.
pub type Combination = Vec<usize>;

/// How many combinations there are; `None` beyond what can be counted.
pub fn size(axes: &[Axis]) -> Option<usize> {
    axes.iter().try_fold(1_usize, |size, axis| size.checked_mul(axis.labels.len()))
}

/// All combinations; the last axis turns fastest. The caller has made sure that [`size`] is bearable.
pub fn product(axes: &[Axis]) -> Vec<Combination> {
    let mut all = vec![Vec::with_capacity(axes.len())];
    for axis in axes {
        let longer = |shorter: Combination| {
            (0..axis.labels.len()).map(move |value| {
                let mut combination = shorter.clone();
                combination.push(value);
                combination
            })
        };
        all = all.into_iter().flat_map(longer).collect();
    }
    all
}

/// The name of a child: `model[seed=1,lr=0.1]`.
pub fn name<'a>(of: &str, values: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut name = format!("{of}[");
    for (at, (axis, label)) in values.into_iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(name, "{comma}{axis}={label}");
    }
    name.push(']');
    name
}

/// Whether a text can stand for itself in a child's name. What cannot is called by its position: `#1`.
pub fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.chars().count() <= 80
        && !text.starts_with('#')
        && text.trim() == text
        && !text.chars().any(|c| matches!(c, ',' | '=' | '[' | ']' | '*' | '`') || c.is_control())
}

/// The label of a value that has none of its own, by its position from 0.
pub fn position(at: usize) -> String {
    format!("#{}", at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(name: &str, labels: &[&str]) -> Axis {
        Axis { name: name.into(), labels: labels.iter().map(|label| (*label).to_owned()).collect() }
    }

    #[test]
    fn the_last_axis_turns_fastest() {
        let axes = [axis("seed", &["1", "2"]), axis("lr", &["0.1", "1e-3", "x"])];
        let all = product(&axes);
        assert_eq!(all, [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]);
        assert_eq!(size(&axes), Some(6));
        let huge = vec![axis("a", &["x"; 1000]); 10];
        assert_eq!(size(&huge), None);
        assert_eq!(name("model", [("seed", "1"), ("lr", "1e-3")]), "model[seed=1,lr=1e-3]");
    }

    #[test]
    fn labels() {
        for good in ["1", "-0.5", "true", "a b", "x/y.z", "Größe"] {
            assert!(is_label(good), "{good}");
        }
        for bad in ["", " a", "a,b", "a=b", "[a", "a]", "*", "#1", "a\nb", &"x".repeat(81)] {
            assert!(!is_label(bad), "{bad}");
        }
    }
}
