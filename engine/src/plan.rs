//! The plan: a graph whose parameters are typed, whose ports match and whose types are inferred.

pub(crate) mod device;
pub(crate) mod files;
pub mod paths;
#[expect(clippy::module_inception, reason = "the file is named after what it defines")]
mod plan;
mod planning;
pub(crate) mod seal;
pub mod selection;
mod sources;

pub use files::expand;
pub use plan::{Off, Parent, Plan, Planned, PlannedInput, PlannedStage, StageId, Written};
pub use planning::plan;
