//! `profile`: what a data set is, how its columns depend on each other, and what must hold of it.

mod check;
pub mod params;

use contract::artifact::{ArtifactKind, ArtifactType, Column, DType};
use contract::fault::{Fault, Faults, Route};
use contract::kind::{
    About, DeclaredInput, DeclaredOutput, InferContext, Inference, InputPort, Kind, Look, OutputPort, Program,
    Question, Stage, input_ports, output_ports,
};
use contract::route;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::check::check;
pub use self::check::{number, text};
use crate::columns::pattern;
use crate::kinds::profile::params::{Expectation, Profile, Range};
use crate::params::scalar::Scalar;
use crate::params::shape::OneOrMany;
use crate::params::typed::{decode, encode, sound};

/// Bumped whenever the same data would give another profile or another page.
pub const VERSION: u32 = 5;

/// The port of another table.
const RELATED_TABLE: DeclaredInput = DeclaredInput::optional(
    RELATED,
    &[ArtifactKind::Dataset],
    "Another table: which columns point into it is found, and `foreign_key` checked. Further ones are inputs \
                     called `related_` and a name of your own: `related_planes`.",
);

/// The input ports.
const INPUTS: &[DeclaredInput] = &[
    DeclaredInput::required("data", &[ArtifactKind::Dataset], "The rows to describe."),
    RELATED_TABLE,
    DeclaredInput::optional(
        "reference",
        &[ArtifactKind::Dataset, ArtifactKind::Profile],
        "What the data is compared with: drift of every column.",
    ),
];

/// The output ports.
const OUTPUTS: &[DeclaredOutput] = &[
    DeclaredOutput::new(
        "profile",
        ArtifactKind::Profile,
        "All numbers and the sketches behind them as JSON; the format is in `docs/profile.md`.",
    ),
    DeclaredOutput::new(
        "report",
        ArtifactKind::Report,
        "A page for people, in one HTML file: `pipeline get facts.report -o report.html`.",
    ),
];

/// The kind.
pub struct ProfileKind;

impl Kind for ProfileKind {
    fn name(&self) -> &'static str {
        "profile"
    }

    fn version(&self) -> u32 {
        VERSION
    }

    fn program(&self) -> Program {
        Program::Data
    }

    fn seeded(&self) -> bool {
        false
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Profile::json_schema(generator)
    }

    fn about(&self) -> About {
        About {
            summary: "Describes a data set: every variable, how the variables depend on each other, what looks wrong and the \
                      step that mends it, and what could be demanded of it. What `expect` demands is a gate: where it does \
                      not hold, the run stops with exit code 3 and shows example rows.",
            inputs: INPUTS,
            outputs: OUTPUTS,
            example: "facts:\n  kind: profile\n  inputs: { data: clean }\n  target: label\n  expect:\n    - { column: label, in: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] }\n    - { column: [id, day], unique: true }\n    - { column: weight, range: { min: 0 }, not_null: true }\n    - { rows: { min: 1000 } }\n",
        }
    }

    fn look(&self) -> Look {
        Look::of_hue(150)
    }

    fn stage(&self, params: Value) -> Result<Box<dyn Stage>, Faults> {
        let params: Profile = decode(params)?;
        let faults =
            params.expect.iter().enumerate().flat_map(|(index, one)| check(one, &route!["expect", index])).collect();
        sound(Box::new(ProfileStage(params)), faults)
    }
}

/// The regular expressions of a profile, for the question whether they are any: (route, expression).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expressions {
    /// Where each stands, and what it is.
    pub expressions: Vec<(Route, String)>,
}

/// A `profile` with its parameters.
pub struct ProfileStage(pub Profile);

impl Stage for ProfileStage {
    fn params(&self) -> Value {
        encode(&self.0)
    }

    fn inputs(&self, connected: &[&str]) -> Vec<InputPort> {
        let more = connected.iter().filter(|port| **port != RELATED && related(port).is_some());
        let more: Vec<InputPort> = more.map(|port| RELATED_TABLE.port(port)).collect();
        input_ports(INPUTS, connected).into_iter().chain(more).collect()
    }

    fn outputs(&self) -> Vec<OutputPort> {
        output_ports(OUTPUTS)
    }

