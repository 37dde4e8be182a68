//! The two executors of this machine: worker programs, and commands in a shell.

mod guard;
pub(crate) mod lines;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod worker;
