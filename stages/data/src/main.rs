//! `pipeline-data`: the worker that reads and transforms tables.

use std::process::ExitCode;

fn main() -> ExitCode {
    contract::worker::serve(&mut stages_data::program::Data)
}