    fn infer(&self, context: &InferContext<'_>) -> Inference {
        let dataset = |port: &str| context.inputs.get(port).and_then(ArtifactType::dataset);
        let mut faults = Vec::new();
        if let Some(columns) = dataset("data").and_then(|data| data.columns.as_deref()) {
            let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            if let Some(target) = &self.0.target {
                match columns.iter().find(|column| column.name == *target) {
                    None => faults.push(pattern::unknown(target, &names).at(route!["target"])),
                    Some(column) if !column.shape.is_empty() => faults.push(
                        Fault::error(
                            contract::code!("profile::target_type"),
                            format!("`{target}` is {}, nothing to predict", column.type_name()),
                        )
                        .help("a target is a class or a number")
                        .at(route!["target"]),
                    ),
                    Some(_) => {}
                }
            }
            let tables: Vec<(&str, Option<&[Column]>)> = context
                .connected
                .iter()
                .filter_map(|port| Some((related(port)?, dataset(port).and_then(|table| table.columns.as_deref()))))
                .collect();
            for (index, one) in self.0.expect.iter().enumerate() {
                fits(one, columns, &names, &tables, &route!["expect", index], &mut faults);
            }
        }
        let expressions: Vec<(Route, String)> = (self.0.expect.iter().enumerate())
            .filter_map(|(index, one)| Some((route!["expect", index, "regex"], one.regex.clone()?)))
            .collect();
        if !expressions.is_empty() {
            let question = Question {
                kind: "profile".into(),
                version: VERSION,
                params: encode(&Expressions { expressions }),
                inputs: Default::default(),
                files: Vec::new(),
            };
            if let Err(refused) = context.oracle.ask(Program::Data, &question) {
                faults.extend(refused);
            }
        }
        let outputs = [("profile", ArtifactKind::Profile), ("report", ArtifactKind::Report)]
            .map(|(port, kind)| (port.to_owned(), ArtifactType::Other(kind)));
        Inference { outputs: outputs.into_iter().collect(), faults }
    }
}

/// The input of a related table.
const RELATED: &str = "related";

/// The name of the related table at an input: `planes` at `related_planes`, `related` at `related`.
pub fn related(port: &str) -> Option<&str> {
    if port == RELATED {
        return Some(port);
    }
    port.strip_prefix("related_").filter(|name| !name.is_empty())
}

/// Which table and which of its columns a `foreign_key` points to: `code` of the input `related` or of the only table that has one, or
/// `planes.code`. `None` where none has it.
///
/// # Errors
/// The tables, where several have such a column.
pub fn pointed(key: &str, tables: &[(&str, Vec<&str>)]) -> Result<Option<(usize, usize)>, Vec<String>> {
    let column = |table: usize, key: &str| tables[table].1.iter().position(|name| *name == key);
    let all = || 0..tables.len();
    let found: Vec<(usize, usize)> = all().filter_map(|table| Some((table, column(table, key)?))).collect();
    if let Some(plain) = found.iter().find(|(table, _)| tables[*table].0 == RELATED) {
        return Ok(Some(*plain));
    }
    match found.as_slice() {
        [] => Ok(all().find_map(|table| {
            let key = key.strip_prefix(tables[table].0)?.strip_prefix('.')?;
            Some((table, column(table, key)?))
        })),
        [one] => Ok(Some(*one)),
        several => Err(several.iter().map(|(table, _)| tables[*table].0.to_owned()).collect()),
    }
}

