//! Readers of foreign formats, each from files to a table, with the place of everything that is wrong.

pub mod bytes;
pub mod delimited;
pub mod encoding;
pub mod hub;
pub mod idx;
pub mod images;
pub mod ipc;
pub mod join;
pub mod jsonl;
pub mod listing;
pub mod normal;
pub mod npy;
pub mod origin;
pub mod parquet;
pub mod postgres;
pub mod reading;
pub mod records;
pub mod scratch;
pub mod sqlite;
pub mod texts;
pub mod unify;
