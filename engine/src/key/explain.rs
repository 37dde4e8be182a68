//! Why a stage is not a hit: two manifests compared, and the difference said in words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use cache::Record;
use contract::fault::{Route, Segment};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::key::{KeyedFile, Manifest};
use crate::plan::{Plan, PlannedInput, PlannedStage};

/// One reason for a miss. The first reasons are root causes; `InputChanged` names the stage to ask next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// No stage of this name was ever recorded here.
    NeverRan,
    /// Another kind, or another version of the kind's implementation.
    KindChanged {
        /// `train/3`
        old: String,
        /// `train/4`
        new: String,
    },
    /// A parameter has another value (or is new: `old` is null).
    ParameterChanged {
        /// Relative to the stage's mapping.
        route: Route,
        /// Before.
        old: Value,
        /// Now.
        new: Value,
    },
    /// A parameter is gone.
    ParameterRemoved {
        /// Relative to the stage's mapping.
        route: Route,
        /// Before.
        old: Value,
    },
    /// An input has other content.
    InputChanged {
        /// The port.
        port: String,
        /// The stage that made it.
        from: String,
        /// Digest before; `None` when the port was not connected.
        old: Option<String>,
        /// Digest now; `None` when it is not known yet, or no longer connected.
        new: Option<String>,
    },
    /// An outside file has other content.
    FileChanged {
        /// As shown to people.
        path: String,
        /// Digest before; `None` when it is new.
        old: Option<String>,
        /// Digest now; `None` when it is gone.
        new: Option<String>,
    },
    /// Another seed.
    SeedChanged {
        /// Before.
        old: Option<u64>,
        /// Now.
        new: Option<u64>,
    },
    /// libtorch, device class, a declared environment variable ...
    EnvironmentChanged {
        /// Which.
        what: String,
        /// Before.
        old: Option<String>,
        /// Now.
        new: Option<String>,
    },
    /// The record is there, the blob is gone or damaged.
    OutputLost {
        /// The port.
        port: String,
        /// The digest that is missing.
        digest: String,
    },
    /// Asked for (`--force`).
    Forced,
    /// `cache: false`: runs every time.
    Uncached,
    /// An earlier run of the same key gave other bytes.
    Unstable,
}

/// Why a stage with this manifest is a miss, going by the record it had last. Never empty.
pub fn miss(plan: &Plan, stage: &PlannedStage, last: Option<&Record>, manifest: &Manifest) -> Vec<Reason> {
    let old = last.and_then(|record| serde_json::from_value::<Manifest>(record.manifest.clone()).ok());
    let Some(old) = old else { return vec![Reason::NeverRan] };
    let reasons = compare(&old, manifest, &source_of(plan, stage));
    // The same work as last time, and its record is gone: it is as if it had never run.
    if reasons.is_empty() { vec![Reason::NeverRan] } else { reasons }
}

/// The stage behind each port; the port itself where none is connected any more.
pub(crate) fn source_of<'a>(plan: &'a Plan, stage: &'a PlannedStage) -> impl Fn(&str) -> String + 'a {
    |port| {
        let input = stage.inputs.iter().find(|input| input.port == port);
        // A child's sibling joined the run later and is not in the plan: its port says enough.
        let name = |input: &PlannedInput| plan.stages.get(input.from.0 as usize).map(|stage| stage.name.clone());
        input.map_or_else(String::new, |input| name(input).unwrap_or_else(|| port.to_owned()))
    }
}

/// Everything in which two manifests differ: root causes first, inputs last. Empty exactly when their keys are equal.
///
/// `from` gives the stage that a port is connected to.
pub fn compare(old: &Manifest, new: &Manifest, from: &dyn Fn(&str) -> String) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if (&old.kind, old.version) != (&new.kind, new.version) {
        let name = |manifest: &Manifest| format!("{}/{}", manifest.kind, manifest.version);
        reasons.push(Reason::KindChanged { old: name(old), new: name(new) });
    }
    // The parameters of another kind are other parameters; listing them says nothing.
    if old.kind == new.kind {
        parameters(&Route::root(), &old.params, &new.params, &mut reasons);
    }
    files(&old.files, &new.files, &mut reasons);
    if old.seed != new.seed {
        reasons.push(Reason::SeedChanged { old: old.seed, new: new.seed });
    }
    let names: BTreeSet<&String> = old.environment.keys().chain(new.environment.keys()).collect();
    for what in names {
        let (before, now) = (old.environment.get(what), new.environment.get(what));
        if before != now {
            let (old, new) = (before.cloned(), now.cloned());
            reasons.push(Reason::EnvironmentChanged { what: what.clone(), old, new });
        }
    }
    inputs(old, new, from, &mut reasons);
    reasons
}

