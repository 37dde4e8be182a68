use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

fn encode(value: &Value) -> Vec<u8> {
    Fold::new("test").json("", value).encoding().to_vec()
}

/// Any JSON value, with the numbers that are easily confused.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop_oneof![Just(0), Just(1), any::<i64>()].prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop_oneof![Just(1.0), Just(0.5), any::<f64>().prop_filter("JSON has no such number", |n| n.is_finite())]
            .prop_map(Value::from),
        "[a-c0-1{}]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c]{0,2}", inner, 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// What the module's page promises: the bytes can be read back, in one way. Returns a text that tells all values apart.
fn decode(bytes: &mut &[u8], out: &mut String) {
    fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
        let (taken, rest) = bytes.split_at(count);
        *bytes = rest;
        taken
    }
    fn word(bytes: &mut &[u8]) -> u64 {
        u64::from_le_bytes(*take(bytes, 8).first_chunk().unwrap())
    }
    fn text(bytes: &mut &[u8]) -> String {
        let count = word(bytes) as usize;
        format!("{:?}", std::str::from_utf8(take(bytes, count)).unwrap())
    }
    match take(bytes, 1)[0] {
        b'n' => out.push_str("null"),
        b'1' => out.push_str("true"),
        b'0' => out.push_str("false"),
        b'u' => out.push_str(&format!("u{}", word(bytes))),
        b'i' => out.push_str(&format!("i{}", word(bytes) as i64)),
        b'd' => out.push_str(&format!("d{:x}", word(bytes))),
        b's' => out.push_str(&text(bytes)),
        b'l' => {
            out.push('[');
            for _ in 0..word(bytes) {
                decode(bytes, out);
                out.push(',');
            }
            out.push(']');
        }
        b'm' => {
            out.push('{');
            for _ in 0..word(bytes) {
                out.push_str(&text(bytes));
                out.push(':');
                decode(bytes, out);
                out.push(',');
            }
            out.push('}');
        }
        other => panic!("no such tag {other}"),
    }
}

/// The same text from the value itself.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(&value.to_string()),
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(value), _, _) => out.push_str(&format!("u{value}")),
            (_, Some(value), _) => out.push_str(&format!("i{value}")),
            (_, _, value) => out.push_str(&format!("d{:x}", value.map_or(0, |value| (value + 0.0).to_bits()))),
        },
        Value::String(text) => out.push_str(&format!("{text:?}")),
        Value::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::Object(entries) => {
            let mut keys: Vec<_> = entries.keys().collect();
            keys.sort();
            out.push('{');
            for key in keys {
                out.push_str(&format!("{key:?}:"));
                canonical(&entries[key], out);
                out.push(',');
            }
            out.push('}');
        }
    }
}

proptest! {
    #[test]
    fn a_value_is_read_back_from_its_encoding(value in values()) {
        let bytes = Fold::new("test").json("", &value).encoding()[9..].to_vec();
        let (mut rest, mut read, mut meant) = (&bytes[..], String::new(), String::new());
        decode(&mut rest, &mut read);
        canonical(&value, &mut meant);
        prop_assert!(rest.is_empty());
        prop_assert_eq!(read, meant);
    }

    #[test]
    fn different_values_have_different_encodings(a in values(), b in values()) {
        prop_assert_eq!(a == b, encode(&a) == encode(&b));
    }

    #[test]
    fn the_order_of_a_mapping_does_not_matter(entries in prop::collection::btree_map("[a-f]{1,3}", values(), 0..6)) {
        let forwards: Map<String, Value> = entries.clone().into_iter().collect();
        let backwards: Map<String, Value> = entries.into_iter().rev().collect();
        prop_assert_eq!(encode(&Value::Object(forwards)), encode(&Value::Object(backwards)));
    }

    #[test]
    fn names_and_texts_do_not_run_together(a in "[a-b]{0,4}", b in "[a-b]{0,4}", c in "[a-b]{0,4}", d in "[a-b]{0,4}") {
        let encode = |name: &str, value: &str| Fold::new("test").text(name, value).encoding().to_vec();
        prop_assert_eq!((&a, &b) == (&c, &d), encode(&a, &b) == encode(&c, &d));
    }
}

/// One call of a fold.
#[derive(Debug, Clone, PartialEq)]
enum Call {
    Text(String, String),
    Bytes(String, Vec<u8>),
    Uint(String, u64),
    Int(String, i64),
    Float(String, u64),
    Flag(String, bool),
    Digest(String, u8),
    None(String),
    List(String, usize),
    Json(String, Value),
    Group(String, Vec<Call>),
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    // Few names, few values and the bytes of tags and lengths among them: what is confused easily.
    let name = || "[a{}1]{0,2}";
    let leaf = prop_oneof![
        (name(), "[sbu{}01]{0,3}").prop_map(|(name, value)| Call::Text(name, value)),
        (name(), prop::collection::vec(prop_oneof![Just(0), Just(b's'), Just(b'}'), Just(1)], 0..10))
            .prop_map(|(name, value)| Call::Bytes(name, value)),
        (name(), 0..3_u64).prop_map(|(name, value)| Call::Uint(name, value)),
        (name(), -1..2_i64).prop_map(|(name, value)| Call::Int(name, value)),
        (name(), 1..3_u32).prop_map(|(name, value)| Call::Float(name, f64::from(value).to_bits())),
        (name(), any::<bool>()).prop_map(|(name, value)| Call::Flag(name, value)),
        (name(), 0..2_u8).prop_map(|(name, value)| Call::Digest(name, value)),
        name().prop_map(Call::None),
        (name(), 0..3_usize).prop_map(|(name, count)| Call::List(name, count)),
        (name(), values()).prop_map(|(name, value)| Call::Json(name, value)),
    ];
    let call = leaf.prop_recursive(2, 8, 3, move |inner| {
        (name(), prop::collection::vec(inner, 0..3)).prop_map(|(name, calls)| Call::Group(name, calls))
    });
    prop::collection::vec(call, 0..4)
}

