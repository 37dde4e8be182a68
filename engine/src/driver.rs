//! Carrying a plan out: the scheduler's commands become worker requests and programs, their ends become its events.

mod detail;
mod drive;
mod ended;
mod execute;
mod growing;
mod guard;
pub(crate) mod lines;
mod look;
mod offload;
mod options;
pub(crate) mod process;
mod rounds;
mod voice;

pub use self::detail::Detail;
pub(crate) use self::drive::name as run_name;
pub use self::drive::{ASIDE, run};
pub(crate) use self::ended::Ended;
pub(crate) use self::execute::now;
pub(crate) use self::guard::Guard;
pub(crate) use self::offload::Offload;
pub use self::options::{Compared, End, Force, RunOptions, Scratch, Spare, StageSummary, Summary, Workers};
pub(crate) use self::voice::Voice;
pub use crate::cancel::CancelToken;
