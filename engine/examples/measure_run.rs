//! What the engine costs beyond the work: a layered plan of `command` stages, run from nothing, and run again.
//!
//! `cargo run --release -p engine --example measure_run -- STAGES [TIMES AGAIN]`

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cache::Store;
use contract::artifact::{ArtifactKind, ArtifactType};
use contract::fault::{Faults, Route};
use contract::kind::{
    About, CommandLine, FileInput, InferContext, Inference, InputPort, Kind, Kinds, OutputPort, Program, Silent, Stage,
};
use engine::graph::{PipelineSpec, StageSpec};
use engine::plan::Plan;
use engine::run::driver::{CancellationToken, RunOptions};
use serde_json::{Value, json};

const WIDTH: usize = 100;

struct Shell;

struct ShellStage(Value);

fn paths(params: &Value, name: &str) -> Vec<String> {
    params[name].as_array().into_iter().flatten().filter_map(|path| path.as_str().map(str::to_owned)).collect()
}

impl Kind for Shell {
    fn name(&self) -> &'static str {
        "shell"
    }
    fn version(&self) -> u32 {
        1
    }
    fn program(&self) -> Program {
        Program::Command
    }
    fn seeded(&self) -> bool {
        false
    }
    fn schema(&self, _: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::Schema::default()
    }
    fn about(&self) -> About {
        About { summary: "", inputs: &[], outputs: &[], example: "" }
    }
    fn stage(&self, params: Value) -> Result<Box<dyn Stage>, Faults> {
        Ok(Box::new(ShellStage(params)))
    }
}

impl Stage for ShellStage {
    fn params(&self) -> Value {
        self.0.clone()
    }
    fn inputs(&self, _: &[&str]) -> Vec<InputPort> {
        Vec::new()
    }
    fn outputs(&self) -> Vec<OutputPort> {
        let route = Route::root().join("outs").join(0);
        let path = Some((self.0["outs"][0].as_str().unwrap_or_default().to_owned(), route));
        vec![OutputPort { path, ..OutputPort::new("main", ArtifactKind::File) }]
    }
    fn files(&self) -> Vec<FileInput> {
        let file = |path| FileInput { role: "dep".into(), path, glob: false, route: Route::root().join("deps") };
        paths(&self.0, "deps").into_iter().map(file).collect()
    }
    fn infer(&self, _: &InferContext<'_>) -> Inference {
        let outputs = [("main".to_owned(), ArtifactType::Other(ArtifactKind::File))];
        Inference { outputs: outputs.into(), faults: Vec::new() }
    }
    fn command(&self) -> Option<CommandLine> {
        Some(CommandLine { run: self.0["run"].as_str()?.to_owned(), env: Vec::new() })
    }
}

fn plan(root: &Path, count: usize) -> Arc<Plan> {
    let mut registry = Kinds::new();
    registry.add(Shell);
    let stage = |number: usize| {
        let (layer, item) = (number / WIDTH, number % WIDTH);
        let deps: Vec<String> = match layer {
            0 => vec!["in.txt".into()],
            _ => [0, 1].iter().map(|step| format!("out/{}", (layer - 1) * WIDTH + (item + step) % WIDTH)).collect(),
        };
        let run = format!("echo {number} > out/{number}");
        let params = json!({"run": run, "deps": deps, "outs": [format!("out/{number}")]});
        StageSpec { name: format!("s{number}"), kind: "shell".into(), params, ..StageSpec::default() }
    };
    let spec = PipelineSpec {
        name: "measured".into(),
        device: "cpu".into(),
        root: root.to_owned(),
        stages: (0..count).map(stage).collect(),
        ..PipelineSpec::default()
    };
    let planned = engine::plan::plan(spec, &registry, &Silent);
    Arc::new(planned.plan.unwrap_or_else(|| panic!("{:?}", planned.faults)))
}

fn main() {
    let count: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1000);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path();
    std::fs::write(root.join("in.txt"), "in").expect("a file");
    let mut lines = Vec::new();
    let again: usize = std::env::args().nth(2).and_then(|text| text.parse().ok()).unwrap_or(2);
    for number in 0..=again {
        let what = if number == 0 { "from nothing" } else { "again" };
        let begun = Instant::now();
        let plan = plan(root, count);
        let planned = begun.elapsed();
        let begun = Instant::now();
        let store = Arc::new(Store::open(&root.join(".pipeline")).expect("a store"));
        let opened = begun.elapsed();
        let (begun, worked) = (Instant::now(), processor_time());
        let options = RunOptions { root: root.to_owned(), ..RunOptions::default() };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let summary = runtime.block_on(async {
            let listener = tokio::spawn(async move { while receiver.recv().await.is_some() {} });
            let summary = engine::run::driver::run(plan, store, options, sender, CancellationToken::new()).await;
            let _ = listener.await;
            summary
        });
        let summary = summary.expect("a run");
        let (took, worked) = (begun.elapsed(), processor_time().saturating_sub(worked));
        let each = worked / u32::try_from(count).unwrap_or(1);
        lines.push(format!(
            "{what}: plan {planned:?}, open {opened:?}, run {took:?} (processor time of the engine alone {worked:?}, {each:?} a stage), {} ran, {} hits",
            summary.ran, summary.hit
        ));
        // Files just written are racy: the second run must not measure the clock's tick.
        std::thread::sleep(Duration::from_millis(100));
    }
    report(&lines);
}

/// Processor time of this process: on a busy machine it says more than the clock on the wall.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[expect(clippy::print_stdout, reason = "a measurement is for people")]
fn report(lines: &[String]) {
    for line in lines {
        println!("{line}");
    }
}
