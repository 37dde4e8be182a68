//! Names of stages on the command line.

use contract::fault::Fault;
use engine::plan::Plan;

use super::exit::INVALID;
use super::failure::Failure;

/// Every word names stages ([`engine::plan::selection`]).
///
/// # Errors
/// The first one that does not, with the nearest that does.
pub fn check_names<'a>(plan: &Plan, names: impl Iterator<Item = &'a String>) -> Result<(), Failure> {
    let names: Vec<String> = names.cloned().collect();
    match plan.targets(&names) {
        Err(faults) if !faults.is_empty() => Err(unknown(faults[0].clone())),
        _ => Ok(()),
    }
}

/// No stage has this name; the nearest one does.
pub fn unknown_stage(plan: &Plan, name: &str) -> Failure {
    match plan.named(name) {
        Err(fault) => unknown(fault),
        Ok(many) => {
            let names: Vec<&str> = many.iter().take(5).map(|id| plan.stage(*id).name.as_str()).collect();
            let fault =
                Fault::error(contract::code!("cli::several_stages"), format!("`{name}` is {} stages", many.len()))
                    .help(format!("name one of them: {}{}", names.join(", "), if many.len() > 5 { ", …" } else { "" }));
            Failure::fault(&fault, INVALID)
        }
    }
}

fn unknown(mut fault: Fault) -> Failure {
    if fault.code == contract::code!("graph::unknown_stage") {
        fault.code = contract::code!("cli::unknown_stage").into();
    }
    Failure::fault(&fault, INVALID)
}
