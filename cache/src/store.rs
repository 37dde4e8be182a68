//! The folder on disk: its layout, its users, its locks, its history, and the collector.

pub(crate) mod begun;
pub(crate) mod gc;
pub(crate) mod layout;
pub(crate) mod lock;
pub(crate) mod logs;
pub(crate) mod runs;
#[expect(clippy::module_inception, reason = "the file is named after what it defines")]
pub(crate) mod store;
pub(crate) mod using;
