//! What the data kinds do, on Arrow and DataFusion: the library behind `pipeline-data`.
//!
//! A kind has the same file name here and in `catalog`: [`kinds`]. What a data set is on disk is in [`table`] (and in
//! `docs/dataset.md`). Readers of foreign formats are under [`read`], what brings files here first under [`fetch`], the steps of
//! `preprocess` under [`step`], the parts of a profile under [`profile`]. Answers to questions that need no run are under
//! [`answers`].

pub mod answers;
pub mod chance;
pub mod fault;
pub mod fetch;
pub mod kinds;
pub mod profile;
pub mod program;
pub mod read;
pub mod request;
pub mod step;
pub mod table;
pub mod threads;
