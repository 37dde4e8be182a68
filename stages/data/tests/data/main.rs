//! The data kinds from the outside.

mod agreement;
mod bad_input;
mod fetching;
mod formats;
mod gallery;
mod larger;
mod program;
mod sources;
mod steps;
mod unreadable;
