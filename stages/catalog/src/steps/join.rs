//! `join`: the columns of another table by equal keys.

use std::collections::BTreeMap;

use contract::artifact::{ArtifactType, Column, DatasetLineage, DatasetType, Mixed};
use contract::fault::{Fault, Faults, Route, suggest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chosen::{names, one};
use super::{Around, Rules};
use crate::columns::{lineage, pattern};
use crate::params::shape::OneOrMany;

/// Options of `join`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// The input port of the other table: `inputs: { data: flights, planes: planes }`, `with: planes`.
    pub with: String,
    /// Columns that are equal. They have the same name in both tables; `on: { origin: faa }` under `keys` says others.
    #[serde(default)]
    pub on: Option<OneOrMany<String>>,
    /// Column here to column there, where names differ.
    #[serde(default)]
    pub keys: BTreeMap<String, String>,
    /// Which rows stay.
    #[serde(default)]
    pub how: How,
    /// Which columns of the other table come in: names or patterns with `*`. Default: all but the keys.
    #[serde(default)]
    pub columns: Option<OneOrMany<String>>,
    /// Put behind the name of a column that is there already.
    #[serde(default)]
    pub suffix: Option<String>,
}

/// Which rows a join keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Rows without a partner stay; the other table's cells are missing.
    #[default]
    Left,
    /// Rows without a partner are rejected.
    Inner,
}

impl Rules for Join {
    fn infer(&self, dataset: &mut DatasetType, around: &Around<'_>, at: &Route) -> Vec<Fault> {
        dataset.rows = None;
        let unknown = DatasetType::default();
        let other = around.others.get(&self.with).and_then(ArtifactType::dataset).unwrap_or(&unknown);
        let within: Vec<String> = self.on.iter().flat_map(OneOrMany::iter).chain(self.keys.keys()).cloned().collect();
        let rows = DatasetLineage::from(other).strands();
        let brought = Mixed { step: "join".to_owned(), rows, within, ..Mixed::default() };
        let (Some(here), Some(there)) = (&mut dataset.columns, &other.columns) else {
            dataset.columns = None;
            let beside = other.mixed.iter().cloned().map(|mixed| Mixed { columns: Vec::new(), ..mixed });
            lineage::mix(dataset, beside.chain([brought]));
            return Vec::new();
        };
        let joined = match joined(self, here, there, at) {
            Ok(joined) => joined,
            Err(faults) => return faults.into_vec(),
        };
        for (position, name) in &joined.columns {
            let mut column = Column { name: name.clone(), ..there[*position].clone() };
            column.nullable |= self.how == How::Left;
            here.push(column);
        }
        let new = |old: &String| {
            let position = there.iter().position(|column| column.name == *old)?;
            joined.columns.iter().find(|(from, _)| *from == position).map(|(_, name)| name.clone())
        };
        let beside = other.mixed.iter().filter_map(|mixed| {
            let columns: Vec<String> = mixed.columns.iter().filter_map(new).collect();
            (mixed.columns.is_empty() || !columns.is_empty()).then(|| Mixed { columns, ..mixed.clone() })
        });
        let columns: Vec<String> = joined.columns.iter().map(|(_, name)| name.clone()).collect();
        let brought = (!columns.is_empty()).then_some(Mixed { columns, ..brought });
        lineage::mix(dataset, beside.chain(brought).collect::<Vec<_>>());
        Vec::new()
    }

    fn reads_tables(&self) -> bool {
        true
    }

    fn unconnected(&self, connected: &[&str], at: &Route) -> Option<Fault> {
        not_connected(&self.with, connected, &at.join("with"))
    }
}

/// What a join does to names: the keys of both tables, and the columns that come in with their new names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Positions of equal columns, here and there.
    pub keys: Vec<(usize, usize)>,
    /// Position there and the name here.
    pub columns: Vec<(usize, String)>,
}

