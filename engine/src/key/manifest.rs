//! The key of a stage: everything its outputs may depend on, described once.
//!
//! [`describe`] is the one place that says what enters a key. A [`Manifest`] has two readers that therefore cannot
//! disagree: [`Manifest::key`] hashes it, [`crate::key::explain::compare`] says in words how two of them differ. It is
//! stored with the record it led to.
//!
//! | value | enters | why |
//! |---|---|---|
//! | the format of this table | yes | the context of the hash, [`CONTEXT`] |
//! | kind and the version of its implementation | yes | other code, other bytes |
//! | parameters after defaults, as [`contract::kind::Stage::keyed`] gives them | yes | `1e-3` is `0.001`; a default written out is no change; a key taken away is one |
//! | each input's port, artifact kind and *content* digest | yes | early cutoff; two inputs swapped are a change |
//! | outside files: role, name as far as it matters, content digest, in order | yes | content, never times |
//! | the seed as resolved for the stage | of seeded kinds only | a `collect` or an `evaluate` gives the same bytes under every seed: the pipeline's seed can be changed and they stay hits |
//! | libtorch's version, class of the device, determinism mode | of kinds that compute on libtorch | equal bytes are not promised across them; tables do not depend on them |
//! | values of declared environment variables | of `command` | its program line and declared paths are among its parameters |
//! | which child each of many inputs comes from, in order | of `command` | the program is told |
//! | the stage's name, its place in the file, comments, formatting, description, tags | no | renaming is not work |
//! | `needs`, `resources`, `timeout`, `retries`, `cache` | no | they decide when a stage runs, not what it gives |
//! | absolute paths, times, host, user, numbers of jobs and threads | no | kept as provenance beside the record |
//!
//! A file's *name* matters only so far: of a pattern, the matched names (labels may follow from them, and their
//! order is the order of rows); of a `command`, the path, which the program opens itself; of a single file read by a
//! worker, its suffix (`.csv.gz`), which may decide how it is read. Moving a file elsewhere is no change.

use std::collections::BTreeMap;

use cache::Digest;
use cache::Fold;
use contract::artifact::ArtifactKind;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plan::PlannedStage;

/// Names what is hashed, and the version of its description: raised with every change of [`Manifest::key`].
pub const CONTEXT: &str = "pipeline stage key v1";

/// The readable form of what is hashed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The kind's name.
    pub kind: String,
    /// The version of its implementation.
    pub version: u32,
    /// Parameters after defaults, as far as they matter to the result.
    pub params: Value,
    /// Inputs, sorted by port.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<KeyedInput>,
    /// Outside files, in the order the stage reads them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<KeyedFile>,
    /// The seed, of seeded kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// What of the machine matters, by name; sorted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
}

/// An input whose content is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeyedInput {
    /// The port.
    pub port: String,
    /// What sort of thing is connected.
    pub artifact: ArtifactKind,
    /// Of its content.
    pub digest: Digest,
}

/// An outside file whose content is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeyedFile {
    /// As in [`contract::kind::FileInput::role`].
    pub role: String,
    /// As much of its name as matters (see the module's first page); may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// As people know it. The one field that is not hashed: it is here so that reasons can name the file.
    pub shown: String,
    /// Of its content; of a folder, of its tree.
    pub digest: Digest,
}

/// What must be known of a stage, beyond the plan, before it has a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolved {
    /// Connected inputs.
    pub inputs: Vec<KeyedInput>,
    /// Outside files, as [`crate::plan::files`] finds and digests them.
    pub files: Vec<KeyedFile>,
    /// As [`crate::key::Environment::of`] gives it.
    pub environment: BTreeMap<String, String>,
}

/// Describes a stage whose inputs are known by content. The only place that decides what enters a key.
pub fn describe(stage: &PlannedStage, resolved: &Resolved) -> Manifest {
    let mut inputs = resolved.inputs.clone();
    inputs.sort();
    Manifest {
        kind: stage.kind.clone(),
        version: stage.version,
        params: stage.keyed(),
        inputs,
        files: resolved.files.clone(),
        seed: stage.seeded.then_some(stage.seed),
        environment: resolved.environment.clone(),
    }
}

