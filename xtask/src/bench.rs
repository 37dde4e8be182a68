//! Measuring beside a peer, in one run on one machine.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::libtorch::{self, cache_folder};
use crate::shell::{Done, cargo, failed, failure, output, python, run, target, workspace};
use crate::wheel::TORCH;

#[derive(clap::Subcommand)]
pub enum Bench {
    /// Training steps per second of a 64-128-64-10 MLP (batch 64, Adam, one thread) beside Python's PyTorch.
    Training {
        /// Steps per repeat.
        #[arg(long, default_value_t = 4000)]
        steps: u32,
        /// Repeats, taken in turns; the fastest counts.
        #[arg(long, default_value_t = 5)]
        repeats: u32,
    },
    /// A layered graph of N `cksum` stages beside ninja, DVC and Snakemake: first run, nothing to do, one edit.
    Engine(crate::layered::Engine),
    /// Flights from CSV to a data set, grouped, joined and profiled beside polars and ydata-profiling; `--large` for a table larger than memory.
    Data(crate::tables::Tables),
}

/// Runs a benchmark and prints both sides and the ratio.
pub fn bench(what: &Bench) -> Done {
    match what {
        Bench::Training { steps, repeats } => training(*steps, *repeats),
        Bench::Engine(options) => crate::layered::measure(options),
        Bench::Data(options) => crate::tables::measure(options),
    }
}

fn training(steps: u32, repeats: u32) -> Done {
    let libtorch = libtorch::ready()?;
    run(cargo(Some(&libtorch.root)).args(["build", "--release", "-p", "stages-torch", "--example", "bench_training"]))?;
    let peer = peer()?;
    let steps = steps.to_string();
    let measure = |command: &mut Command| -> Done<Value> {
        // One thread on both sides, in the environment as in the programs.
        let said = output(
            command.args(["--steps", &steps, "--repeats", "1"]).env("OMP_NUM_THREADS", "1").env("MKL_NUM_THREADS", "1"),
        )?;
        let line = said.lines().last().unwrap_or_default();
        serde_json::from_str(line).map_err(|_| failure(format!("the benchmark said `{line}`, not JSON")))
    };
    let rate =
        |value: &Value, name: &str| value[name].as_f64().ok_or_else(|| failure(format!("no `{name}` in the answer")));
    let (mut ours, mut plain, mut fused) = (0.0f64, 0.0f64, 0.0f64);
    for repeat in 1..=repeats {
        // In turns: what slows the machine down meets both.
        let one = measure(&mut Command::new(target().join("release/examples/bench_training")))?;
        let two = measure(Command::new(&peer).arg(workspace().join("bench/peers/training.py")))?;
        let rates =
            (rate(&one, "steps_per_second")?, rate(&two, "steps_per_second")?, rate(&two, "steps_per_second_fused")?);
        println!("{repeat}: ours {:7.0} steps/s   PyTorch {:7.0}, fused {:7.0}", rates.0, rates.1, rates.2);
        (ours, plain, fused) = (ours.max(rates.0), plain.max(rates.1), fused.max(rates.2));
    }
    println!(
        "best of {repeats}: ours {ours:.0} steps/s, PyTorch {TORCH} {plain:.0}: {:.2} times as fast",
        ours / plain
    );
    println!("        with PyTorch's fused Adam {fused:.0}: {:.2} times as fast", ours / fused);
    Ok(())
}

/// The Python of an environment with PyTorch as its users install it, made once.
///
/// This fetches several gigabytes: Python's `import torch` loads the CUDA libraries of its wheel even where there is no GPU.
fn peer() -> Done<PathBuf> {
    let cache = cache_folder()?;
    let folder = cache.join(format!("peer-torch-{TORCH}"));
    let python_there = folder.join("bin/python");
    let check = format!("import torch; assert torch.__version__.startswith('{TORCH}')");
    let works = || output(Command::new(&python_there).args(["-c", &check]).env_remove("PYTHONPATH")).map(|_| ());
    if works().is_ok() {
        return Ok(python_there);
    }
    println!("making the peer's environment in `{}`, once", folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(failed("remove", &folder))?;
    }
    run(Command::new(python()?).args(["-m", "venv"]).arg(&folder))?;
    let torch = format!("torch=={TORCH}");
    run(Command::new(&python_there)
        .args(["-m", "pip", "install", "--disable-pip-version-check", &torch, "numpy"])
        .env_remove("PYTHONPATH"))
    .map_err(|failure| failure.help("the peer's environment needs the network and about 6 GB of disk"))?;
    works()?;
    Ok(python_there)
}
