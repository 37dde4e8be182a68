//! The real programs, from the outside: what re-ran, what came out, what a person reads.

#![expect(clippy::print_stderr, reason = "a test that is skipped says why")]

mod bad_input;
mod collecting;
mod commands;
mod crash;
mod examples;
mod explaining;
mod house;
mod importing;
mod interruption;
mod kept;
mod language;
mod profiling;
mod remotes;
mod rereading;
mod reruns;
mod resources;
mod servers;
mod sharing;
mod shortcut;
mod trust;
mod tutorial;
mod watching;
