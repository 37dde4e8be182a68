//! `sql`: the rows of an SQL query.

use std::collections::BTreeMap;

use contract::artifact::{ArtifactType, Column, DatasetLineage, DatasetType, Mixed, Types};
use contract::fault::{Fault, Route};
use serde::{Deserialize, Serialize};

use super::expression::placed;
use super::{Around, Rules};
use crate::columns::lineage;
use crate::question::{Expression, QueryType};

/// An SQL query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sql(pub String);

schema_of!(Sql, String);

impl Rules for Sql {
    fn check(&self, at: &Route) -> Vec<Fault> {
        if !self.0.trim().is_empty() {
            return Vec::new();
        }
        vec![
            Fault::error(contract::code!("data::expression"), "the query is empty")
                .help("for example `sql: \"SELECT carrier, count(*) AS flights FROM data GROUP BY carrier\"`")
                .at(at.clone()),
        ]
    }

    fn infer(&self, dataset: &mut DatasetType, around: &Around<'_>, at: &Route) -> Vec<Fault> {
        dataset.rows = None;
        let mut tables: BTreeMap<&str, DatasetType> =
            around.others.iter().filter_map(|(port, other)| Some((port.as_str(), other.dataset()?.clone()))).collect();
        tables.insert("data", std::mem::take(dataset));
        let known = tables.len() == around.others.len() + 1 && tables.values().all(|table| table.columns.is_some());
        let mut faults = Vec::new();
        let mut answer: Option<QueryType> = None;
        if known {
            let only_columns =
                |table: &DatasetType| DatasetType { columns: table.columns.clone(), ..DatasetType::default() };
            let inputs: Types = tables
                .iter()
                .map(|(port, table)| ((*port).to_owned(), ArtifactType::Dataset(only_columns(table).into())))
                .collect();
            match (around.ask)(&Expression::Query(self.0.clone()), &inputs) {
                Ok(found) => answer = found.and_then(|value| serde_json::from_value(value).ok()),
                Err(found) => faults.extend(placed(found.into_vec(), at)),
            }
        }
        trace(answer.as_ref(), &tables, dataset);
        dataset.columns = answer.map(|answer| answer.columns);
        faults
    }

    fn reads_tables(&self) -> bool {
        true
    }
}

/// Where the rows of a query come from, and which of its columns are made from other rows. Of a query that nobody has read all
/// inputs may have gone into every column, and rows of those that have an origin in common with `data` may be among the rows.
fn trace(answer: Option<&QueryType>, tables: &BTreeMap<&str, DatasetType>, made: &mut DatasetType) {
    let from = |name: &str| tables.get(name).map(DatasetLineage::from).unwrap_or_default();
    let data = from("data");
    let (rows, beside, columns, mixed): (Vec<&str>, Vec<&str>, &[Column], &[String]) = match answer {
        Some(answer) => {
            let named = |names: &[String]| -> Vec<&str> {
                // `data` leads where it is among them.
                let first = tables.keys().filter(|name| **name == "data");
                let others = tables.keys().filter(|name| **name != "data");
                first.chain(others).copied().filter(|name| names.iter().any(|other| other == name)).collect()
            };
            (named(&answer.rows), named(&answer.beside), &answer.columns, &answer.mixed)
        }
        None => {
            let (rows, beside) =
                tables.keys().copied().partition(|name| *name == "data" || lineage::related(&data, &from(name)));
            (rows, beside, &[], &[])
        }
    };
    for (index, name) in rows.iter().enumerate() {
        let Some(table) = tables.get(name) else { continue };
        if index == 0 {
            made.follow(table);
        } else {
            lineage::unite(made, table);
        }
    }
    let all = || columns.iter().map(|column| column.name.clone());
    // Which columns of the result are those of before is not known: a name that is gone stands for any.
    for mixed in &mut made.mixed {
        let there = |name: &String| columns.iter().any(|column| column.name == *name);
        if !mixed.columns.iter().all(there) {
            mixed.columns = all().collect();
        }
    }
    let own: Vec<Column> = rows.first().and_then(|name| tables.get(name)?.columns.clone()).unwrap_or_default();
    for name in beside {
        let brought = all().filter(|name| !own.iter().any(|column| column.name == *name));
        let brought: Vec<String> = brought.collect();
        let columns = if brought.is_empty() { all().collect() } else { brought };
        let rows = from(name).strands();
        let carried = tables.get(name).into_iter().flat_map(|table| table.mixed.iter().cloned());
        let carried: Vec<Mixed> = carried.map(|mixed| Mixed { columns: columns.clone(), ..mixed }).collect();
        lineage::mix(made, carried);
        if !rows.is_empty() {
            lineage::mix(made, [Mixed { columns, step: "sql".to_owned(), rows, ..Mixed::default() }]);
        }
    }
    if !mixed.is_empty() {
        let rows = DatasetLineage::from(&*made).strands();
        lineage::mix(made, [Mixed { columns: mixed.to_vec(), step: "sql".to_owned(), rows, ..Mixed::default() }]);
    }
}