fn inputs(old: &Manifest, new: &Manifest, from: &dyn Fn(&str) -> String, reasons: &mut Vec<Reason>) {
    let by_port = |manifest: &Manifest| -> BTreeMap<String, _> {
        manifest.inputs.iter().map(|input| (input.port.clone(), (input.digest, input.artifact))).collect()
    };
    let (before, now) = (by_port(old), by_port(new));
    let ports: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    for port in ports {
        if before.get(port) != now.get(port) {
            let digest =
                |side: &BTreeMap<String, (cache::Digest, _)>| side.get(port).map(|(digest, _)| digest.to_string());
            let (old, new) = (digest(&before), digest(&now));
            reasons.push(Reason::InputChanged { port: port.clone(), from: from(port), old, new });
        }
    }
}

/// Compares leaf by leaf. A choice (a mapping with one key) that became another choice is one change.
fn parameters(route: &Route, old: &Value, new: &Value, reasons: &mut Vec<Reason>) {
    match (old, new) {
        (Value::Object(before), Value::Object(now)) if !other_choice(before, now) => {
            let keys: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
            for key in keys {
                let route = route.join(key.as_str());
                match (before.get(key), now.get(key)) {
                    (Some(old), Some(new)) => parameters(&route, old, new, reasons),
                    (Some(old), None) => reasons.push(Reason::ParameterRemoved { route, old: old.clone() }),
                    (None, Some(new)) => {
                        reasons.push(Reason::ParameterChanged { route, old: Value::Null, new: new.clone() });
                    }
                    (None, None) => {}
                }
            }
        }
        (Value::Array(before), Value::Array(now)) if before.len() == now.len() => {
            for (index, (old, new)) in before.iter().zip(now).enumerate() {
                parameters(&route.join(index), old, new, reasons);
            }
        }
        _ if same(old, new) => {}
        _ => reasons.push(Reason::ParameterChanged { route: route.clone(), old: old.clone(), new: new.clone() }),
    }
}

fn other_choice(before: &serde_json::Map<String, Value>, now: &serde_json::Map<String, Value>) -> bool {
    before.len() == 1 && now.len() == 1 && before.keys().next() != now.keys().next()
}

/// Equal as keys see it: there is one zero.
fn same(old: &Value, new: &Value) -> bool {
    let zero = |value: &Value| value.is_f64() && value.as_f64() == Some(0.0);
    old == new || (zero(old) && zero(new))
}

/// Files are matched by role and name; repeats by their order.
fn files(old: &[KeyedFile], new: &[KeyedFile], reasons: &mut Vec<Reason>) {
    let numbered = |files: &[KeyedFile]| -> BTreeMap<(String, String, usize), KeyedFile> {
        let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
        let number = |file: &KeyedFile| {
            let count = seen.entry((file.role.clone(), file.name.clone())).or_default();
            *count += 1;
            ((file.role.clone(), file.name.clone(), *count), file.clone())
        };
        files.iter().map(number).collect()
    };
    let (before, now) = (numbered(old), numbered(new));
    let names: BTreeSet<_> = before.keys().chain(now.keys()).collect();
    let start = reasons.len();
    for name in names {
        let (old, new) = (before.get(name), now.get(name));
        let digest = |file: Option<&KeyedFile>| file.map(|file| file.digest.to_string());
        if digest(old) != digest(new) {
            let path = new.or(old).map(|file| file.shown.clone()).unwrap_or_default();
            reasons.push(Reason::FileChanged { path, old: digest(old), new: digest(new) });
        }
    }
    let order = |files: &[KeyedFile]| -> Vec<(String, String)> {
        files.iter().map(|file| (file.role.clone(), file.name.clone())).collect()
    };
    if reasons.len() == start && order(old) != order(new) {
        // The same files, read in another order: told at the first that moved.
        let moved = old.iter().zip(new).find(|(old, new)| (&old.role, &old.name) != (&new.role, &new.name));
        if let Some((old, new)) = moved {
            let digest = |file: &KeyedFile| Some(file.digest.to_string());
            reasons.push(Reason::FileChanged { path: new.shown.clone(), old: digest(old), new: digest(new) });
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverRan => write!(f, "it has no result here yet"),
            Self::KindChanged { old, new } => match (old.split_once('/'), new.split_once('/')) {
                (Some((kind, before)), Some((same, now))) if kind == same => {
                    write!(f, "`{kind}` works differently now (version {before} → {now})")
                }
                (Some((before, _)), Some((now, _))) => write!(f, "kind `{before}` → `{now}`"),
                _ => write!(f, "kind `{old}` → `{new}`"),
            },
            Self::ParameterChanged { route, old: Value::Null, new } => {
                write!(f, "{} is new: {}", Told(route), brief(new))
            }
            Self::ParameterChanged { route, old, new } => {
                let (old, new) = apart(old, new);
                write!(f, "{} {old} → {new}", Told(route))
            }
            Self::ParameterRemoved { route, old } => write!(f, "{} is gone (it was {})", Told(route), brief(old)),
            Self::InputChanged { port, from, old, new } => match (old, new) {
                (None, Some(_)) => write!(f, "input `{port}` is new, from `{from}`"),
                (Some(_), None) if from.is_empty() => write!(f, "input `{port}` is no longer connected"),
                (_, None) => write!(f, "input `{port}` waits for `{from}`"),
                (Some(_), Some(_)) => write!(f, "input `{port}` changed: `{from}` gave other content"),
            },
            Self::FileChanged { path, old, new } => match (old, new) {
                (None, _) => write!(f, "`{path}` is read for the first time"),
                (Some(_), None) => write!(f, "`{path}` is no longer read"),
                (Some(_), Some(_)) => write!(f, "`{path}` has other content"),
            },
            Self::SeedChanged { old, new } => match (old, new) {
                (Some(old), Some(new)) => write!(f, "`seed` {old} → {new}"),
                (None, _) => write!(f, "the seed matters to it now"),
                (_, None) => write!(f, "the seed does not matter to it any more"),
            },
            Self::EnvironmentChanged { what, old, new } => {
                let (what, kind) = match what.strip_prefix("env.") {
                    Some(name) => (name, "environment variable "),
                    None => (what.as_str(), ""),
                };
                let show = |value: &Option<String>| {
                    value.as_ref().map(|value| if value.is_empty() { "nothing".into() } else { cut(value, 40) })
                };
                match (show(old), show(new)) {
                    (Some(old), Some(new)) => write!(f, "{kind}`{what}` {old} → {new}"),
                    (None, new) => write!(f, "{kind}`{what}` is set now: {}", new.unwrap_or_default()),
                    (Some(old), None) => write!(f, "{kind}`{what}` is not set any more (it was {old})"),
                }
            }
            Self::OutputLost { port, digest } => {
                write!(f, "the stored output `{port}` is gone or damaged ({})", &digest[..digest.len().min(12)])
            }
            Self::Forced => write!(f, "it was asked for"),
            Self::Uncached => write!(f, "`cache: false`: it runs every time"),
            Self::Unstable => write!(f, "an earlier run of the same work gave other bytes"),
        }
    }
}