/// Resolves the columns of a join.
///
/// # Errors
/// Keys that are not there, that differ in type, or that are missing; names that would be there twice.
pub fn joined(options: &Join, here: &[Column], there: &[Column], at: &Route) -> Result<Joined, Faults> {
    let mut faults = Vec::new();
    let mut keys = Vec::new();
    let pairs = options
        .on
        .iter()
        .flat_map(|on| {
            on.iter()
                .enumerate()
                .map(move |(index, name)| (name, name, pattern::entry_route(on, index, &at.join("on"))))
        })
        .chain(options.keys.iter().map(|(left, right)| (left, right, at.join("keys").join(left.as_str()))));
    for (left, right, route) in pairs {
        match (one(left, here, &route), one(right, there, &route)) {
            (Ok(left), Ok(right)) => {
                let (a, b) = (&here[left], &there[right]);
                if a.dtype != b.dtype || !a.shape.is_empty() || !b.shape.is_empty() {
                    faults.push(
                        Fault::error(
                            contract::code!("data::join_type"),
                            format!(
                                "`{}` is {} here and `{}` is {} in `{}`: nothing would be equal",
                                a.name,
                                a.type_name(),
                                b.name,
                                b.type_name(),
                                options.with
                            ),
                        )
                        .help(format!("`cast: {{ {}: {} }}` before this step", a.name, b.dtype.name()))
                        .at(route),
                    );
                }
                keys.push((left, right));
            }
            (left, right) => {
                faults.extend(left.err());
                faults.extend(right.err().map(|mut fault| {
                    fault.message = format!("{} in `{}`", fault.message, options.with);
                    fault
                }));
            }
        }
    }
    if keys.is_empty() {
        if faults.is_empty() {
            faults.push(
                Fault::error(contract::code!("data::join_keys"), "a join needs columns that are equal: `on` or `keys`")
                    .help("`on: tailnum`, or `keys: { origin: faa }` where the names differ")
                    .at(at.clone()),
            );
        }
        // Which columns are there twice is not known before the keys are.
        return Err(Faults::from(faults));
    }
    let is_key = |position: usize| keys.iter().any(|(_, right)| *right == position);
    let chosen = match &options.columns {
        Some(entries) => match pattern::select(entries, &names(there), &at.join("columns")) {
            Ok(positions) => positions,
            Err(more) => {
                faults.extend(more);
                Vec::new()
            }
        },
        None => (0..there.len()).filter(|position| !is_key(*position)).collect(),
    };
    let mut taken: Vec<String> = here.iter().map(|column| column.name.clone()).collect();
    let mut columns = Vec::new();
    for position in chosen {
        let mut name = there[position].name.clone();
        if taken.contains(&name)
            && let Some(suffix) = &options.suffix
        {
            name.push_str(suffix);
        }
        if taken.contains(&name) {
            faults.push(
                Fault::error(contract::code!("data::duplicate_column"), format!("`{name}` is in both tables"))
                    .help("give a `suffix` for such columns, such as `suffix: _plane`, or name the `columns` to take")
                    .at(at.clone()),
            );
        }
        if options.how == How::Left && !there[position].shape.is_empty() {
            faults.push(
                Fault::error(
                    contract::code!("data::join_tensor"),
                    format!("`{name}` is a tensor, which cannot be missing in rows without a partner"),
                )
                .help("write `how: inner`, or leave the column out")
                .at(at.clone()),
            );
        }
        taken.push(name.clone());
        columns.push((position, name));
    }
    if faults.is_empty() { Ok(Joined { keys, columns }) } else { Err(Faults::from(faults)) }
}

/// The port a join reads, when nothing is connected to it.
fn not_connected(port: &str, connected: &[&str], at: &Route) -> Option<Fault> {
    if connected.contains(&port) && port != "data" {
        return None;
    }
    let fault =
        Fault::error(contract::code!("data::unknown_table"), format!("no input of the stage is called `{port}`"));
    let others = connected.iter().copied().filter(|other| *other != "data");
    let help =
        suggest(port, others).unwrap_or_else(|| format!("connect the other table: `inputs: {{ data: …, {port}: … }}`"));
    Some(fault.help(help).at(at.clone()))
}
