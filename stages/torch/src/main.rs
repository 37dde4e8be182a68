//! The worker program for the learning kinds.

use std::process::ExitCode;

fn main() -> ExitCode {
    contract::worker::serve(&mut stages_torch::program::Torch)
}
