//! Carrying a plan out: the scheduler's commands become worker requests and programs, their ends
//! become its events.

mod attempt;
mod detail;
mod drive;
mod growing;
mod look;
mod offload;
mod options;
mod rounds;
mod state;

pub(crate) use self::attempt::now;
pub use self::detail::Detail;
pub(crate) use self::drive::name as run_name;
pub use self::drive::{ASIDE, run};
pub(crate) use self::offload::Offload;
pub use self::options::{Compared, End, Force, RunOptions, Scratch, Spare, StageSummary, Summary};
pub use crate::execute::Workers;
pub(crate) use crate::execute::{AttemptError, StageLog};
pub use tokio_util::sync::CancellationToken;
