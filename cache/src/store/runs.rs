//! Summaries of finished runs.

use serde_json::{Value, json};

use crate::{Digest, Fold, Store, StoreError};

impl Store {
    /// Keeps the summary of a run under its id.
    ///
    /// A summary with `"stages_of": ID` in place of `stages` is of a run that found everything as
    /// run ID had left it.
    pub fn run_put(&self, id: &str, summary: &Value) -> Result<(), StoreError> {
        let entry = serde_json::to_vec(&(id, summary)).unwrap_or_default();
        self.runs.put(&run_key(id), "", &entry, |_| true)
    }

    /// The newest `limit` runs, newest first, with their ids.
    pub fn runs(&self, limit: usize) -> Result<Vec<(String, Value)>, StoreError> {
        self.runs_where(limit, |_| true)
    }

    /// The newest `limit` runs whose summaries fit, newest first, with their ids. A summary that is
    /// asked about may lack `stages`.
    pub fn runs_where(
        &self,
        limit: usize,
        mut fits: impl FnMut(&Value) -> bool,
    ) -> Result<Vec<(String, Value)>, StoreError> {
        let mut runs: Vec<(String, Value)> = Vec::new();
        if limit > 0 {
            self.runs.newest(|bytes| {
                runs.extend(serde_json::from_slice(&bytes).ok().filter(|(_, run): &(String, Value)| fits(run)));
                runs.len() < limit
            })?;
        }
        // Many in a row often name the same run.
        let mut known: Option<(String, Value)> = None;
        for (_, summary) in &mut runs {
            let Some(Value::String(base)) = summary.as_object_mut().and_then(|run| run.remove("stages_of")) else {
                continue;
            };
            let stages = match known.take().filter(|(id, _)| *id == base) {
                Some((_, stages)) => stages,
                None => self.stages_as_hits(&base)?,
            };
            summary["stages"] = stages.clone();
            known = Some((base, stages));
        }
        Ok(runs)
    }

    /// The stages of a run, as the next run found them: all done, nothing to do.
    fn stages_as_hits(&self, id: &str) -> Result<Value, StoreError> {
        let entry = self.runs.get(&run_key(id))?;
        let run = entry.and_then(|bytes| serde_json::from_slice::<(String, Value)>(&bytes).ok());
        let stages = run.and_then(|(_, mut run)| run.get_mut("stages").map(Value::take));
        let mut stages = stages.filter(Value::is_array).unwrap_or_else(|| json!([]));
        for stage in stages.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            stage.insert("end".to_owned(), "hit".into());
            stage.insert("took".to_owned(), 0.0.into());
        }
        Ok(stages)
    }
}

fn run_key(id: &str) -> Digest {
    Fold::new("pipeline run id v1").text("id", id).finish()
}
