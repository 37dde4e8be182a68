//! A pipeline's folder with a store, two kinds of stages, and runs that say what they did.

mod bisect;
mod gather;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cache::Store;
use contract::artifact::{ArtifactKind, ArtifactType};
use contract::fault::{Fault, Faults, Route};
use contract::kind::{
    About, CommandLine, FileInput, InferContext, Inference, InputPort, Kind, Kinds, OutputPort, Program, Silent, Stage,
};
use engine::event::Event;
use engine::execute::Programs;
use engine::graph::{PipelineSpec, Reference, ReferenceSpec, StageSpec};
use engine::key::Environment;
use engine::key::explain::Reason;
use engine::plan::Plan;
use engine::run::driver::{CancellationToken, End, Force, RunOptions, Summary};
use serde_json::{Value, json};

const ABOUT: About = About { summary: "For tests.", inputs: &[], outputs: &[], example: "" };

/// `fake` runs on the worker of `examples/fake_worker.rs`; `shell` is a program; `late` runs on a worker that is not installed.
struct Fake(&'static str, Program);

struct FakeStage(Value);

fn texts(params: &Value, name: &str) -> Vec<String> {
    let items = params.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

impl Kind for Fake {
    fn name(&self) -> &'static str {
        self.0
    }
    fn version(&self) -> u32 {
        1
    }
    fn program(&self) -> Program {
        self.1
    }
    fn seeded(&self) -> bool {
        false
    }
    fn schema(&self, _: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::Schema::default()
    }
    fn about(&self) -> About {
        ABOUT
    }
    fn stage(&self, params: Value) -> Result<Box<dyn Stage>, Faults> {
        Ok(Box::new(FakeStage(params)))
    }
}

impl Stage for FakeStage {
    fn params(&self) -> Value {
        self.0.clone()
    }
    fn keyed(&self) -> Value {
        let mut keyed = self.0.clone();
        if let Some(map) = keyed.as_object_mut() {
            // What does not change the result in these tests.
            for name in ["log", "seconds", "flag"] {
                map.remove(name);
            }
        }
        keyed
    }
    fn inputs(&self, connected: &[&str]) -> Vec<InputPort> {
        let port = |name: &&str| InputPort { name: (*name).to_owned(), accepts: Vec::new(), required: false };
        connected.iter().map(port).collect()
    }
    fn outputs(&self) -> Vec<OutputPort> {
        let outs = texts(&self.0, "outs");
        if outs.is_empty() && self.0.get("run").is_none() {
            return vec![OutputPort::new("main", ArtifactKind::File)];
        }
        let port = |(index, path): (usize, &String)| OutputPort {
            path: Some((path.clone(), Route::root().join("outs").join(index))),
            ..OutputPort::new(if index == 0 { "main".to_owned() } else { format!("out{index}") }, ArtifactKind::File)
        };
        outs.iter().enumerate().map(port).collect()
    }
    fn files(&self) -> Vec<FileInput> {
        let file = |(index, path): (usize, &String)| FileInput {
            role: "dep".into(),
            path: path.clone(),
            glob: path.contains('*'),
            route: Route::root().join("deps").join(index),
        };
        texts(&self.0, "deps").iter().enumerate().map(file).collect()
    }
    fn infer(&self, _: &InferContext<'_>) -> Inference {
        let outputs = self.outputs().into_iter().map(|port| (port.name, ArtifactType::Other(ArtifactKind::File)));
        Inference { outputs: outputs.collect(), faults: Vec::new() }
    }
    fn command(&self) -> Option<CommandLine> {
        let run = self.0.get("run")?.as_str()?.to_owned();
        Some(CommandLine { run, env: texts(&self.0, "env") })
    }
}

pub fn registry() -> Kinds {
    let mut registry = Kinds::new();
    registry.add(Fake("fake", Program::Data));
    registry.add(Fake("late", Program::Torch));
    registry.add(Fake("shell", Program::Command));
    registry.add(bisect::Bisect);
    registry.add(gather::Gather);
    registry
}

/// A stage of kind `fake`.
pub fn fake(name: &str, params: Value) -> StageSpec {
    StageSpec { name: name.into(), kind: "fake".into(), params, ..StageSpec::default() }
}

/// A stage of kind `shell`.
pub fn shell(name: &str, run: &str, deps: &[&str], outs: &[&str]) -> StageSpec {
    let params = json!({"run": run, "deps": deps, "outs": outs});
    StageSpec { name: name.into(), kind: "shell".into(), params, ..StageSpec::default() }
}

/// Connects inputs: `("port", "stage")`.
pub trait Connect {
    fn input(self, port: &str, stage: &str) -> Self;
}

impl Connect for StageSpec {
    fn input(mut self, port: &str, stage: &str) -> Self {
        let route = Route::stage(&self.name).join("inputs").join(port);
        let reference = Reference { stage: stage.into(), port: None };
        self.inputs.push((port.into(), ReferenceSpec { reference, route }));
        self
    }
}

/// The folder of a pipeline.
pub struct House {
    _folder: tempfile::TempDir,
    pub root: PathBuf,
    pub options: RunOptions,
}

/// What a run did.
#[derive(Debug)]
pub struct Ran {
    pub result: Result<Summary, Fault>,
    pub events: Vec<Event>,
}

/// The scripted worker. `cargo nextest run -p engine` builds it; with `--test run` alone it stays what it was.
pub fn worker() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("examples/fake_worker")
}

