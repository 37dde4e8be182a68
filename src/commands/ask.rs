//! Verbs that answer a question about the pipeline without running it.

mod check;
mod family;
mod graph;
mod plan;
mod preview;
mod status;
mod why;

super::list::verbs! {
    Check(check),
    Plan(plan),
    Why(why),
    Status(status),
    Graph(graph),
}
