//! What the data kinds do, on Arrow and DataFusion: the library behind `pipeline-data`.
//!
//! A kind has the same file name here and in `catalog`: [`collect`], [`preprocess`], [`split`]. What a data set is on disk
//! is in [`dataset`] (and in `docs/dataset.md`); readers of foreign formats are under [`source`], single cleaning steps under
//! [`step`].

pub mod annotators;
pub mod cell;
pub mod chance;
pub mod classes;
pub mod collect;
pub mod convert;
pub mod dataset;
pub mod difference;
pub mod fault;
pub mod preprocess;
pub mod profile;
pub mod program;
pub mod show;
pub mod source;
pub mod spill;
pub mod split;
pub mod step;
pub mod threads;
pub mod writer;
