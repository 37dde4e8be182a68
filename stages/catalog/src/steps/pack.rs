//! `pack`: numeric columns become one tensor column.

use contract::artifact::{Column, DType, DatasetType, Role};
use contract::fault::{Fault, Route};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chosen::names;
use super::{Around, Rules};
use crate::columns::pattern;
use crate::network::{product, shown};
use crate::params::shape::OneOrMany;

/// Options of `pack`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// Names or patterns with `*`, in the order of the data (a pattern sorts numbers inside names as numbers). They are
    /// replaced by the packed column.
    pub columns: OneOrMany<String>,
    /// The new column's name.
    pub into: String,
    /// Shape of one cell; its product is the number of columns. Default: one dimension, or the shape of a single tensor column.
    #[serde(default)]
    pub shape: Option<Vec<u32>>,
    /// Every value is divided by this.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub divide_by: f64,
}

impl Rules for Pack {
    fn check(&self, at: &Route) -> Vec<Fault> {
        let mut faults = Vec::new();
        if self.into.is_empty() {
            faults.push(
                Fault::error(contract::code!("data::empty_name"), "the packed column has no name")
                    .help("name it, for example `into: image`")
                    .at(at.join("into")),
            );
        }
        if self.shape.as_ref().is_some_and(|shape| shape.is_empty() || shape.contains(&0)) {
            faults.push(
                Fault::error(contract::code!("data::pack_shape"), "a shape has at least one side, and no side is 0")
                    .help("for a grey image of 8×8 pixels: `shape: [1, 8, 8]`")
                    .at(at.join("shape")),
            );
        }
        faults
    }

    fn infer(&self, dataset: &mut DatasetType, _: &Around<'_>, at: &Route) -> Vec<Fault> {
        let Some(columns) = &mut dataset.columns else { return Vec::new() };
        let positions = match pattern::select_sorted(&self.columns, &names(columns), &at.join("columns")) {
            Ok(positions) => positions,
            Err(faults) => return faults.into_vec(),
        };
        let mut faults = Vec::new();
        let unfit: Vec<&Column> = positions
            .iter()
            .map(|at| &columns[*at])
            .filter(|column| !(column.dtype.is_numeric() || column.dtype == DType::Bool))
            .collect();
        if let Some(first) = unfit.first() {
            let more = if unfit.len() > 1 { format!(" (and {} more columns)", unfit.len() - 1) } else { String::new() };
            faults.push(
                Fault::error(
                    contract::code!("data::pack_type"),
                    format!("`{}` is {}, only numbers are packed{more}", first.name, first.type_name()),
                )
                .help(format!("`cast: {{ {}: float32 }}` first, or leave it out of the pattern", first.name))
                .at(at.join("columns")),
            );
        }
        let missing: Vec<&str> = positions
            .iter()
            .map(|at| &columns[*at])
            .filter(|column| column.nullable)
            .map(|column| column.name.as_str())
            .collect();
        if let Some(first) = missing.first() {
            let more =
                if missing.len() > 1 { format!(" and {} more columns", missing.len() - 1) } else { String::new() };
            faults.push(
                Fault::warning(
                    contract::code!("data::pack_missing"),
                    format!("`{first}`{more} may have missing cells, which cannot be packed"),
                )
                .help("put `drop_missing` or `fill_missing` before this step")
                .at(at.join("columns")),
            );
        }
        // A tensor column gives all its elements.
        let count = positions.iter().fold(0u64, |sum, at| sum.saturating_add(product(&columns[*at].shape)));
        let shape: Vec<u64> = match (&self.shape, positions.as_slice()) {
            (Some(shape), _) => shape.iter().map(|side| u64::from(*side)).collect(),
            (None, [one]) if !columns[*one].shape.is_empty() => columns[*one].shape.clone(),
            (None, _) => vec![count],
        };
        if product(&shape) != count {
            faults.push(
                Fault::error(
                    contract::code!("data::pack_shape"),
                    format!("{count} values do not fill the shape {}, which holds {}", shown(&shape), product(&shape)),
                )
                .help("the product of the sides is the number of packed columns; check the pattern")
                .at(at.join("shape")),
            );
        }
        let clash = |(position, column): (usize, &Column)| column.name == self.into && !positions.contains(&position);
        if columns.iter().enumerate().any(clash) {
            faults.push(
                Fault::error(
                    contract::code!("data::duplicate_column"),
                    format!("there is a column `{}` already", self.into),
                )
                .help("choose another name under `into`")
                .at(at.join("into")),
            );
            return faults;
        }
        // The packed column stands where the first of its parts stood in the data.
        let first = positions.iter().copied().min().unwrap_or_default();
        let packed = Column {
            name: self.into.clone(),
            dtype: DType::Float32,
            shape,
            role: Role::Feature,
            unit: None,
            nullable: false,
            classes: None,
        };
        *columns = columns
            .drain(..)
            .enumerate()
            .filter_map(|(position, column)| {
                if position == first {
                    Some(packed.clone())
                } else if positions.contains(&position) {
                    None
                } else {
                    Some(column)
                }
            })
            .collect();
        faults
    }
}

fn one() -> f64 {
    1.0
}
