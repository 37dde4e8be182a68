//! How long planning takes for many stages: `cargo run -p engine --example scale -- 100000`.
//!
//! A layered graph of `command`-like stages, each with two files of the layer above as dependencies; a tenth of them also
//! reads a source file.
#![expect(clippy::print_stdout, reason = "it is a measurement for people")]

#[path = "../tests/house/mod.rs"]
mod house;

use std::time::Instant;

use contract::kind::Silent;
use engine::key::Environment;
use engine::plan::plan;
use engine::run::preview::preview;
use house::{pipeline, registry, stage};
use serde_json::json;

/// Stages in a layer.
const WIDTH: usize = 100;

fn main() {
    let count: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("source"), "a").expect("a source file");
    let mut stages = Vec::with_capacity(count);
    for at in 0..count {
        let mut deps = Vec::new();
        if at >= WIDTH {
            let above = (at / WIDTH - 1) * WIDTH;
            deps = vec![format!("out/{}", above + at % WIDTH), format!("out/{}", above + (at * 7 + 1) % WIDTH)];
        }
        if at % 10 == 0 {
            deps.push("source".into());
        }
        let params = json!({"run": format!("cat > out/{at}"), "deps": deps, "outs": [format!("out/{at}")]});
        stages.push(stage(&format!("s{at}"), "shell", &[], params));
    }
    let before = resident();
    let spec = pipeline(folder.path(), stages);
    let registry = registry();
    let (start, busy) = (Instant::now(), busy_ms());
    let planned = plan(spec, &registry, &Silent);
    let (took, busy) = (start.elapsed(), busy_ms() - busy);
    assert!(planned.faults.is_empty(), "{:?}", planned.faults);
    let plan = planned.plan.expect("a plan");
    println!(
        "plan of {count} stages: {took:.3?} ({busy} ms of processor time), {} MiB in memory (specification before: {before} MiB)",
        resident()
    );
    let start = Instant::now();
    let order = plan.dag().order().map(|order| order.len());
    println!("order again: {:.3?} ({order:?})", start.elapsed());
    let store = cache::Store::open(&folder.path().join(".pipeline")).expect("a store");
    let (start, busy) = (Instant::now(), busy_ms());
    let previews = preview(&plan, &store, &Environment::default(), folder.path());
    println!(
        "preview, nothing in the store: {:.3?} ({} ms of processor time), {} stages",
        start.elapsed(),
        busy_ms() - busy,
        previews.len()
    );
}

/// Resident memory of this process in MiB; 0 where `/proc` is not.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// Processor time of this thread in milliseconds: what counts on a machine that others use, too.
fn busy_ms() -> u64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0) / 1_000_000
}