fn make(fold: &mut Fold, calls: &[Call]) {
    for call in calls {
        match call {
            Call::Text(name, value) => fold.text(name, value),
            Call::Bytes(name, value) => fold.bytes(name, value),
            Call::Uint(name, value) => fold.uint(name, *value),
            Call::Int(name, value) => fold.int(name, *value),
            Call::Float(name, bits) => fold.float(name, f64::from_bits(*bits)),
            Call::Flag(name, value) => fold.flag(name, *value),
            Call::Digest(name, value) => fold.digest(name, &Digest::of(&[*value])),
            Call::None(name) => fold.none(name),
            Call::List(name, count) => fold.list(name, *count),
            Call::Json(name, value) => fold.json(name, value),
            Call::Group(name, calls) => fold.group(name, |fold| make(fold, calls)),
        };
    }
}

proptest! {
    #[test]
    fn different_sequences_of_calls_have_different_encodings(a in calls(), b in calls()) {
        let encode = |calls: &[Call]| {
            let mut fold = Fold::new("test");
            make(&mut fold, calls);
            fold.encoding().to_vec()
        };
        prop_assert_eq!(a == b, encode(&a) == encode(&b));
    }

    /// No encoding goes on as another: a sequence cut short is never taken for one with other fields behind it.
    #[test]
    fn a_changed_call_is_seen_wherever_it_stands(calls in calls(), at in any::<prop::sample::Index>(), other in calls()) {
        prop_assume!(!calls.is_empty() && !other.is_empty());
        let mut changed = calls.clone();
        let at = at.index(changed.len());
        changed[at] = other[0].clone();
        let encode = |calls: &[Call]| {
            let mut fold = Fold::new("test");
            make(&mut fold, calls);
            fold.encoding().to_vec()
        };
        prop_assert_eq!(changed == calls, encode(&changed) == encode(&calls));
    }
}

#[test]
fn types_of_equal_text_differ() {
    let mut all = vec![
        Fold::new("test").none("x").finish(),
        Fold::new("test").flag("x", true).finish(),
        Fold::new("test").flag("x", false).finish(),
        Fold::new("test").uint("x", 1).finish(),
        Fold::new("test").int("x", 1).finish(),
        Fold::new("test").float("x", 1.0).finish(),
        Fold::new("test").text("x", "1").finish(),
        Fold::new("test").bytes("x", b"1").finish(),
        Fold::new("test").list("x", 1).finish(),
        Fold::new("test").json("x", &json!(1)).finish(),
        Fold::new("test").json("x", &json!(1.0)).finish(),
        Fold::new("test").json("x", &json!("1")).finish(),
        Fold::new("test").json("x", &json!(["1"])).finish(),
        Fold::new("test").digest("x", &Digest::of(b"1")).finish(),
        Fold::new("test").group("x", |_| {}).finish(),
        Fold::new("test").group("x", one_more).finish(),
        Fold::new("test").group("x", |_| {}).uint("y", 1).finish(),
        Fold::new("test two").uint("x", 1).finish(),
    ];
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count);
}

#[test]
fn one_nan_and_one_zero() {
    let of = |value: f64| Fold::new("test").float("x", value).finish();
    assert_eq!(of(0.0), of(-0.0));
    assert_eq!(of(f64::NAN), of(-f64::NAN));
    assert_eq!(of(f64::NAN), of(f64::from_bits(0x7ff0_0000_0000_0001)));
    assert_ne!(of(f64::MIN_POSITIVE), of(0.0));
    assert_eq!(of(1e-3), of(0.001));
    assert_eq!(encode(&json!(-0.0)), encode(&json!(0.0)));
}

#[test]
fn the_encoding_is_as_written() {
    let mut fold = Fold::new("test");
    fold.uint("a", 258).flag("b", true).group("c", accent);
    let written = b"u\x01\0\0\0\0\0\0\0a\x02\x01\0\0\0\0\0\0\
        1\x01\0\0\0\0\0\0\0b\
        {\x01\0\0\0\0\0\0\0cs\0\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0h\xc3\xa9}";
    assert_eq!(fold.encoding(), written);
}

/// Changing this digest throws away everybody's stored work: bump the contexts of the keys instead, knowingly.
#[test]
fn one_digest_is_pinned() {
    let mut fold = Fold::new("pipeline fold test v1");
    fold.text("kind", "train")
        .uint("version", 1)
        .int("offset", -2)
        .float("lr", 1e-3)
        .flag("nesterov", true)
        .none("clip")
        .bytes("raw", &[0, 255])
        .digest("data", &Digest::of(b"data"))
        .list("layers", 2)
        .uint("", 128)
        .uint("", 64)
        .group("more", nested);
    assert_eq!(fold.finish().to_string(), "a3fd0efb52813ad541adcccda37a3a3bbe42a9b4d9ecb4759e5f5f58599313c5");
}

fn one_more(fold: &mut Fold) {
    fold.uint("y", 1);
}

fn accent(fold: &mut Fold) {
    fold.text("", "hé");
}

fn nested(fold: &mut Fold) {
    fold.json("value", &json!({ "b": [1, -1, 1.5, null], "a": { "": "é" } }));
}
