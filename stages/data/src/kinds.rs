//! What each data kind does: one handler a kind, and the list of them.

pub mod collect;
mod handler;
pub mod preprocess;
pub mod profile;
pub mod split;

pub use handler::{Answer, Handler};

/// The kinds that this program carries out.
pub const HANDLERS: [Handler; 4] = [collect::HANDLER, preprocess::HANDLER, profile::HANDLER, split::HANDLER];

/// The handler of a kind.
pub fn handler(kind: &str) -> Option<&'static Handler> {
    HANDLERS.iter().find(|handler| handler.kind == kind)
}
