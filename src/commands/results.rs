//! Verbs that show what stages and runs have given.

mod data;
mod diff;
mod found;
mod get;
mod history;
mod logs;
mod runs;
mod show;

super::list::verbs! {
    Show(show),
    Get(get),
    Logs(logs),
    Diff(diff),
    Runs(runs),
}
