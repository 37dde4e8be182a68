//! Three parsers, one opinion: what this crate makes of a file is what `yaml_serde` and serde-saphyr make of it.
//!
//! Known differences, kept out of the comparison: merge keys (the others leave them to the caller), whole numbers in
//! octal (`0o17`) or hexadecimal, and `!` tags, which are faults here.

use serde_json::Value;

use crate::report::faults::PlacedFaults;
use crate::yaml::source::{Source, SourceId};
use crate::yaml::syntax;

fn ours(text: &str) -> Option<Value> {
    let source = Source::new("x", text);
    let mut faults = PlacedFaults::default();
    let node = syntax::parse(SourceId(0), &source, 0, &mut faults)?;
    faults.is_empty().then(|| node.to_json())
}

fn theirs(text: &str) -> Value {
    let mut value: serde_yaml::Value = serde_yaml::from_str(text).expect("YAML");
    value.apply_merge().expect("merge keys");
    serde_json::to_value(value).expect("JSON")
}

fn saphyr(text: &str) -> Value {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
    };
    serde_saphyr::from_str_with_options(text, options).expect("YAML")
}

#[test]
fn on_every_valid_sample() {
    let mut compared = 0;
    for entry in std::fs::read_dir("samples/valid").expect("the samples") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a sample");
        let ours = ours(&text).expect("a tree");
        assert_eq!(ours, theirs(&text), "yaml_serde, {}", path.display());
        assert_eq!(ours, saphyr(&text), "serde-saphyr, {}", path.display());
        compared += 1;
    }
    assert!(compared >= 8, "{compared}");
}

#[test]
fn on_the_corners_of_scalars() {
    let text = r#"
plain: [yes, no, on, off, y, n, true, False, ~, null, Null, 1, -1, 0, 007, 1_000, 1.5, -2.5e-3, 1e3, .5, "", 'x''y', "a\tb"]
words: [1 2, a b, a:b, "1", '1', 12:30:00, 2024-01-01, +1, 1.2.3]
block: |
  one
    two
folded: >-
  one
  two
long: a text
  that goes on
empty:
nested: { a: [1, { b: 2 }], "c d": e }
? complex
: value
"#;
    assert_eq!(ours(text).expect("a tree"), theirs(text));
}

#[test]
fn too_many_values_are_refused() {
    let source = Source::new("x", format!("a: [{}]", "1,".repeat(60_000)));
    let mut faults = PlacedFaults::default();
    assert!(syntax::parse(SourceId(0), &source, 0, &mut faults).is_none());
    let found = faults.finish(&[source]);
    assert_eq!(found.iter().map(|placed| placed.fault.code.as_str()).collect::<Vec<_>>(), ["yaml::too_large"]);
}

#[test]
fn anchors_and_merges() {
    let text = "base: &b { x: 1, y: 2 }\nuse: { <<: *b, y: 3 }\nmany: { <<: [{ z: 1 }, *b], q: 0 }\nagain: *b\n";
    let expected = serde_json::json!({
        "base": { "x": 1, "y": 2 },
        "use": { "x": 1, "y": 3 },
        "many": { "z": 1, "x": 1, "y": 2, "q": 0 },
        "again": { "x": 1, "y": 2 },
    });
    assert_eq!(ours(text).expect("a tree"), expected);
    assert_eq!(theirs(text), expected);
}

proptest::proptest! {
    /// Whatever the writer writes comes back.
    #[test]
    fn what_is_written_is_read(text in "[ -~\u{e9}\n]{0,24}", number in -1e6f64..1e6, whole in proptest::prelude::any::<i64>()) {
        let value = serde_json::json!({ "text": text, "number": number, "whole": whole, "list": [text, [whole]], text.clone(): 1 });
        let written = crate::yaml::write::yaml(&value).expect("YAML");
        proptest::prop_assert_eq!(ours(&written), Some(value), "{}", written);
    }
}