/// Whether an expectation can be asked of these columns. `related`: the related tables by name, with their columns where those are known.
fn fits(
    one: &Expectation,
    columns: &[Column],
    names: &[&str],
    related: &[(&str, Option<&[Column]>)],
    at: &Route,
    faults: &mut Vec<Fault>,
) {
    let Some(entries) = &one.column else { return };
    let chosen = match pattern::select(entries, names, &at.join("column")) {
        Ok(chosen) => chosen,
        Err(unknown) => return faults.extend(unknown),
    };
    if let Some(name) = &one.determines {
        let there = columns.iter().position(|column| column.name == *name);
        let fault = match there {
            None => Some(pattern::unknown(name, names)),
            Some(at) if !columns[at].shape.is_empty() || columns[at].dtype == DType::Binary => Some(
                Fault::error(
                    contract::code!("profile::column_type"),
                    format!("column `{name}` is {}, which nothing is compared with", columns[at].type_name()),
                )
                .help("demand it of a column of single values"),
            ),
            Some(at) if chosen.contains(&at) => Some(
                Fault::error(
                    contract::code!("profile::bounds"),
                    format!("`{name}` is among the columns, which says nothing"),
                )
                .help("take it out of `column`"),
            ),
            Some(_) => None,
        };
        faults.extend(fault.map(|fault| fault.at(at.join("determines"))));
    }
    let pointed = one.foreign_key.as_ref().and_then(|key| foreign(key, related, at, faults));
    for column in chosen.into_iter().map(|position| &columns[position]) {
        let mut misfit = |key: &str, what: &str, help: &str| {
            faults.push(
                Fault::error(
                    contract::code!("profile::column_type"),
                    format!("column `{}` is {}, {what}", column.name, column.type_name()),
                )
                .help(help)
                .at(at.join(key)),
            );
        };
        let scalar = column.shape.is_empty() && column.dtype != DType::Binary;
        if !scalar && one.not_null && *one == (Expectation { column: one.column.clone(), not_null: true, ..nothing() })
        {
            continue;
        }
        if !scalar {
            misfit("column", "of which only `not_null` can be demanded", "demand it of a column of single values");
            continue;
        }
        if let Some(Range { min, max }) = &one.range {
            for bound in [min, max].into_iter().flatten() {
                let number = number(bound).is_some();
                if number && !column.dtype.is_numeric() {
                    misfit(
                        "range",
                        "which no number bounds",
                        "dates and text are bounded by text: `{ min: 2020-01-01 }`",
                    );
                } else if !number && (column.dtype.is_numeric() || column.dtype == DType::Bool) {
                    misfit("range", "which no text bounds", "write a number without quotes");
                }
            }
        }
        if one.regex.is_some() && column.dtype != DType::String {
            misfit("regex", "and a regular expression reads text", "use `range` or `in` for other columns");
        }
        if one.sum.is_some() && !column.dtype.is_numeric() {
            misfit("sum", "and only numbers add up", "leave it out of `column`");
        }
        if one.monotone.is_some() && column.dtype == DType::Bool {
            misfit("monotone", "which has no order", "demand it of numbers, dates or text");
        }
        for value in one.one_of.iter().flatten() {
            let fitting = match value {
                Scalar::Bool(_) => matches!(column.dtype, DType::Bool | DType::String),
                Scalar::Int(_) => column.dtype.is_numeric() || column.dtype == DType::String,
                Scalar::Float(_) => column.dtype.is_float() || column.dtype == DType::String,
                Scalar::Text(_) => matches!(column.dtype, DType::String | DType::Date | DType::Datetime),
            };
            if !fitting {
                let help = "write numbers without quotes for columns of numbers, text for the others";
                misfit("in", &format!("which never is `{}`", text(value)), help);
                break;
            }
        }
        if let Some(other) = pointed
            && (other.dtype.is_numeric() != column.dtype.is_numeric() || !other.shape.is_empty())
        {
            misfit(
                "foreign_key",
                &format!("and `{}` there is {}", other.name, other.type_name()),
                "cast one of them before",
            );
        }
    }
}

/// The column a foreign key points to, where it is known.
fn foreign<'a>(
    key: &str,
    related: &[(&str, Option<&'a [Column]>)],
    at: &Route,
    faults: &mut Vec<Fault>,
) -> Option<&'a Column> {
    let at = at.join("foreign_key");
    if related.is_empty() {
        faults.push(
            Fault::error(
                contract::code!("profile::no_related"),
                "a foreign key points into the input `related`, which is not connected",
            )
            .help("connect the other table: `inputs: { data: flights, related: planes }`")
            .at(at),
        );
        return None;
    }
    // Of a table whose columns are not known yet, nothing is.
    let known: Option<Vec<(&str, &[Column])>> =
        related.iter().map(|(name, columns)| Some((*name, (*columns)?))).collect();
    let known = known?;
    let names = |columns: &'a [Column]| columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>();
    let tables: Vec<(&str, Vec<&str>)> = known.iter().map(|(name, columns)| (*name, names(columns))).collect();
    match pointed(key, &tables) {
        Ok(Some((table, column))) => return known[table].1.get(column),
        Ok(None) => {
            let all: Vec<&str> = tables.into_iter().flat_map(|(_, names)| names).collect();
            faults.push(pattern::unknown(key, &all).at(at));
        }
        Err(several) => faults.push(ambiguous(key, &several).at(at)),
    }
    None
}

/// The fault of a foreign key that several tables have.
pub fn ambiguous(key: &str, tables: &[String]) -> Fault {
    let named: Vec<String> = tables.iter().map(|table| format!("`{table}`")).collect();
    let first = tables.first().map_or("", String::as_str);
    Fault::error(contract::code!("profile::which_related"), format!("{} all have a column `{key}`", named.join(", ")))
        .help(format!("say which: `foreign_key: {first}.{key}`"))
}

/// An expectation that demands nothing.
pub fn nothing() -> Expectation {
    Expectation {
        column: None::<OneOrMany<String>>,
        one_of: None,
        range: None,
        regex: None,
        unique: false,
        not_null: false,
        rows: None,
        sum: None,
        determines: None,
        monotone: None,
        foreign_key: None,
        mostly: 1.0,
    }
}

#[cfg(test)]
mod tests {
    use contract::artifact::DatasetType;
    use contract::kind::Silent;
    use serde_json::json;

    use super::*;