/// A route in backticks; the root is "its parameters".
struct Told<'a>(&'a Route);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.0.first() {
            None => f.write_str("its parameters"),
            Some(Segment::Key(_) | Segment::Index(_)) => write!(f, "`{}`", self.0),
        }
    }
}

/// How many characters of a value are shown.
const SHOWN: usize = 60;

/// A value in few words: text as it is, a choice without payload as its name, the rest as JSON, cut when long.
fn brief(value: &Value) -> String {
    cut(&full(value), SHOWN)
}

fn full(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::String(text) if text.is_empty() => "\"\"".into(),
        Value::String(text) => text.replace('\n', "⏎"),
        Value::Object(map) if map.len() == 1 => match map.iter().next() {
            Some((name, payload)) if payload.as_object().is_some_and(serde_json::Map::is_empty) => name.clone(),
            _ => value.to_string(),
        },
        other => other.to_string(),
    }
}

/// Two values; when both are long, from shortly before where they begin to differ.
fn apart(old: &Value, new: &Value) -> (String, String) {
    let (old, new) = (full(old), full(new));
    if old.chars().count() <= SHOWN && new.chars().count() <= SHOWN {
        return (old, new);
    }
    let same = old.chars().zip(new.chars()).take_while(|(a, b)| a == b).count();
    let from = same.saturating_sub(12);
    let view = |text: &str| {
        let rest: String = text.chars().skip(from).collect();
        if from > 0 { format!("…{}", cut(&rest, SHOWN)) } else { cut(&rest, SHOWN) }
    };
    (view(&old), view(&new))
}

