//! The run: the scheduler, the driver that carries its commands out, and what a run would do.

pub mod capacity;
pub mod difference;
pub mod driver;
mod inside;
pub mod lockfile;
pub mod preview;
pub mod scheduler;
pub mod snapshot;
