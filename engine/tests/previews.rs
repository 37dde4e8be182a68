//! What would re-run after a change, and why: plans are carried out by a loop that only keeps records.

mod house;

use std::fs;
use std::path::Path;

use cache::{Record, Store};
use contract::kind::Program;
use engine::graph::{PipelineSpec, StageSpec};
use engine::key::Environment;
use engine::key::digests::{Digested, digest_all};
use engine::key::{KeyedInput, Resolved, describe};
use engine::plan::{Plan, plan};
use engine::run::preview::{StagePreview, State, preview};
use house::{pipeline, registry, stage};
use serde_json::json;

struct House {
    folder: tempfile::TempDir,
    store: Store,
    spec: PipelineSpec,
    environment: Environment,
    clock: u64,
}

impl House {
    /// raw -> clean -> (model, notes); `notes` reads what `clean` wrote of its own accord, too.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("digits.csv"), "1,2\n\n").unwrap();
        let store = Store::open(&folder.path().join(".pipeline")).unwrap();
        let stages = vec![
            stage("raw", "source", &[], json!({"path": "digits.csv"})),
            stage("clean", "map", &[("data", "raw")], json!({"factor": 2})),
            stage("model", "learn", &[("train", "clean")], json!({"lr": 0.001, "epochs": 30})),
            stage("notes", "shell", &[("data", "clean")], json!({"run": "write", "outs": ["out/notes"]})),
            stage("paper", "shell", &[], json!({"run": "read", "deps": ["out/notes"], "env": ["PAPER_SIZE_FOR_TEST"]})),
        ];
        let spec = pipeline(folder.path(), stages);
        let environment =
            Environment { tools: [(Program::Torch, "2.13.0".to_owned())].into(), ..Environment::default() };
        Self { folder, store, spec, environment, clock: 0 }
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    fn plan(&self) -> Plan {
        let planned = plan(self.spec.clone(), &registry(), &contract::kind::Silent);
        assert_eq!(planned.faults, []);
        planned.plan.unwrap()
    }

    fn stage(&mut self, name: &str) -> &mut StageSpec {
        self.spec.stages.iter_mut().find(|stage| stage.name == name).unwrap()
    }

    fn preview(&self) -> Vec<StagePreview> {
        preview(&self.plan(), &self.store, &self.environment, self.root())
    }

    /// Runs everything that is not a hit; returns what ran. `clean` drops empty lines, everything else gives
    /// bytes that follow from its key and port.
    fn run(&mut self) -> Vec<String> {
        let plan = self.plan();
        let mut ran = Vec::new();
        for stage in &plan.stages {
            let of = |id: engine::plan::StageId, output: usize| {
                let source = plan.stage(id);
                let record = self.store.last(&source.name).unwrap().unwrap();
                record.outputs.iter().find(|(port, _)| *port == source.outputs[output].name).unwrap().1
            };
            let inputs = stage.inputs.iter().map(|input| KeyedInput {
                port: input.port.clone(),
                artifact: plan.stage(input.from).outputs[input.output].kind,
                digest: of(input.from, input.output).digest,
            });
            let inputs: Vec<KeyedInput> = inputs.collect();
            let found =
                digest_all(&self.store, self.root(), stage, |id, port| Some(of(id, port as usize).digest)).unwrap();
            let files = found.iter().map(Digested::keyed).collect();
            let manifest = describe(stage, &Resolved { inputs, files, environment: self.environment.of(stage) });
            let key = manifest.key();
            let whole = |record: &Record| record.outputs.iter().all(|(_, blob)| self.store.check(blob).unwrap());
            if self.store.lookup(&key).unwrap().is_some_and(|record| whole(&record)) {
                self.store.touch(&stage.name, &key);
                continue;
            }
            let outputs = stage.outputs.iter().map(|output| {
                let bytes = match (stage.name.as_str(), stage.inputs.first()) {
                    ("raw", _) => fs::read_to_string(self.root().join("digits.csv")).unwrap(),
                    ("clean", Some(input)) => {
                        let raw = self.store.read(&of(input.from, input.output).digest).unwrap();
                        String::from_utf8(raw).unwrap().replace("\n\n", "\n") + &stage.keyed().to_string()
                    }
                    _ => format!("{key} {}", output.name),
                };
                (output.name.clone(), self.store.put_bytes(bytes.as_bytes()).unwrap())
            });
            let outputs = outputs.collect();
            self.clock += 1;
            let record = Record {
                key,
                label: stage.name.clone(),
                outputs,
                manifest: serde_json::to_value(&manifest).unwrap(),
                observations: json!({}),
                detail: json!({"took": 1.5}),
                created: self.clock,
            };
            self.store.commit(&record).unwrap();
            ran.push(stage.name.clone());
        }
        ran
    }