    fn faults(expect: Value, connected: &[&str]) -> Vec<(String, String)> {
        let stage = match ProfileKind.stage(json!({ "target": "y", "expect": expect })) {
            Ok(stage) => stage,
            Err(faults) => return listed(faults.into_vec()),
        };
        let mut image = Column::new("image", DType::Float32);
        image.shape = vec![8, 8];
        let columns = vec![
            Column::new("y", DType::Int64),
            Column::new("name", DType::String),
            Column::new("day", DType::Date),
            image,
        ];
        let data = ArtifactType::Dataset(DatasetType { columns: Some(columns), ..DatasetType::default() }.into());
        let other = |columns: &[&str]| {
            let columns = columns.iter().map(|name| Column::new(*name, DType::String)).collect();
            ArtifactType::Dataset(DatasetType { columns: Some(columns), ..DatasetType::default() }.into())
        };
        let inputs = [
            ("data".to_owned(), data),
            ("related".to_owned(), other(&["code"])),
            ("related_planes".to_owned(), other(&["tail", "maker"])),
            ("related_ports".to_owned(), other(&["code", "maker"])),
        ]
        .into();
        listed(stage.infer(&InferContext { stage: "facts", connected, inputs: &inputs, oracle: &Silent }).faults)
    }

    fn listed(faults: Vec<Fault>) -> Vec<(String, String)> {
        faults.into_iter().map(|fault| (fault.code, fault.route.unwrap_or_default().to_string())).collect()
    }

    #[test]
    fn what_can_hold_passes() {
        let expect = json!([
            { "column": "y", "in": [0, 1], "not_null": true, "mostly": 0.5 },
            { "column": ["y", "n*"], "unique": true },
            { "column": "day", "range": { "min": "2020-01-01" }, "monotone": "increasing" },
            { "column": "name", "regex": "^a", "foreign_key": "code" },
            { "column": "*", "not_null": true },
            { "column": "y", "sum": { "equals": 1 } },
            { "column": ["y", "name"], "determines": "day" },
            { "rows": { "min": 1 } },
        ]);
        assert_eq!(faults(expect, &["data", "related"]), []);
    }

    #[test]
    fn what_cannot_hold_is_found_in_its_place() {
        for (expect, code, at) in [
            (json!({ "column": "nam", "unique": true }), "data::unknown_column", "expect[0].column"),
            (json!({ "column": "z*", "unique": true }), "data::no_match", "expect[0].column"),
            (json!({ "column": "y" }), "profile::nothing_expected", "expect[0]"),
            (json!({ "unique": true }), "profile::no_column", "expect[0]"),
            (json!({ "rows": {} }), "profile::bounds", "expect[0].rows"),
            (json!({ "column": "y", "rows": { "min": 1 } }), "profile::rows_of_column", "expect[0].rows"),
            (json!({ "column": "y", "range": { "min": 2, "max": 1 } }), "profile::bounds", "expect[0].range"),
            (json!({ "column": "y", "range": { "min": "a" } }), "profile::column_type", "expect[0].range"),
            (json!({ "column": "day", "range": { "min": 3 } }), "profile::column_type", "expect[0].range"),
            (json!({ "column": "y", "in": ["0"] }), "profile::column_type", "expect[0].in"),
            (json!({ "column": "y", "in": [] }), "profile::bounds", "expect[0].in"),
            (json!({ "column": "y", "regex": "a" }), "profile::column_type", "expect[0].regex"),
            (json!({ "column": "name", "sum": { "equals": 1 } }), "profile::column_type", "expect[0].sum"),
            (json!({ "column": "image", "unique": true }), "profile::column_type", "expect[0].column"),
            (json!({ "column": "y", "determines": "dya" }), "data::unknown_column", "expect[0].determines"),
            (json!({ "column": "y", "determines": "y" }), "profile::bounds", "expect[0].determines"),
            (json!({ "column": "y", "determines": "image" }), "profile::column_type", "expect[0].determines"),
            (json!({ "column": "name", "foreign_key": "cod" }), "data::unknown_column", "expect[0].foreign_key"),
            (json!({ "column": "y", "foreign_key": "code" }), "profile::column_type", "expect[0].foreign_key"),
            (json!({ "column": "y", "unique": true, "mostly": 2.0 }), "profile::bounds", "expect[0].mostly"),
        ] {
            let found = faults(json!([expect]), &["data", "related"]);
            assert_eq!(found, [(code.to_owned(), at.to_owned())], "{expect}");
        }
        let all = &["data", "related", "related_planes", "related_ports"];
        for (key, codes) in [
            ("code", &[][..]),
            ("tail", &[]),
            ("ports.code", &[]),
            ("planes.maker", &[]),
            ("maker", &["profile::which_related"]),
            ("planes.code", &["data::unknown_column"]),
        ] {
            let found = faults(json!([{ "column": "name", "foreign_key": key }]), all);
            assert_eq!(found.iter().map(|(code, _)| code.as_str()).collect::<Vec<_>>(), codes, "{key}");
        }
        let lonely = faults(json!([{ "column": "name", "foreign_key": "code" }]), &["data"]);
        assert_eq!(lonely[0].0, "profile::no_related");
    }
}
