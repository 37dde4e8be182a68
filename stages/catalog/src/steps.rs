//! The steps of `preprocess`: a file each, with its parameters, what is wrong with them whatever the data, and what it does to
//! the columns.
//!
//! [`apply`] is the whole meaning of a step as far as types go: the program that carries the step out gives columns of the
//! same names, types and order. After a fault the columns stay as they most likely would be, so that later
//! steps are judged, too.
//!
//! A new step is a file here, a line in the list below, and a file of the same name in the program that carries it out.

/// Gives a step whose parameters are one value the schema of that value: no name of its own comes between.
macro_rules! schema_of {
    ($step:ty, $value:ty) => {
        impl schemars::JsonSchema for $step {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                <$value>::schema_name()
            }

            fn schema_id() -> std::borrow::Cow<'static, str> {
                <$value>::schema_id()
            }

            fn inline_schema() -> bool {
                <$value>::inline_schema()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                <$value>::json_schema(generator)
            }
        }
    };
}

mod aggregate;
pub mod bin;
pub mod cast;
pub mod chosen;
pub mod clean_text;
pub mod clip;
pub mod crop;
pub mod decode_images;
pub mod derive;
pub mod drop;
pub mod drop_duplicate_images;
pub mod drop_duplicates;
pub mod drop_missing;
pub mod drop_near_duplicates;
mod expression;
pub mod fill_missing;
pub mod filter;
pub mod greyscale;
pub mod group_by;
mod image;
pub mod join;
pub mod join_columns;
pub mod language;
pub mod one_hot;
pub mod pack;
pub mod parse_dates;
pub mod rename;
pub mod replace;
pub mod resize;
pub mod sample;
pub mod select;
pub mod sort;
pub mod split_column;
pub mod sql;
pub mod window;

use contract::artifact::{DatasetType, Mixed, Types};
use contract::fault::{Fault, Faults, Route};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::chosen::names;
use crate::columns::lineage;
use crate::question::Expression;

/// Asks what an expression gives over data sets by port; `None` when no worker answers.
pub type Ask<'a> = dyn Fn(&Expression, &Types) -> Result<Option<Value>, Faults> + 'a;

/// What a step may look at besides the rows it works on.
pub(crate) struct Around<'a> {
    /// The data sets at the other input ports.
    others: &'a Types,
    /// Answers what an expression gives.
    ask: &'a Ask<'a>,
}

/// What a step may say, and what it does to columns. All routes begin with `at`, the route of its parameters.
trait Rules {
    /// What is wrong whatever the data.
    fn check(&self, _: &Route) -> Vec<Fault> {
        Vec::new()
    }

