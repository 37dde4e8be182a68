//! The chores of this repository: set-up, demo, tests, installation, benchmarks.
//!
//! Depends on neither libtorch nor the rest of the workspace, so that it builds in seconds on a fresh machine.

mod bench;
mod build;
mod failure;
mod libtorch;
mod python;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The chores of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install libtorch 2.13 into a per-user cache (once), so that plain cargo commands work.
    Setup {
        /// With CUDA: about 3 GB more.
        #[arg(long)]
        cuda: bool,
        /// Read every installed file again and compare digests.
        #[arg(long)]
        verify: bool,
    },
    /// Set up, build, run the digits pipeline from an empty store, and run it again.
    Demo,
    /// Set up, build, run every test.
    Test {
        /// Given to the test runner.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Build for speed and put the three programs on the PATH.
    Install {
        /// Where: programs go to `bin` below it. Default: cargo's own folder.
        #[arg(long)]
        root: Option<PathBuf>,
        /// The build profile: `release` (about 20 minutes on two cores) or `dev` (minutes).
        #[arg(long, default_value = "release")]
        profile: String,
    },
    /// Write `schemas/pipeline.schema.json` and the generated parts of the documentation.
    Schema,
    /// Measure, beside the peer, in one run.
    Bench {
        /// What to measure.
        #[command(subcommand)]
        what: bench::What,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Setup { cuda, verify } => libtorch::setup(cuda, verify).map(|_| ()),
        Task::Demo => build::demo(),
        Task::Test { args } => build::test(&args),
        Task::Install { root, profile } => build::install(root, &profile),
        Task::Schema => build::schema(),
        Task::Bench { what } => bench::run(&what),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}
