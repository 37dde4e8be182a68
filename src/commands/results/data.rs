//! Questions to `pipeline-data` about a data set in the store.

use contract::fault::Fault;
use contract::kind::{Oracle, Program, Question};
use engine::execute::WorkerOracle;
use serde_json::Value;

use crate::session::{ENGINE_FAILED, Failure, INVALID, Project, Proved};
use crate::terminal::fault::render;

/// Asks `pipeline-data`.
///
/// # Errors
/// When it is not installed or cannot answer.
pub fn ask_data(project: &Project, proved: &Proved, question: &Question) -> Result<Value, Failure> {
    let oracle = WorkerOracle::new(std::sync::Arc::clone(&proved.store), &proved.programs, &project.root);
    match oracle.ask(Program::Data, question) {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err(Failure::user(
            contract::code!("worker::missing"),
            "`pipeline-data` is not installed, and only it reads data sets",
            "install the three programs side by side; `pipeline doctor` says where they are looked for",
        )),
        Err(faults) => Err(Failure {
            text: faults.iter().map(|fault| render(fault, &proved.sources)).collect::<Vec<_>>().join("\n"),
            exit_code: if faults.iter().all(asked_wrongly) { INVALID } else { ENGINE_FAILED },
        }),
    }
}

/// Whether a worker's fault is of what was asked for: not of the machine, and not of the worker.
fn asked_wrongly(fault: &Fault) -> bool {
    // These are faults of the machine, not of the question.
    let machine = [
        contract::code!("data::disk_full"),
        contract::code!("data::read_only"),
        contract::code!("data::unwritable"),
        contract::code!("data::kernel"),
        contract::code!("data::memory"),
    ];
    fault.code.starts_with("data::") && !machine.iter().any(|code| fault.code == *code)
}
