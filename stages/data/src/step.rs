//! The steps of `preprocess`: a file each, with the name it has in `catalog`, and what several of them share.
//!
//! A step works on pieces of at most 2^16 rows, or needs all rows; what it makes is held in memory or, beyond the stage's bound, in
//! a mapped scratch file ([`crate::table::spill`]).

mod bin;
mod branches;
mod cast;
pub mod chain;
mod clean_text;
mod clip;
mod constant;
mod crop;
mod decode_images;
mod derive;
mod drop;
mod drop_duplicate_images;
mod drop_duplicates;
mod drop_missing;
mod drop_near_duplicates;
pub mod duplicates;
pub mod expression;
mod fill_missing;
mod filter;
mod greyscale;
mod group_by;
mod join;
mod join_columns;
mod language;
pub mod near;
mod one_hot;
mod order;
mod pack;
mod parse_dates;
pub mod pattern;
pub mod picture;
pub mod query;
pub mod rejected;
mod rename;
mod replace;
mod resize;
mod sample;
mod scene;
mod select;
mod sort;
mod split_column;
mod sql;
mod whole;
mod window;

use catalog::columns::pattern::{select, unknown};
use catalog::params::shape::OneOrMany;
use catalog::steps::Step;
use catalog::steps::chosen::SomeColumns;
use contract::artifact::{ArtifactType, Column, DatasetType, Types};
use contract::fault::{Fault, Faults, Route};

use self::chain::Link;
use self::rejected::Rejected;
pub use self::scene::Scene;
use crate::fault::{Outcome, kernel};
use crate::table::dataset::Table;

/// What a step does to rows: it is a link of a chain, or it needs all rows.
pub(crate) trait Transform {
    /// Whether it needs all rows at once.
    fn needs_all_rows(&self) -> bool {
        false
    }

    /// Whether it looks at all rows before it is a link: then it can only be the first of a chain.
    fn begins_chain(&self) -> bool {
        false
    }

    /// The step as a link of a chain.
    ///
    /// # Errors
    /// Columns that do not fit the step.
    fn link<'a>(&'a self, _: &Input<'_>) -> Outcome<Link<'a>> {
        Err(kernel("cleaning", &"the step needs all rows"))
    }

    /// Carries the step out over all rows.
    ///
    /// # Errors
    /// As [`Transform::link`], and a disk that is full.
    fn whole(&self, table: Table, _: &mut Whole<'_, '_>) -> Outcome<Table> {
        Ok(table)
    }
}

/// What each step does.
pub(crate) fn transform(step: &Step) -> &dyn Transform {
    match step {
        Step::DropDuplicates(options) => options,
        Step::DropMissing(options) => options,
        Step::FillMissing(options) => options,
        Step::Rename(options) => options,
        Step::Select(options) => options,
        Step::Drop(options) => options,
        Step::Cast(options) => options,
        Step::Filter(options) => options,
        Step::Pack(options) => options,
        Step::DropNearDuplicates(options) => options,
        Step::Sample(options) => options,
        Step::Sort(options) => options,
        Step::ParseDates(options) => options,
        Step::Derive(options) => options,
        Step::SplitColumn(options) => options,
        Step::JoinColumns(options) => options,
        Step::OneHot(options) => options,
        Step::Bin(options) => options,
        Step::Clip(options) => options,
        Step::Replace(options) => options,
        Step::CleanText(options) => options,
        Step::Language(options) => options,
        Step::Resize(options) => options,
        Step::Crop(options) => options,
        Step::Greyscale(options) => options,
        Step::DecodeImages(options) => options,
        Step::DropDuplicateImages(options) => options,
        Step::Join(options) => options,
        Step::GroupBy(options) => options,
        Step::Window(options) => options,
        Step::Sql(options) => options,
    }
}

/// What a link is made from.
pub(crate) struct Input<'a> {
    /// The step.
    pub(crate) step: &'a Step,
    /// All rows, for the first step of a chain only.
    pub(crate) rows: Option<&'a Table>,
    /// The columns that come in; no rows.
    pub(crate) table: &'a Table,
    /// What stands around the rows.
    pub(crate) scene: &'a Scene<'a>,
    /// The route of the step's parameters.
    pub(crate) route: &'a Route,
}

impl Input<'_> {
    fn columns(&self) -> &[Column] {
        &self.table.columns
    }

    fn names(&self) -> Vec<&str> {
        names(self.table)
    }

    /// The columns the step gives, as the catalog types them.
    fn typed(&self) -> Outcome<Vec<Column>> {
        typed(self.step, self.table, self.scene, self.route)
    }

    fn resolve(&self, patterns: &OneOrMany<String>, route: &Route) -> Outcome<Vec<usize>> {
        resolve(self.table, patterns, route)
    }

    /// The columns under `columns`.
    fn chosen(&self, patterns: &OneOrMany<String>) -> Outcome<Vec<usize>> {
        self.resolve(patterns, &self.route.join("columns"))
    }

    /// The column under `column`.
    fn one(&self, name: &str) -> Outcome<usize> {
        at(self.columns(), name, &self.route.join("column"))
    }

    /// The columns named, or all.
    fn some(&self, options: &SomeColumns) -> Outcome<Vec<usize>> {
        match &options.columns {
            Some(patterns) => self.chosen(patterns),
            None => Ok((0..self.columns().len()).collect()),
        }
    }
}

/// What a step over all rows works with.
pub(crate) struct Whole<'a, 'b> {
    /// The step.
    pub(crate) step: &'a Step,
    /// What stands around the rows.
    pub(crate) scene: &'a Scene<'a>,
    /// Where the rows go that it rejects.
    pub(crate) rejected: &'a mut Rejected<'b>,
    /// What is worth a look.
    pub(crate) warnings: &'a mut Vec<Fault>,
    /// The route of the step's parameters.
    pub(crate) route: &'a Route,
}

impl Whole<'_, '_> {
    /// The columns the step gives, as the catalog types them.
    fn typed(&self, table: &Table) -> Outcome<Vec<Column>> {
        typed(self.step, table, self.scene, self.route)
    }
}

/// The columns a step gives, as the catalog types them.
fn typed(step: &Step, table: &Table, scene: &Scene<'_>, route: &Route) -> Outcome<Vec<Column>> {
    let mut dataset = DatasetType { columns: Some(table.columns.clone()), ..DatasetType::default() };
    let others: Types = scene
        .others
        .iter()
        .map(|(port, table)| {
            let dataset = DatasetType { columns: Some(table.columns.clone()), ..DatasetType::default() };
            (port.clone(), ArtifactType::Dataset(dataset.into()))
        })
        .collect();
    let at = Route(route.0[..route.0.len() - 1].to_vec());
    let faults: Vec<Fault> = catalog::steps::apply(step, &mut dataset, &others, &at, &|_, _| Ok(None))
        .into_iter()
        .filter(Fault::is_error)
        .collect();
    if faults.is_empty() { Ok(dataset.columns.unwrap_or_default()) } else { Err(Faults::from(faults)) }
}

fn at(columns: &[Column], name: &str, route: &Route) -> Outcome<usize> {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    names.iter().position(|known| *known == name).ok_or_else(|| Faults::from(unknown(name, &names).at(route.clone())))
}

fn names(table: &Table) -> Vec<&str> {
    table.columns.iter().map(|column| column.name.as_str()).collect()
}

fn resolve(table: &Table, patterns: &OneOrMany<String>, route: &Route) -> Outcome<Vec<usize>> {
    select(patterns, &names(table), route)
}
