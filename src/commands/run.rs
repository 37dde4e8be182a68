//! Verbs that run stages.

mod drive;
mod lock;
mod options;
#[expect(clippy::module_inception, reason = "the verb `run` gave its group the name")]
mod run;
mod shortcut;
mod verify;
mod watch;

super::list::verbs! {
    Run(run),
    Watch(watch),
    Verify(verify),
}
