//! The keys of a pipeline and of every stage. Their doc comments are what editors show.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::decode::format::{DEVICE, DURATION, MEMORY, REFERENCE};

/// A pipeline: stages that make artifacts from artifacts. Run it with `pipeline run`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pipeline {
    /// The pipeline's name.
    #[schemars(length(min = 1))]
    pub pipeline: String,
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// Where all randomness starts. A stage may have its own.
    #[serde(default)]
    pub seed: Option<u64>,
    /// Where to compute: `auto` takes a CUDA device when there is one. A stage may have its own.
    #[serde(default)]
    #[schemars(extend("x-format" = "device", "pattern" = DEVICE, "examples" = ["auto", "cpu", "cuda", "cuda:0"]))]
    pub device: Option<String>,
    /// Values by name, for `${vars.name}` anywhere in this file.
    #[serde(default)]
    pub vars: BTreeMap<String, Value>,
    /// Other files whose stages, variables, defaults and profiles belong to this pipeline. Paths in them start at their folder.
    #[serde(default)]
    #[expect(dead_code, reason = "followed before the rest is read; this is for the schema")]
    pub include: Names,
    /// Sets of other values by name, for `--profile NAME`.
    #[serde(default)]
    #[expect(dead_code, reason = "laid over the tree before it is decoded; this is for the schema")]
    pub profiles: BTreeMap<String, Profile>,
    /// What stages take when they do not say it: by kind, or under `all` for every stage.
    #[serde(default)]
    #[expect(dead_code, reason = "put into the stages before they are decoded; this is for the schema")]
    pub defaults: BTreeMap<String, BTreeMap<String, Value>>,
    /// What all stages together may take. Default: the machine.
    #[serde(default)]
    pub resources: Option<Resources>,
    /// The stages by name. The graph is made of their references, so their order does not matter.
    #[expect(dead_code, reason = "stages are decoded one by one, each under its kind; this is for the schema")]
    pub stages: BTreeMap<String, Value>,
}

/// Keys every stage may have, beside those of its kind.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stage {
    /// What the stage does.
    #[expect(dead_code, reason = "read from the tree before the rest; this is for the schema")]
    pub kind: String,
    /// What the stage is for.
    #[serde(default)]
    pub description: Option<String>,
    /// Input port to what comes in: `stage` for its main output, or `stage.port`; `stage[*]` for all of a `matrix`.
    #[serde(default)]
    #[expect(dead_code, reason = "read from the tree, in the document's order; this is for the schema")]
    pub inputs: BTreeMap<String, ReferenceText>,
    /// One stage for every combination of values: `{ seed: [1, 2, 3] }` makes `model[seed=1]` and so on; `${matrix.seed}` is
    /// the value, `model[*]` all of them.
    #[serde(default)]
    #[expect(dead_code, reason = "expanded before a stage is decoded; this is for the schema")]
    pub matrix: Option<Matrix>,
    /// Stages that must be done first, without data from them.
    #[serde(default)]
    pub needs: Names,
    /// The stage's own seed, instead of the pipeline's.
    #[serde(default)]
    pub seed: Option<u64>,
    /// Where to compute, instead of the pipeline's choice.
    #[serde(default)]
    #[schemars(extend("x-format" = "device", "pattern" = DEVICE, "examples" = ["auto", "cpu", "cuda", "cuda:0"]))]
    pub device: Option<String>,
    /// What the stage takes while it runs.
    #[serde(default)]
    pub resources: Option<Resources>,
    /// Longest time it may run: `30s`, `5m`, `1h30m`.
    #[serde(default)]
    #[schemars(extend("x-format" = "duration", "pattern" = DURATION, "examples" = ["30s", "5m", "1h"]))]
    pub timeout: Option<String>,
    /// Further attempts after a failure.
    #[serde(default)]
    #[schemars(range(max = 100))]
    pub retries: Option<u32>,
    /// Whether a result that is already there is used again. `false` runs every time.
    #[serde(default)]
    pub cache: Option<bool>,
    /// Whether the stage takes part: `true`, `false`, or a comparison like `${vars.mode} == "full"`, with `and`, `or`, `not`. What
    /// reads from a stage that does not take part does not take part either.
    #[serde(default)]
    pub when: Option<Condition>,
    /// Words to find the stage by: `pipeline run tag:nightly`.
    #[serde(default)]
    pub tags: Names,
}

/// Other values, laid over the file. Below `vars`, `defaults` and `stages` a key may be a route: `optimizer.adam.lr`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "laid over the tree before it is decoded; this is for the schema")]
pub(crate) struct Profile {
    /// Other values of variables.
    #[serde(default)]
    pub vars: BTreeMap<String, Value>,
    /// Another seed.
    #[serde(default)]
    pub seed: Option<u64>,
    /// Another device.
    #[serde(default)]
    #[schemars(extend("x-format" = "device", "pattern" = DEVICE, "examples" = ["auto", "cpu", "cuda", "cuda:0"]))]
    pub device: Option<String>,
    /// Other limits for all stages together.
    #[serde(default)]
    pub resources: Option<Resources>,
    /// Other defaults.
    #[serde(default)]
    pub defaults: BTreeMap<String, BTreeMap<String, Value>>,
    /// Other values of stages: name of a stage, key (or route) and value.
    #[serde(default)]
    pub stages: BTreeMap<String, BTreeMap<String, Value>>,
}

/// A condition that has been looked at: whether it holds.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Condition(pub bool);

impl JsonSchema for Condition {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Condition".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "boolean", "x-condition": true })
    }
}

/// Slots and memory.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resources {
    /// Processors.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub cpus: Option<u32>,
    /// Memory: `512MiB`, `2GiB`.
    #[serde(default)]
    #[schemars(extend("x-format" = "memory", "pattern" = MEMORY, "examples" = ["512MiB", "2GiB"]))]
    pub memory: Option<String>,
    /// CUDA devices.
    #[serde(default)]
    pub gpus: Option<u32>,
}

/// Axes of a `matrix`, and combinations to leave out or to add.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Matrix(#[expect(dead_code, reason = "expanded before; this is for the schema")] Value);

impl JsonSchema for Matrix {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Matrix".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let combinations = |what: &str| {
            serde_json::json!({
                "description": what,
                "type": "array",
                "items": { "type": "object", "minProperties": 1, "additionalProperties": true },
            })
        };
        schemars::json_schema!({
            "type": "object",
            "minProperties": 1,
            "properties": {
                "exclude": combinations("Combinations to leave out; each names some axes, and fits whatever the others are."),
                "include": combinations("Combinations to add; each has a value for every axis."),
            },
            "additionalProperties": { "anyOf": [
                { "type": "array", "minItems": 1 },
                { "type": "object", "minProperties": 1, "additionalProperties": true },
            ]},
        })
    }
}

/// A name, or a list of names.
#[derive(Debug, Default)]
pub(crate) struct Names(pub Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let one_or_many = Value::deserialize(deserializer)?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Ok(Self(match &one_or_many {
            Value::Array(items) => items.iter().filter_map(text).collect(),
            other => text(other).into_iter().collect(),
        }))
    }
}

impl JsonSchema for Names {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Names".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "anyOf": [
            { "type": "string", "minLength": 1 },
            { "type": "array", "items": { "type": "string", "minLength": 1 } },
        ]})
    }
}

/// `stage` or `stage.port`.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct ReferenceText(#[expect(dead_code, reason = "the tree has it; this is for the schema")] String);

impl JsonSchema for ReferenceText {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Reference".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "x-format": "reference", "pattern": REFERENCE })
    }
}