fn cut(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(length - 1).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use cache::Digest;
    use contract::artifact::ArtifactKind;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::key::KeyedInput;

    fn digest(byte: u8) -> Digest {
        Digest::from_bytes([byte; 32])
    }

    fn file(name: &str, byte: u8) -> KeyedFile {
        KeyedFile { role: "csv".into(), name: name.into(), shown: format!("data/{name}"), digest: digest(byte) }
    }

    fn sample() -> Manifest {
        let input =
            |port: &str, byte| KeyedInput { port: port.into(), artifact: ArtifactKind::Dataset, digest: digest(byte) };
        Manifest {
            kind: "train".into(),
            version: 3,
            params: json!({
                "optimizer": {"adam": {"lr": 0.001, "betas": [0.9, 0.999]}}, "epochs": 30, "loss": {"cross_entropy": {}}
            }),
            inputs: vec![input("train", 1), input("validation", 2)],
            files: vec![file("a.csv", 3), file("b.csv", 4)],
            seed: Some(7),
            environment: BTreeMap::from([("libtorch".into(), "2.13.0".into())]),
        }
    }

    fn told(edit: impl Fn(&mut Manifest)) -> Vec<String> {
        let (old, mut new) = (sample(), sample());
        edit(&mut new);
        let reasons = compare(&old, &new, &|port| format!("parts-{port}"));
        assert_eq!(reasons.is_empty(), old.key() == new.key());
        reasons.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn reasons_are_told_leaf_by_leaf() {
        assert_eq!(told(|_| ()), [] as [&str; 0]);
        assert_eq!(told(|m| m.params["optimizer"]["adam"]["lr"] = json!(0.01)), ["`optimizer.adam.lr` 0.001 → 0.01"]);
        assert_eq!(
            told(|m| m.params["optimizer"]["adam"]["betas"][1] = json!(0.9)),
            ["`optimizer.adam.betas[1]` 0.999 → 0.9"]
        );
        assert_eq!(
            told(|m| m.params["optimizer"] = json!({"sgd": {"lr": 0.1}})),
            ["`optimizer` {\"adam\":{\"betas\":[0.9,0.999],\"lr\":0.001}} → {\"sgd\":{\"lr\":0.1}}"]
        );
        assert_eq!(told(|m| m.params["loss"] = json!({"mse": {}})), ["`loss` cross_entropy → mse"]);
        assert_eq!(told(|m| m.params["clip"] = json!(1)), ["`clip` is new: 1"]);
        assert_eq!(
            told(|m| drop(m.params.as_object_mut().unwrap().remove("epochs"))),
            ["`epochs` is gone (it was 30)"]
        );
        assert_eq!(told(|m| m.version = 4), ["`train` works differently now (version 3 → 4)"]);
        assert_eq!(told(|m| (m.kind, m.params) = ("tune".into(), json!({}))), ["kind `train` → `tune`"]);
        assert_eq!(told(|m| m.seed = Some(8)), ["`seed` 7 → 8"]);
        assert_eq!(
            told(|m| drop(m.environment.insert("libtorch".into(), "2.14.0".into()))),
            ["`libtorch` 2.13.0 → 2.14.0"]
        );
        assert_eq!(
            told(|m| drop(m.environment.insert("env.X".into(), String::new()))),
            ["environment variable `X` is set now: nothing"]
        );
    }

    #[test]
    fn inputs_and_files_are_told_by_name() {
        assert_eq!(
            told(|m| m.inputs[0].digest = digest(9)),
            ["input `train` changed: `parts-train` gave other content"]
        );
        assert_eq!(told(|m| drop(m.inputs.pop())), ["input `validation` waits for `parts-validation`"]);
        assert_eq!(told(|m| m.files[1].digest = digest(9)), ["`data/b.csv` has other content"]);
        assert_eq!(told(|m| m.files.push(file("c.csv", 5))), ["`data/c.csv` is read for the first time"]);
        assert_eq!(told(|m| drop(m.files.remove(0))), ["`data/a.csv` is no longer read"]);
        assert_eq!(told(|m| m.files.swap(0, 1)), ["`data/b.csv` has other content"]);
        let two = told(|m| (m.inputs[0].digest, m.params["epochs"]) = (digest(9), json!(31)));
        assert_eq!(two, ["`epochs` 30 → 31", "input `train` changed: `parts-train` gave other content"]);
    }

    #[test]
    fn long_values_are_shown_where_they_differ() {
        let line = format!("python train.py {} --lr 0.1", "--flag ".repeat(20));
        let reason = Reason::ParameterChanged {
            route: contract::route!["run"],
            old: json!(line),
            new: json!(line.replace("0.1", "0.2")),
        };
        assert_eq!(reason.to_string(), "`run` …lag  --lr 0.1 → …lag  --lr 0.2");
    }

    fn params() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![(0i64..3).prop_map(Value::from), Just(Value::Null), Just(json!(0.0)), Just(json!(-0.0))];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::btree_map("[ab]", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn there_is_a_reason_exactly_when_keys_differ(
            a in params(), b in params(),
            left in proptest::collection::vec((0u8..2, 0u8..2), 0..4),
            right in proptest::collection::vec((0u8..2, 0u8..2), 0..4),
        ) {
            let files = |list: Vec<(u8, u8)>| list.into_iter().map(|(name, byte)| file(&name.to_string(), byte)).collect();
            let old = Manifest { params: a, files: files(left), ..sample() };
            let new = Manifest { params: b, files: files(right), ..sample() };
            prop_assert_eq!(old.key() == new.key(), compare(&old, &new, &|_| String::new()).is_empty());
        }
    }
}
