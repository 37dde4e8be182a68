//! The data kinds from the outside.

mod agreement;
mod formats;
mod gallery;
mod program;
mod sources;
mod steps;
