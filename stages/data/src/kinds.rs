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

#[cfg(test)]
mod tests {
    use contract::kind::Program;

    use super::HANDLERS;

    #[test]
    fn every_kind_of_this_program_has_a_handler() {
        let kinds = catalog::kinds();
        let ours = kinds.iter().filter(|kind| kind.program() == Program::Data).map(|kind| kind.name());
        assert_eq!(ours.collect::<Vec<_>>(), HANDLERS.map(|handler| handler.kind));
    }
}