impl House {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let options = RunOptions {
            root: root.clone(),
            programs: Programs::from([(Program::Data, worker())]),
            environment: Environment {
                tools: [(Program::Torch, "2.13.0".to_owned())].into(),
                ..Environment::default()
            },
            jobs: Some(2),
            registry: Arc::new(registry()),
            ..RunOptions::default()
        };
        Self { _folder: folder, root, options }
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.root.join(path)).unwrap()
    }

    pub fn store(&self) -> Arc<Store> {
        Arc::new(Store::open(&self.root.join(".pipeline")).unwrap())
    }

    pub fn plan(&self, stages: Vec<StageSpec>) -> Arc<Plan> {
        let spec = PipelineSpec {
            name: "test".into(),
            device: "cpu".into(),
            root: self.root.clone(),
            stages,
            ..PipelineSpec::default()
        };
        let planned = engine::plan::plan(spec, &registry(), &Silent);
        Arc::new(planned.plan.unwrap_or_else(|| panic!("{:?}", planned.faults)))
    }

    pub fn run(&self, stages: Vec<StageSpec>) -> Ran {
        self.run_with(stages, &self.options, &CancellationToken::new())
    }

    pub fn run_with(&self, stages: Vec<StageSpec>, options: &RunOptions, cancel: &CancellationToken) -> Ran {
        let plan = self.plan(stages);
        run(plan, self.store(), options.clone(), cancel.clone())
    }

    pub fn force(&self) -> RunOptions {
        RunOptions { force: Force::All, ..self.options.clone() }
    }

    /// What is left in the staging area of the store.
    pub fn left_in_staging(&self) -> Vec<PathBuf> {
        let mut left = Vec::new();
        for process in std::fs::read_dir(self.root.join(".pipeline/tmp")).into_iter().flatten().flatten() {
            for entry in std::fs::read_dir(process.path()).into_iter().flatten().flatten() {
                if entry.file_name() != "alive" {
                    left.push(entry.path());
                }
            }
        }
        left
    }
}

pub fn run(plan: Arc<Plan>, store: Arc<Store>, options: RunOptions, cancel: CancellationToken) -> Ran {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let result = runtime.block_on(engine::run::driver::run(plan, store, options, sender, cancel));
    let mut events = Vec::new();
    while let Ok(event) = receiver.try_recv() {
        events.push(event);
    }
    Ran { result, events }
}

impl Ran {
    pub fn summary(&self) -> &Summary {
        self.result.as_ref().unwrap()
    }

    /// Asserts which stages ran and which were hits; everything else did neither.
    #[track_caller]
    pub fn did(&self, ran: &[&str], hit: &[&str]) -> &Self {
        let sorted = |names: &[&str]| -> Vec<String> {
            let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            names.sort();
            names
        };
        let summary = self.summary();
        assert_eq!(
            (sorted(&summary.ended(End::Ran)), sorted(&summary.ended(End::Hit))),
            (sorted(ran), sorted(hit)),
            "{:#?}",
            self.events
        );
        self
    }

    /// The faults of a stage's failures, in order.
    pub fn faults(&self, name: &str) -> Vec<Fault> {
        let faults = self.events.iter().filter_map(|event| match event {
            Event::StageFailed { stage, faults, .. } if stage == name => Some(faults.clone()),
            _ => None,
        });
        faults.flatten().collect()
    }

    #[track_caller]
    pub fn fault(&self, name: &str) -> Fault {
        let faults = self.faults(name);
        assert_eq!(faults.len(), 1, "{:#?}", self.events);
        faults[0].clone()
    }

    pub fn log(&self, name: &str) -> Vec<String> {
        let lines = self.events.iter().filter_map(|event| match event {
            Event::StageLog { stage, text, .. } if stage == name => Some(text.clone()),
            _ => None,
        });
        lines.collect()
    }

    pub fn reasons(&self, name: &str) -> Vec<Reason> {
        let reasons = self.events.iter().find_map(|event| match event {
            Event::StageStarted { stage, reasons, .. } if stage == name => Some(reasons.clone()),
            _ => None,
        });
        reasons.unwrap_or_default()
    }

    pub fn warnings(&self) -> Vec<Fault> {
        let faults = self.events.iter().filter_map(|event| match event {
            Event::Warning { fault } => Some(fault.clone()),
            _ => None,
        });
        faults.collect()
    }

    pub fn output(&self, name: &str) -> String {
        self.summary().stages.iter().find(|stage| stage.stage == name).unwrap().outputs["main"].clone()
    }

    /// Event names per stage: every stage that took part ends exactly once.
    #[track_caller]
    pub fn is_well_formed(&self) {
        let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
        for event in &self.events {
            let end = match event {
                Event::StageHit { stage, .. }
                | Event::StageDone { stage, .. }
                | Event::StageFailed { stage, retrying: false, .. }
                | Event::StageSkipped { stage, .. } => stage,
                _ => continue,
            };
            *ends.entry(end).or_default() += 1;
        }
        assert!(ends.values().all(|count| *count == 1), "{ends:?}");
        assert!(matches!(self.events.first(), Some(Event::RunStarted { .. })));
        assert!(matches!(self.events.last(), Some(Event::RunFinished { .. })));
    }
}

/// The processes whose command line or environment holds a text.
pub fn processes_with(text: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        // A process that has ended and is not reaped yet has no command line.
        if pid != std::process::id() && String::from_utf8_lossy(&line).contains(text) {
            found.push(pid);
        }
    }
    found
}

/// Waits until something holds; fails when it never does.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
