//! `cast`: columns become another type.

use std::borrow::Cow;
use std::collections::BTreeMap;

use contract::artifact::{Column, DType, DatasetType};
use contract::fault::{Fault, Route};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::chosen::names;
use super::{Around, Rules};
use crate::columns::cast::{castable, retype};
use crate::columns::pattern;
use crate::columns::pattern::Matched;
use crate::params::on_error::OnError;

/// Column or pattern to type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cast(pub BTreeMap<String, CastTo>);

schema_of!(Cast, BTreeMap<String, CastTo>);

/// The type a column gets: the type alone, or with what happens to cells that are not of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CastTo {
    /// The type.
    pub to: DType,
    /// What happens to cells that are not of the type.
    pub on_error: OnError,
}

/// The long form of [`CastTo`].
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CastOptions {
    /// The type.
    to: DType,
    /// What happens to cells that are not of the type.
    #[serde(default)]
    on_error: OnError,
}

impl Serialize for CastTo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { to, on_error } = *self;
        match on_error {
            OnError::Fail => to.serialize(serializer),
            _ => CastOptions { to, on_error }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for CastTo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let value = if value.is_object() { value } else { serde_json::json!({ "to": value }) };
        let CastOptions { to, on_error } = serde_json::from_value(value).map_err(serde::de::Error::custom)?;
        Ok(Self { to, on_error })
    }
}

impl JsonSchema for CastTo {
    fn schema_name() -> Cow<'static, str> {
        "CastTo".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let options = generator.subschema_for::<CastOptions>();
        let names = DType::ALL.map(DType::name);
        json_schema!({ "anyOf": [{ "type": "string", "enum": names }, options] })
    }
}

impl Rules for Cast {
    fn infer(&self, dataset: &mut DatasetType, _: &Around<'_>, at: &Route) -> Vec<Fault> {
        if self.0.values().any(|cast| cast.on_error == OnError::Reject) {
            dataset.rows = None;
        }
        let Some(columns) = &mut dataset.columns else { return Vec::new() };
        let mut faults = Vec::new();
        for (position, entry, CastTo { to: dtype, on_error }) in targets(&self.0, columns, at, &mut faults) {
            let column = &mut columns[position];
            match castable(column, dtype) {
                Ok(()) if column.dtype == dtype => {}
                Ok(()) if on_error == OnError::Fill && !column.shape.is_empty() => faults.push(
                    Fault::error(
                        contract::code!("data::cannot_cast"),
                        format!("`{}` holds tensors, whose cells are never missing", column.name),
                    )
                    .help("write `on_error: reject`, which drops their rows")
                    .at(at.join(entry).join("on_error")),
                ),
                Ok(()) => {
                    retype(column, dtype);
                    column.nullable |= on_error == OnError::Fill;
                }
                Err(why) => faults.push(
                    Fault::error(
                        contract::code!("data::cannot_cast"),
                        format!("`{}` is {} and cannot become {}: {why}", column.name, column.type_name(), dtype.name()),
                    )
                    .help("numbers and true/false become each other, dates and datetimes too; everything becomes a string")
                    .at(at.join(entry)),
                ),
            }
        }
        faults
    }
}

/// Which column gets which type: a name goes before a pattern; two patterns that disagree are a fault.
fn targets<'a>(
    types: &'a BTreeMap<String, CastTo>,
    columns: &[Column],
    at: &Route,
    faults: &mut Vec<Fault>,
) -> Vec<(usize, &'a str, CastTo)> {
    let names = names(columns);
    let mut by_pattern: BTreeMap<usize, (&str, CastTo)> = BTreeMap::new();
    let mut by_name: BTreeMap<usize, (&str, CastTo)> = BTreeMap::new();
    for (entry, dtype) in types {
        match pattern::find(entry, &names) {
            None => faults.push(pattern::unknown(entry, &names).at_key(at.join(entry.as_str()))),
            Some(Matched::Name(position)) => {
                by_name.insert(position, (entry, *dtype));
            }
            Some(Matched::Pattern(positions)) => {
                for position in positions {
                    let before = by_pattern.insert(position, (entry, *dtype));
                    if let Some((other, different)) = before
                        && different != *dtype
                        && !types.contains_key(names[position])
                    {
                        faults.push(
                            Fault::error(
                                contract::code!("data::cast_twice"),
                                format!(
                                    "`{}` matches `{other}` ({}) and `{entry}` ({})",
                                    names[position],
                                    different.to.name(),
                                    dtype.to.name()
                                ),
                            )
                            .help("name the column itself: a name goes before a pattern")
                            .at_key(at.join(entry.as_str())),
                        );
                    }
                }
            }
        }
    }
    by_pattern.extend(by_name);
    by_pattern.into_iter().map(|(position, (entry, dtype))| (position, entry, dtype)).collect()
}
