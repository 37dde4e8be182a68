//! The spelling of names: `model[seed=1]`, `model[seed=1].metrics`.

/// The stage a name with brackets is a child (or a selection) of: `model` of `model[seed=1]`, `model[seed=1]` of
/// `model[seed=1][0]`.
pub fn family(name: &str) -> Option<&str> {
    name.strip_suffix(']')?.rsplit_once('[').map(|(of, _)| of)
}

/// What stands between a child's last brackets: `seed=1,lr=0.1`. A planned stage has its label; this is for names that a
/// user wrote.
pub fn label(name: &str) -> Option<&str> {
    name.strip_suffix(']')?.rsplit_once('[').map(|(_, label)| label)
}

/// Cuts `stage.port` in two. A point between brackets belongs to the stage: `model[lr=0.1].metrics`.
pub fn split(reference: &str) -> (&str, Option<&str>) {
    let from = reference.rfind(']').unwrap_or(0);
    match reference[from..].find('.') {
        Some(at) => (&reference[..from + at], Some(&reference[from + at + 1..])),
        None => (reference, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_cut_outside_brackets() {
        assert_eq!(split("a"), ("a", None));
        assert_eq!(split("a.b"), ("a", Some("b")));
        assert_eq!(split("a[lr=0.1]"), ("a[lr=0.1]", None));
        assert_eq!(split("a[lr=0.1].metrics"), ("a[lr=0.1]", Some("metrics")));
        assert_eq!(family("a[lr=0.1]"), Some("a"));
        assert_eq!(label("a[lr=0.1]"), Some("lr=0.1"));
        assert_eq!(family("a"), None);
    }

    #[test]
    fn a_child_of_a_child_keeps_its_parent() {
        assert_eq!((family("model[seed=1][0]"), label("model[seed=1][0]")), (Some("model[seed=1]"), Some("0")));
        assert_eq!((family("model[seed=1]"), label("model[seed=1]")), (Some("model"), Some("seed=1")));
        assert_eq!((family("model"), label("model")), (None, None));
    }
}
