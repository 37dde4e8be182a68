//! A pipeline that is read and proved before anything runs.

use std::path::PathBuf;
use std::sync::Arc;

use cache::Store;
use contract::fault::Fault;
use contract::kind::{Kinds, Program};
use engine::execute::Programs;
use engine::execute::WorkerOracle;
use engine::key::Environment;
use engine::plan::Plan;
use schemas::Sources;

use super::exit::INVALID;
use super::failure::Failure;
use super::programs::find_programs;
use super::project::Project;
use crate::terminal::fault::render_all;

/// A pipeline that was proved.
pub struct Proved {
    /// The plan.
    pub plan: Arc<Plan>,
    /// For placing faults.
    pub sources: Arc<Sources>,
    /// Warnings.
    pub warnings: Vec<Fault>,
    /// The folder relative paths start from.
    pub root: PathBuf,
    /// The store.
    pub store: Arc<Store>,
    /// Worker programs.
    pub programs: Programs,
    /// What of this machine enters keys.
    pub environment: Environment,
    /// The kinds.
    pub registry: Arc<Kinds>,
    /// The files it includes, under every name they are included by.
    pub files: Vec<PathBuf>,
}

impl Project {
    /// Reads and proves the pipeline.
    ///
    /// # Errors
    /// Only what stands in the way of looking (the store); faults of the pipeline are in the result.
    pub fn prove(&self, set: &[String]) -> Result<Checked, Failure> {
        let loaded = self.read(set);
        let sources = Arc::new(loaded.sources);
        let files = loaded.files;
        let mut faults = loaded.faults;
        let Some(spec) = loaded.spec else {
            return Ok(Checked { proved: None, sources, faults, files, reads: Vec::new() });
        };
        let store = self.store()?;
        let programs = find_programs();
        let oracle = WorkerOracle::new(Arc::clone(&store), &programs, &self.root);
        let planned = engine::plan::plan(spec, &self.registry, &oracle);
        faults.extend(planned.faults);
        let reads = planned.sources;
        faults.extend(oracle.faults());
        // Only a program whose tool or device enters keys has to be asked before the run.
        let asks =
            |program: Program| program.worker().is_some_and(|worker| worker.keyed_tool.is_some() || worker.uses_device);
        let asks = |plan: &Plan| plan.stages.iter().any(|stage| asks(stage.program));
        let proved = match planned.plan {
            Some(plan) if !faults.iter().any(Fault::is_error) => {
                let environment = if asks(&plan) {
                    let (environment, found) = engine::execute::discover(&store, &programs);
                    faults.extend(found);
                    faults.extend(environment.check_devices(&plan));
                    environment
                } else {
                    Environment::default()
                };
                faults.extend(engine::run::capacity::beyond(&plan, &environment));
                (!faults.iter().any(Fault::is_error)).then(|| Proved {
                    plan: Arc::new(plan),
                    sources: Arc::clone(&sources),
                    warnings: faults.iter().filter(|fault| !fault.is_error()).cloned().collect(),
                    root: self.root.clone(),
                    store,
                    programs,
                    environment,
                    registry: Arc::clone(&self.registry),
                    files: files.clone(),
                })
            }
            _ => None,
        };
        Ok(Checked { proved, sources, faults, files, reads })
    }

    /// Reads and proves, and turns faults into the end of the program. For a verb that needs one pipeline: it is there
    /// [until the end](Proved::until_the_end).
    ///
    /// # Errors
    /// All faults of the pipeline, in words (exit code 2).
    pub fn proved(&self, set: &[String]) -> Result<Proved, Failure> {
        let checked = self.prove(set)?;
        let (sources, faults) = (checked.sources, checked.faults);
        let proved =
            checked.proved.ok_or_else(|| Failure { text: render_all(&faults, &sources), exit_code: INVALID })?;
        proved.until_the_end();
        Ok(proved)
    }
}

impl Proved {
    /// Leaves the plan and the texts to the end of the process, which gives their memory back at once; piece by piece takes a tenth
    /// of the time of planning.
    pub fn until_the_end(&self) {
        std::mem::forget((Arc::clone(&self.plan), Arc::clone(&self.sources)));
    }
}

/// What `prove` found.
pub struct Checked {
    /// The pipeline, when there is no error.
    pub proved: Option<Proved>,
    /// For placing faults.
    pub sources: Arc<Sources>,
    /// Errors and warnings.
    pub faults: Vec<Fault>,
    /// The files it includes.
    pub files: Vec<PathBuf>,
    /// What its stages read, as far as that is known: also of a pipeline with errors.
    pub reads: Vec<PathBuf>,
}
