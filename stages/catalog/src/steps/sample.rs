//! `sample`: some rows, chosen at random.

use contract::artifact::DatasetType;
use contract::fault::{Fault, Route};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Around, Rules};

/// Options of `sample`: a number of rows or a share of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// So many rows, or all when there are fewer.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub rows: Option<u64>,
    /// This share of the rows.
    #[serde(default)]
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0))]
    pub share: Option<f64>,
    /// Other numbers choose other rows.
    #[serde(default)]
    pub seed: u64,
}

impl Rules for Sample {
    fn check(&self, at: &Route) -> Vec<Fault> {
        if self.rows.is_some() != self.share.is_some() {
            return Vec::new();
        }
        vec![
            Fault::error(contract::code!("data::sample_size"), "a sample has either `rows` or a `share`")
                .help("for example `sample: { rows: 1000 }` or `sample: { share: 0.1 }`")
                .at(at.clone()),
        ]
    }

    fn infer(&self, dataset: &mut DatasetType, _: &Around<'_>, _: &Route) -> Vec<Fault> {
        dataset.rows = dataset.rows.map(|rows| self.of(rows));
        Vec::new()
    }
}

impl Sample {
    /// How many rows a sample of so many has.
    pub fn of(&self, rows: u64) -> u64 {
        match (self.rows, self.share) {
            (Some(count), _) => count.min(rows),
            (None, Some(share)) => ((rows as f64 * share).round() as u64).clamp(u64::from(rows > 0), rows),
            (None, None) => rows,
        }
    }
}
