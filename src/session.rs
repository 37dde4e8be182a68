//! The pipeline at hand: its file, its folder, its store, the programs beside this one, and how the program ends.

mod exit;
mod failure;
mod names;
mod programs;
mod project;
mod prove;

pub use self::exit::{ENGINE_FAILED, INVALID};
pub use self::failure::Failure;
pub use self::names::{check_names, unknown_stage};
pub use self::programs::find_programs;
pub use self::project::{FileArgs, Project};
pub use self::prove::{Checked, Proved};