impl Manifest {
    /// The key: the digest of everything in the manifest but [`KeyedFile::shown`].
    pub fn key(&self) -> Digest {
        let mut fold = Fold::new(CONTEXT);
        fold.text("kind", &self.kind).uint("version", u64::from(self.version)).json("params", &self.params);
        fold.list("inputs", self.inputs.len());
        for input in &self.inputs {
            fold.group("input", |fold| {
                fold.text("port", &input.port).text("artifact", input.artifact.name()).digest("content", &input.digest);
            });
        }
        fold.list("files", self.files.len());
        for file in &self.files {
            fold.group("file", |fold| {
                fold.text("role", &file.role).text("name", &file.name).digest("content", &file.digest);
            });
        }
        match self.seed {
            Some(seed) => fold.uint("seed", seed),
            None => fold.none("seed"),
        };
        fold.list("environment", self.environment.len());
        for (name, value) in &self.environment {
            fold.text(name, value);
        }
        fold.finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn digest(byte: u8) -> Digest {
        Digest::from_bytes([byte; 32])
    }

    fn input(port: &str, byte: u8) -> KeyedInput {
        KeyedInput { port: port.into(), artifact: ArtifactKind::Dataset, digest: digest(byte) }
    }

    fn file(role: &str, name: &str, byte: u8) -> KeyedFile {
        KeyedFile { role: role.into(), name: name.into(), shown: format!("data/{name}"), digest: digest(byte) }
    }

    fn sample() -> Manifest {
        Manifest {
            kind: "train".into(),
            version: 3,
            params: json!({"optimizer": {"adam": {"lr": 0.001}}, "epochs": 30}),
            inputs: vec![input("train", 1), input("validation", 2)],
            files: vec![file("csv", ".csv", 3)],
            seed: Some(7),
            environment: BTreeMap::from([("libtorch".into(), "2.13.0".into()), ("device".into(), "cpu".into())]),
        }
    }

    /// A change of this digest makes every record of every user a miss: raise [`CONTEXT`] with it.
    #[test]
    fn one_key_is_pinned() {
        assert_eq!(sample().key().to_string(), "8bace21eb05b82b4a9312f45e56ed98d7ab7563c10acbc4a9ce75803e2e151af");
    }

    #[test]
    fn every_field_matters_but_what_is_shown() {
        let base = sample();
        let edits: [fn(&mut Manifest); 14] = [
            |m| m.kind = "evaluate".into(),
            |m| m.version = 4,
            |m| m.params = json!({"optimizer": {"adam": {"lr": 0.01}}, "epochs": 30}),
            |m| m.params = json!({"epochs": 30}),
            |m| (m.inputs[0].digest, m.inputs[1].digest) = (m.inputs[1].digest, m.inputs[0].digest),
            |m| m.inputs[0].artifact = ArtifactKind::File,
            |m| m.inputs.truncate(1),
            |m| m.files[0].digest = digest(4),
            |m| m.files[0].name = ".csv.gz".into(),
            |m| m.files[0].role = "tsv".into(),
            |m| m.seed = Some(8),
            |m| m.seed = None,
            |m| drop(m.environment.insert("device".into(), "cuda".into())),
            |m| drop(m.environment.remove("device")),
        ];
        let mut keys = vec![base.key()];
        for edit in edits {
            let mut edited = base.clone();
            edit(&mut edited);
            keys.push(edited.key());
        }
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 15);
        let mut moved = base.clone();
        moved.files[0].shown = "elsewhere/digits.csv".into();
        assert_eq!(moved.key(), base.key());
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a-c]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[a-c]{1,2}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// The same value with every mapping filled in the opposite order.
    fn reversed(value: &Value) -> Value {
        match value {
            Value::Array(items) => items.iter().map(reversed).collect(),
            Value::Object(map) => {
                Value::Object(map.iter().rev().map(|(key, value)| (key.clone(), reversed(value))).collect())
            }
            other => other.clone(),
        }
    }

    proptest! {
        #[test]
        fn a_manifest_survives_its_record(params in value()) {
            let manifest = Manifest { params, ..sample() };
            let text = serde_json::to_string(&manifest).unwrap();
            let back: Manifest = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(back.key(), manifest.key());
            prop_assert_eq!(back, manifest);
        }

        #[test]
        fn other_parameters_give_another_key_and_their_order_does_not(a in value(), b in value()) {
            let key = |params: &Value| Manifest { params: params.clone(), ..sample() }.key();
            prop_assert_eq!(a == b, key(&a) == key(&b));
            prop_assert_eq!(key(&a), key(&reversed(&a)));
        }

        #[test]
        fn swapped_inputs_and_swapped_files_differ(a in 0u8..8, b in 0u8..8) {
            let with = |x, y| Manifest {
                inputs: vec![input("left", x), input("right", y)],
                files: vec![file("csv", "a", x), file("csv", "b", y)],
                ..sample()
            }.key();
            prop_assert_eq!(a == b, with(a, b) == with(b, a));
        }
    }
}
