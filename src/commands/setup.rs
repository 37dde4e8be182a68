//! Verbs around a pipeline: starting one, and the installation.

mod complete_names;
pub mod completions;
mod doctor;
mod import;
mod init;
mod pick;
mod schema;

super::list::verbs! {
    Init(init),
    Import(import),
    // At the end of the help.
    #[command(display_order = 100)]
    Schema(schema),
    #[command(display_order = 101)]
    Doctor(doctor),
    Pick(pick),
    CompleteNames(complete_names),
}
