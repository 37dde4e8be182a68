//! The worker program for the learning kinds.

use std::process::ExitCode;

fn main() -> ExitCode {
    engine::worker::serve(&mut stages_torch::program::Torch)
}
