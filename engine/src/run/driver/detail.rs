//! The `detail` of a record: facts about its outputs that are known without reading them.

use std::collections::BTreeMap;
use std::time::Duration;

use contract::artifact::{ArtifactType, Types};
use contract::fault::{Fault, Route};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::seconds;

/// Facts about the outputs of a record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Detail {
    /// The true type of every output, by port, as the worker gave it: without lineage, which is the
    /// plan's.
    pub types: Types,
    /// Headline numbers.
    pub summary: BTreeMap<String, f64>,
    /// Gates that were not met; routes relative to the stage's mapping.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmet: Vec<Fault>,
    /// Warnings; routes as above.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Fault>,
    /// Wall time in seconds.
    #[serde(with = "seconds")]
    pub took: Duration,
    /// Versions of the tools that made it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub toolchain: BTreeMap<String, String>,
}

impl Detail {
    /// Reads the detail of a record. A detail that cannot be read, such as one of an older format,
    /// is empty.
    pub fn of(detail: &Value) -> Self {
        Self::deserialize(detail).unwrap_or_default()
    }

    /// The headline numbers and the unmet gates alone: all a hit needs.
    pub(crate) fn headline(detail: &Value) -> (BTreeMap<String, f64>, Vec<Fault>) {
        let read = |name: &str| detail.get(name).filter(|value| !value.is_null());
        let summary = read("summary").and_then(|value| BTreeMap::deserialize(value).ok()).unwrap_or_default();
        let unmet = read("unmet").and_then(|value| Vec::deserialize(value).ok()).unwrap_or_default();
        (summary, unmet)
    }
}

/// StageFaults of a kind, whose routes start at the stage's mapping, as the run reports them.
pub(crate) fn absolute(stage: &str, faults: Vec<Fault>) -> Vec<Fault> {
    let here = Route::stage(stage);
    let absolute = |fault: Fault| {
        // Some faults have an absolute route already.
        let done = fault.route.as_ref().is_some_and(|route| route.0.starts_with(&here.0));
        if done { fault } else { fault.under(&here) }
    };
    faults.into_iter().map(absolute).collect()
}

/// The type that the worker found, with the lineage, which only the plan knows.
pub(crate) fn with_lineage(found: ArtifactType, planned: &ArtifactType) -> ArtifactType {
    match (found, planned) {
        (ArtifactType::Dataset(mut found), ArtifactType::Dataset(planned)) => {
            found.follow(planned);
            ArtifactType::Dataset(found)
        }
        (ArtifactType::Model(mut found), ArtifactType::Model(planned)) => {
            found.fitted_on.clone_from(&planned.fitted_on);
            found.tuned_on.clone_from(&planned.tuned_on);
            ArtifactType::Model(found)
        }
        (found, _) => found,
    }
}

#[cfg(test)]
mod tests {
    use contract::artifact::{DatasetType, Part};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_detail_survives_its_record_and_strange_ones_are_nothing() {
        let detail = Detail {
            summary: BTreeMap::from([("accuracy".into(), 0.5)]),
            unmet: vec![Fault::error(contract::code!("gate::not_met"), "low")],
            took: Duration::from_millis(1500),
            ..Detail::default()
        };
        let value = serde_json::to_value(&detail).unwrap();
        assert_eq!(value["took"], json!(1.5));
        assert_eq!(Detail::of(&value), detail);
        assert_eq!(Detail::headline(&value), (detail.summary, detail.unmet));
        assert_eq!(Detail::of(&json!({"took": 1.0})).took, Duration::from_secs(1));
        assert_eq!(Detail::of(&json!("what")), Detail::default());
        assert_eq!(Detail::headline(&Value::Null), (BTreeMap::new(), Vec::new()));
    }

    #[test]
    fn lineage_is_the_plans() {
        let part = |part: &str| Part { split: "parts".into(), part: part.into() };
        let dataset = |name: &str, rows| DatasetType { parts: vec![part(name)], rows, ..DatasetType::default() };
        let merged = with_lineage(
            ArtifactType::Dataset(dataset("renamed", Some(3)).into()),
            &ArtifactType::Dataset(dataset("train", None).into()),
        );
        assert_eq!(merged, ArtifactType::Dataset(dataset("train", Some(3)).into()));
    }

    #[test]
    fn routes_become_absolute_once() {
        let relative = Fault::error(contract::code!("graph::cycle"), "c").at(Route::root().join("lr"));
        let whole = Fault::error(contract::code!("graph::cycle"), "c").at(Route::stage("model").join("lr"));
        let faults =
            absolute("model", vec![relative, whole.clone(), Fault::error(contract::code!("graph::cycle"), "c")]);
        assert_eq!(faults[0], whole);
        assert_eq!(faults[1], whole);
        assert_eq!(faults[2].route, Some(Route::stage("model")));
    }
}
