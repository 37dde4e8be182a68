//! The data kinds from the outside.

mod agreement;
mod fetching;
mod formats;
mod gallery;
mod program;
mod sources;
mod steps;
