//! The execution of stages: executors, the client of the worker protocol, and the places of worker
//! programs.
//!
//! An executor is added by a file with its [`Executor`] and a line in [`Executors`].

mod asker;
mod client;
mod error;
mod executor;
mod executors;
mod local;
mod log;
mod oracle;
mod programs;

pub use asker::hello;
pub(crate) use error::AttemptError;
pub(crate) use executor::{Executor, Job, Order, Setup};
pub(crate) use executors::Executors;
pub use executors::Workers;
pub(crate) use local::worker::until;
pub(crate) use log::StageLog;
pub use oracle::WorkerOracle;
pub(crate) use programs::identity;
pub use programs::{Programs, discover};
