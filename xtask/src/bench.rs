//! Benchmarks, each beside its peer in one run. Ratios travel between machines, times do not.

use std::process::Command;

use clap::Subcommand;
use serde_json::Value;

use crate::build::{cargo, workspace};
use crate::failure::{Failure, Result};
use crate::{libtorch, python};

/// What can be measured.
#[derive(Subcommand)]
pub enum What {
    /// Training steps a second of a 64-128-64-10 MLP, batch 64, Adam, one thread: ours and Python PyTorch's.
    Training {
        /// Steps of one repeat.
        #[arg(long, default_value_t = 3000)]
        steps: u32,
        /// Repeats of each, alternating; the best counts.
        #[arg(long, default_value_t = 5)]
        repeats: u32,
    },
}

/// Measures.
///
/// # Errors
/// When a build, an environment or a program fails.
pub fn run(what: &What) -> Result<()> {
    match what {
        What::Training { steps, repeats } => training(*steps, *repeats),
    }
}

/// Ours and the peer take turns, so that a busy moment of the machine hits both.
fn training(steps: u32, repeats: u32) -> Result<()> {
    let torch = libtorch::setup(false, false)?;
    let mut build = cargo(&torch);
    build.args(["build", "--release", "--package", "stages-torch", "--example", "bench_training"]);
    crate::build::run(&mut build, "the build")?;
    let ours = crate::build::target().join("release/examples/bench_training");
    let peer = python::environment("torch-2.13.0", &["torch==2.13.0", "numpy"])?;
    let script = workspace().join("bench/peers/training.py");
    let steps = steps.to_string();
    let (mut best_ours, mut best_peer) = (0.0_f64, 0.0_f64);
    for repeat in 1..=repeats {
        let ours = measure(Command::new(&ours).args(["--steps", &steps, "--repeats", "1"]))?;
        let peer = measure(Command::new(&peer).arg(&script).args(["--steps", &steps]))?;
        println!("repeat {repeat}: ours {ours:.0} steps/s, PyTorch {peer:.0} steps/s");
        (best_ours, best_peer) = (best_ours.max(ours), best_peer.max(peer));
    }
    println!("best: ours {best_ours:.0} steps/s, PyTorch {best_peer:.0} steps/s, ratio {:.2}", best_ours / best_peer);
    Ok(())
}

fn measure(command: &mut Command) -> Result<f64> {
    let output = command
        .env("OMP_NUM_THREADS", "1")
        .output()
        .map_err(|error| Failure::io("a benchmark could not start", &error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str::<Value>(last)
        .ok()
        .and_then(|value| value.get("steps_per_second")?.as_f64())
        .filter(|_| output.status.success())
        .ok_or_else(|| {
            Failure::new(
                format!("a benchmark gave no result: {text}{}", String::from_utf8_lossy(&output.stderr)),
                "run it by hand to see more",
            )
        })
}
