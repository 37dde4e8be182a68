//! Readers of foreign formats, each from files to a table, with the place of everything that is wrong.

pub mod bytes;
pub mod delimited;
pub mod header;
pub mod idx;
pub mod images;
pub mod ipc;
pub mod jsonl;
pub mod normal;
pub mod parquet;
pub mod scan;
pub mod sink;
pub mod unify;
