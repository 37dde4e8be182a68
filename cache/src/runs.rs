//! What finished runs looked like.

use serde_json::Value;

use crate::{Fold, Store, StoreError};

impl Store {
    /// Keeps the summary of a run under its id.
    pub fn run_put(&self, id: &str, summary: &Value) -> Result<(), StoreError> {
        let key = Fold::new("pipeline run id v1").text("id", id).finish();
        let entry = serde_json::to_vec(&(id, summary)).unwrap_or_default();
        self.runs.put(&key, "", &entry, |_| true)
    }

    /// The newest `limit` runs, newest first, with their ids.
    pub fn runs(&self, limit: usize) -> Result<Vec<(String, Value)>, StoreError> {
        let entries = self.runs.newest(limit)?;
        Ok(entries.iter().filter_map(|bytes| serde_json::from_slice(bytes).ok()).collect())
    }
}