    /// `name: hit`, `name: miss (reasons)`, `name: waits for above (what is certain)`.
    fn told(&self) -> Vec<String> {
        let plan = self.plan();
        let previews = self.preview();
        let list = |reasons: &[engine::key::explain::Reason]| {
            reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        let tell = |preview: &StagePreview| {
            let name = &plan.stage(preview.id).name;
            match &preview.state {
                State::Hit if preview.changed.is_empty() => format!("{name}: hit"),
                State::Hit => format!("{name}: hit ({})", list(&preview.changed)),
                State::Miss { reasons } => format!("{name}: miss ({})", list(reasons)),
                State::Unknown { because } => {
                    let above: Vec<&str> = because.iter().map(|id| plan.stage(*id).name.as_str()).collect();
                    let certain = list(&preview.changed);
                    let certain = if certain.is_empty() { certain } else { format!(" ({certain})") };
                    format!("{name}: waits for {}{certain}", above.join(", "))
                }
            }
        };
        previews.iter().map(tell).collect()
    }
}

const HITS: [&str; 5] = ["raw: hit", "clean: hit", "model: hit", "notes: hit", "paper: hit"];

#[test]
fn first_nothing_is_known_then_all_is() {
    let mut house = House::new();
    assert_eq!(
        house.told(),
        [
            "raw: miss (it has no result here yet)",
            "clean: waits for raw (it has no result here yet)",
            "model: waits for clean (it has no result here yet)",
            "notes: waits for clean (it has no result here yet)",
            "paper: waits for notes (it has no result here yet)",
        ]
    );
    assert_eq!(house.run().len(), 5);
    assert_eq!(house.told(), HITS);
    assert_eq!(house.run(), [] as [&str; 0]);
    let previews = house.preview();
    assert_eq!(previews[0].took, Some(std::time::Duration::from_millis(1500)));
    assert_eq!(previews[0].bytes, Some(5));
    assert!(previews.iter().all(|preview| preview.key.is_some()));
}

#[test]
fn what_does_not_matter_runs_nothing() {
    let mut house = House::new();
    house.run();
    house.spec.name = "another".into();
    house.stage("model").description = Some("the model".into());
    house.stage("model").tags = vec!["x".into()];
    house.stage("model").retries = 3;
    house.stage("model").params = json!({"epochs": 30, "lr": 1e-3});
    // Renaming, with every reference to it.
    house.stage("clean").name = "tidy".into();
    for name in ["model", "notes"] {
        house.stage(name).inputs[0].1.reference.stage = "tidy".into();
    }
    house.spec.stages.reverse();
    // The same content at another time and another place.
    fs::remove_file(house.root().join("digits.csv")).unwrap();
    fs::create_dir(house.root().join("data")).unwrap();
    fs::write(house.root().join("data/numbers.csv"), "1,2\n\n").unwrap();
    house.stage("raw").params = json!({"path": "./data/numbers.csv"});
    assert!(house.told().iter().all(|line| line.ends_with(": hit")), "{:?}", house.told());
    assert_eq!(house.run(), [] as [&str; 0]);
}

#[test]
fn a_parameter_runs_its_stage_and_leaves_the_rest_to_early_cutoff() {
    let mut house = House::new();
    house.run();
    house.stage("model").params["lr"] = json!(0.01);
    assert_eq!(house.told(), [HITS[0], HITS[1], "model: miss (`lr` 0.001 → 0.01)", HITS[3], HITS[4]]);
    assert_eq!(house.run(), ["model"]);
    house.stage("model").params = json!({"lr": 0.01});
    assert_eq!(house.told()[2], "model: miss (`epochs` is gone (it was 30))");
    // Going back is a hit, and what is compared with from then on.
    house.stage("model").params = json!({"lr": 0.001, "epochs": 30});
    assert_eq!(house.told(), HITS);
    assert_eq!(house.run(), [] as [&str; 0]);
    // Cleaning takes the change away again: nothing below it runs.
    fs::write(house.root().join("digits.csv"), "1,2\n").unwrap();
    assert_eq!(
        house.told()[..3],
        ["raw: miss (`digits.csv` has other content)", "clean: waits for raw", "model: waits for clean"]
    );
    assert_eq!(house.run(), ["raw", "clean"]);
    assert_eq!(house.told(), HITS);
}

#[test]
fn the_seed_and_libtorch_matter_to_those_that_use_them() {
    let mut house = House::new();
    house.run();
    house.spec.seed = 8;
    house.environment.tools = [(Program::Torch, "2.14.0".to_owned())].into();
    assert_eq!(
        house.told(),
        [HITS[0], HITS[1], "model: miss (`seed` 7 → 8; `libtorch` 2.13.0 → 2.14.0)", HITS[3], HITS[4]]
    );
    house.stage("model").seed = Some(7);
    house.environment.tools = [(Program::Torch, "2.13.0".to_owned())].into();
    assert_eq!(house.told(), HITS);
}

#[test]
fn causes_are_followed_through_stages_that_ran_since() {
    let mut house = House::new();
    house.run();
    fs::write(house.root().join("digits.csv"), "3,4\n").unwrap();
    house.stage("clean").params["factor"] = json!(3);
    house.stage("model").params["lr"] = json!(0.5);
    assert_eq!(
        house.told()[..3],
        [
            "raw: miss (`digits.csv` has other content)",
            "clean: waits for raw (`factor` 2 → 3)",
            "model: waits for clean (`lr` 0.001 → 0.5)"
        ]
    );
    // A run that got as far as `clean`.
    let all = std::mem::take(&mut house.spec.stages);
    house.spec.stages = all[..2].to_vec();
    assert_eq!(house.run(), ["raw", "clean"]);
    house.spec.stages = all;
    assert_eq!(
        house.told()[..3],
        [
            "raw: hit (`digits.csv` has other content)",
            "clean: hit (`factor` 2 → 3; input `data` changed: `raw` gave other content)",
            "model: miss (`lr` 0.001 → 0.5; input `train` changed: `clean` gave other content)",
        ]
    );
}

#[test]
fn a_lost_blob_and_an_uncached_stage_run_again() {
    let mut house = House::new();
    house.run();
    let blob = house.preview()[2].record.as_ref().unwrap().outputs[1].1;
    fs::remove_file(house.store.blob_path(&blob.digest)).unwrap();
    assert_eq!(
        house.told()[2],
        format!("model: miss (the stored output `metrics` is gone or damaged ({}))", blob.digest.short())
    );
    assert_eq!(house.run(), ["model"]);
    assert_eq!(house.told(), HITS);
    house.stage("clean").cache = Some(false);
    assert_eq!(house.told()[1..3], ["clean: miss (`cache: false`: it runs every time)", "model: waits for clean"]);
}

#[test]
fn an_input_taken_away_or_moved_to_another_port_is_a_change() {
    let mut house = House::new();
    house.stage("model").inputs.extend(stage("model", "learn", &[("validation", "raw")], json!({})).inputs);
    house.run();
    assert_eq!(house.told(), HITS);
    let (train, validation) = (house.stage("model").inputs[0].1.clone(), house.stage("model").inputs[1].1.clone());
    house.stage("model").inputs = vec![("train".into(), validation), ("validation".into(), train)];
    assert_eq!(
        house.told()[2],
        "model: miss (input `train` changed: `raw` gave other content; input `validation` changed: `clean` gave other content)"
    );
    house.stage("model").inputs.truncate(1);
    house.stage("model").inputs[0].1.reference.stage = "clean".into();
    assert_eq!(house.told()[2], "model: miss (input `validation` is no longer connected)");
}
