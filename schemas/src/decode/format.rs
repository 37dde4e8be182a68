//! Texts with a form of their own: names, references, lengths of time, amounts of memory.

use std::time::Duration;

use contract::name;

/// Pattern of `device`.
pub(crate) const DEVICE: &str = "^(auto|cpu|cuda|cuda:[0-9]+)$";
/// Pattern of `timeout`.
pub(crate) const DURATION: &str = "^([0-9]+(\\.[0-9]+)?(ms|s|m|h|d))+$";
/// Pattern of `memory`.
pub(crate) const MEMORY: &str = "^[0-9]+(\\.[0-9]+)? ?(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$";
/// Pattern of a stage's name.
pub(crate) const NAME: &str = "^[A-Za-z_][A-Za-z0-9_-]*$";
/// Pattern of a reference.
pub(crate) const REFERENCE: &str = "^[A-Za-z_][A-Za-z0-9_-]*(\\[[^\\[\\]]+\\])?(\\.[A-Za-z0-9_-]+)?$";

/// What a text must look like beyond being text: `x-format` in a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Device,
    Duration,
    Memory,
    Reference,
}

impl Format {
    /// The format of an `x-format`.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "device" => Self::Device,
            "duration" => Self::Duration,
            "memory" => Self::Memory,
            "reference" => Self::Reference,
            _ => return None,
        })
    }

    /// Whether a text has the format.
    pub fn accepts(self, text: &str) -> bool {
        match self {
            Self::Device => {
                matches!(text, "auto" | "cpu" | "cuda")
                    || text
                        .strip_prefix("cuda:")
                        .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
            }
            Self::Duration => duration(text).is_some(),
            Self::Memory => memory(text).is_some(),
            Self::Reference => {
                let (stage, port) = name::split(text);
                let stage = name::family(stage).filter(|of| stage.len() > of.len() + 2).unwrap_or(stage);
                is_name(stage) && port.is_none_or(is_port)
            }
        }
    }

    /// What it is, and how to write it.
    pub fn wanted(self) -> (&'static str, &'static str) {
        match self {
            Self::Device => ("a device", "write `auto`, `cpu`, `cuda` or `cuda:0`"),
            Self::Duration => ("a length of time", "write a number and a unit: `30s`, `5m`, `1h30m`"),
            Self::Memory => ("an amount of memory", "write a number and a unit: `512MiB`, `2GiB`"),
            Self::Reference => ("a reference", "write `stage`, `stage.port`, or of a stage with a `matrix` `stage[*]`"),
        }
    }
}

/// Whether a text can be a stage's name: a letter or `_`, then letters, digits, `_`, `-`.
pub(crate) fn is_name(text: &str) -> bool {
    text.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_') && is_port(text)
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// A number with at most one point, and what follows it.
fn leading_number(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let well_formed = digits.split('.').all(|part| !part.is_empty()) && digits.matches('.').count() <= 1;
    well_formed.then(|| digits.parse().ok()).flatten().map(|number| (number, rest))
}

/// Reads `1h30m`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut seconds = 0.0;
    let mut rest = text;
    loop {
        let (number, after) = leading_number(rest)?;
        let units = [("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86400.0)];
        let (unit, scale) = units.into_iter().find(|(unit, _)| after.starts_with(unit))?;
        seconds += number * scale;
        rest = &after[unit.len()..];
        if rest.is_empty() {
            return Duration::try_from_secs_f64(seconds).ok();
        }
    }
}

/// Reads `2GiB`.
pub(crate) fn memory(text: &str) -> Option<u64> {
    let (number, unit) = leading_number(text)?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let scale = match unit {
        "B" => 1.0,
        "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        "KiB" => 1024.0,
        "MiB" => f64::from(1u32 << 20),
        "GiB" => f64::from(1u32 << 30),
        "TiB" => (1u64 << 40) as f64,
        _ => return None,
    };
    let bytes = (number * scale).round();
    (bytes < 1.8e19).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes() {
        assert_eq!(duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        for wrong in ["", "5", "m", "5 m", "1.s", ".5s", "1h3", "-5s", "5x"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
        assert_eq!(memory("2GiB"), Some(2 << 30));
        assert_eq!(memory("1.5 KB"), Some(1500));
        for wrong in ["", "2", "GiB", "2 gib", "2  GiB", "-1B", "1e3B"] {
            assert_eq!(memory(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn references() {
        for good in ["a", "a.b", "raw-2.x_1", "_x", "a[*]", "a[lr=0.1].b", "a[x=1,*]"] {
            assert!(Format::Reference.accepts(good), "{good}");
        }
        for bad in ["", ".", "a.", ".a", "a.b.c", "a b", "2a", "a[]", "[*]", "a[*].", "a[*"] {
            assert!(!Format::Reference.accepts(bad), "{bad}");
        }
    }
}