    /// Carries the columns over the step. Row counts become unknown where the step may drop rows.
    fn infer(&self, dataset: &mut DatasetType, around: &Around<'_>, at: &Route) -> Vec<Fault>;

    /// Carries mixed columns over the step, without those that it removes. `new` are the columns it has added, except those
    /// that it has mixed itself: they may be made of the mixed ones.
    fn follow(&self, mixed: &mut Mixed, new: &[&str]) {
        mixed.columns.extend(new.iter().map(|name| (*name).to_owned()));
    }

    /// Whether it reads the tables at other input ports.
    fn reads_tables(&self) -> bool {
        false
    }

    /// The fault of a table that it reads and that is not connected.
    fn unconnected(&self, _connected: &[&str], _: &Route) -> Option<Fault> {
        None
    }
}

/// Makes the choice of steps from the list of them.
macro_rules! steps {
    ($($(#[$doc:meta])* $module:ident: $variant:ident($options:ident),)*) => {
        /// One step.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Step {
            $($(#[$doc])* $variant($module::$options),)*
        }

        impl Step {
            /// The step's name in a document, which is also the name of its file.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => stringify!($module),)*
                }
            }

            fn rules(&self) -> &dyn Rules {
                match self {
                    $(Self::$variant(options) => options,)*
                }
            }
        }
    };
}

steps! {
    /// Keeps the first of rows that are equal in all (or the named) columns.
    drop_duplicates: DropDuplicates(DropDuplicates),
    /// Drops rows with a missing cell in any (or any of the named) columns.
    drop_missing: DropMissing(DropMissing),
    /// Puts a value in place of missing cells.
    fill_missing: FillMissing(FillMissing),
    /// Renames columns: old name to new name.
    rename: Rename(Rename),
    /// Keeps only these columns, in this order.
    select: Select(Select),
    /// Drops these columns.
    drop: Drop(Drop),
    /// Changes column types: column (or pattern) to type, or to `{ to: float64, on_error: fill }`.
    cast: Cast(Cast),
    /// Keeps the rows for which an SQL expression is true: `body_mass_g > 3000 AND sex IS NOT NULL`.
    filter: Filter(Filter),
    /// Packs numeric columns into one tensor column of 32-bit floats. Tensor columns give all their elements, so that an image
    /// can be scaled, too.
    pack: Pack(Pack),
    /// Drops rows whose text (or cells) is nearly that of an earlier row that was kept: MinHash finds the candidates, their
    /// Jaccard similarity decides.
    drop_near_duplicates: DropNearDuplicates(NearDuplicates),
    /// Keeps some rows, chosen at random, in their order.
    sample: Sample(Sample),
    /// Orders the rows. Rows that are equal keep their order; missing cells come last.
    sort: Sort(Sort),
    /// Reads texts as dates, by the first of several formats that fits.
    parse_dates: ParseDates(ParseDates),
    /// Adds columns (or replaces them) by SQL expressions over the columns as they are before the step: new column to expression.
    derive: Derive(Derive),
    /// Divides a text column into several.
    split_column: SplitColumn(SplitColumn),
    /// Writes the cells of several columns one behind the other into a text column.
    join_columns: JoinColumns(JoinColumns),
    /// One column of 0 and 1 for each stated category. (Categories that are to be found in the data are fitted: `features:` of
    /// `train` does that on the training part.)
    one_hot: OneHot(OneHot),
    /// Numbers into stated bins, named by their edges or by labels.
    bin: Bin(Bin),
    /// Numbers below the smallest or above the largest value become that value.
    clip: Clip(Clip),
    /// Cells that equal a value become another, or missing; or parts of texts that match a pattern are replaced.
    replace: Replace(Replace),
    /// Cleans text: HTML, Unicode forms, case and white space, in this order, as far as they are asked for.
    clean_text: CleanText(CleanText),
    /// Keeps texts in some languages, or writes down which language each is in.
    language: Language(Language),
    /// Changes the size of images.
    resize: Resize(Resize),
    /// Cuts images.
    crop: Crop(Crop),
    /// Makes images of three channels grey (ITU-R BT.601).
    greyscale: Greyscale(Greyscale),
    /// Reads images in PNG or JPEG form (a column of bytes) into a tensor; broken ones are rejected or fail the step.
    decode_images: DecodeImages(DecodeImages),
    /// Drops images that look like an earlier one: their difference hashes (dHash, 64 bits) differ in few bits.
    drop_duplicate_images: DropDuplicateImages(DuplicateImages),
    /// Adds the columns of another table, which is connected as one more input, by equal keys.
    join: Join(Join),
    /// One row for each group of rows with equal keys, sorted by the keys.
    group_by: GroupBy(GroupBy),
    /// Adds columns computed over the rows around each row; rows keep their order.
    window: Window(Window),
    /// The rows of an SQL query. The rows so far are the table `data`, other inputs are tables by the names of their ports.
    sql: Sql(Sql),
}

impl Step {
    /// Whether it reads the tables at other input ports.
    pub fn reads_tables(&self) -> bool {
        self.rules().reads_tables()
    }

    /// The fault of a table that it reads and that is not among the connected ports. `at` is the route of the step.
    pub fn unconnected(&self, connected: &[&str], at: &Route) -> Option<Fault> {
        self.rules().unconnected(connected, &at.join(self.name()))
    }
}

/// What is wrong with a step whatever the data.
pub fn check(step: &Step, at: &Route) -> Vec<Fault> {
    step.rules().check(&at.join(step.name()))
}

/// Carries the columns over a step. Row counts become unknown where the step may drop rows.
/// `others` are the data sets at the other input ports.
///
/// What a step mixes is added to the lineage without the name of a stage, which only the stage knows.
pub fn apply(step: &Step, dataset: &mut DatasetType, others: &Types, at: &Route, ask: &Ask<'_>) -> Vec<Fault> {
    let before: Option<Vec<String>> =
        dataset.columns.as_ref().map(|columns| names(columns).into_iter().map(str::to_owned).collect());
    // The step adds what it mixes itself; what was mixed before is carried over afterwards.
    let mixed = std::mem::take(&mut dataset.mixed);
    let faults = step.rules().infer(dataset, &Around { others, ask }, &at.join(step.name()));
    let mixed = mixed.into_iter().filter_map(|mixed| follow(step, mixed, before.as_deref(), dataset));
    let mixed: Vec<Mixed> = mixed.collect();
    lineage::mix(dataset, mixed);
    faults
}

/// Mixed columns after a step: under their new names, with the columns that were made beside them, which may be made of them.
/// `None` when none of them is left.
fn follow(step: &Step, mut mixed: Mixed, before: Option<&[String]>, dataset: &DatasetType) -> Option<Mixed> {
    if mixed.columns.is_empty() {
        return Some(mixed);
    }
    let (Some(before), Some(after)) = (before, &dataset.columns) else {
        // Which columns there are is not known any more.
        mixed.columns.clear();
        return Some(mixed);
    };
    let brought = |name: &&str| !dataset.mixed.iter().any(|new| new.columns.iter().any(|column| column == name));
    let new = names(after).into_iter().filter(|name| !before.iter().any(|old| old == name)).filter(brought);
    step.rules().follow(&mut mixed, &new.collect::<Vec<_>>());
    mixed.columns.retain(|name| after.iter().any(|column| column.name == *name));
    (!mixed.columns.is_empty()).then_some(mixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_called_as_its_file() {
        let schema = schemars::SchemaGenerator::default().into_root_schema_for::<Step>().to_value();
        let choices = schema["oneOf"].as_array().unwrap();
        assert!(choices.len() > 30, "{}", choices.len());
        for choice in choices {
            let name = choice["required"][0].as_str().unwrap();
            let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/steps/{name}.rs"));
            assert!(file.is_file(), "{name}");
        }
    }
}
