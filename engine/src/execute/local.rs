//! The two homes on this machine: worker programs, and programs of the user.

mod guard;
pub(crate) mod lines;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod worker;
