//! Families: the children of one stage of a document.
//!
//! A stage becomes many in two ways. A `matrix` ([`super::matrix`]) is expanded before anything
//! runs: the front end writes one stage for each combination, so that the plan has only ordinary
//! stages. [`super::selector`] says what `model[*]` and `model[seed=1,*]` mean. A kind may also
//! propose children while the run goes on ([`contract::expansion`]).
//!
//! Children have keys of their own. They are cached and run side by side like every other stage.

use std::collections::HashSet;

use contract::fault::{Fault, Segment};
use contract::name;

/// Keeps one of the faults that the children of one family have in common: that of the first child.
/// A family may have a thousand children. Faults that differ in more than the child's name all
/// stay.
pub fn once_per_family(faults: Vec<Fault>) -> Vec<Fault> {
    let mut seen = HashSet::new();
    let mut once = Vec::with_capacity(faults.len());
    for fault in faults {
        if let Some((of, message)) = family(&fault) {
            let rest = fault.route.as_ref().map(|route| route.0[2..].to_vec()).unwrap_or_default();
            if !seen.insert((fault.code.clone(), of, rest, message)) {
                continue;
            }
        }
        once.push(fault);
    }
    once
}

/// Of a fault of a child: the stage it is a child of, and the message without the child's name.
fn family(fault: &Fault) -> Option<(String, String)> {
    let [Segment::Key(stages), Segment::Key(name), ..] = fault.route.as_ref()?.0.as_slice() else { return None };
    let of = name::family(name).filter(|_| stages == "stages")?;
    Some((of.to_owned(), fault.message.replace(name.as_str(), of)))
}

#[cfg(test)]
mod tests {
    use contract::fault::Route;

    use super::*;

    #[test]
    fn one_child_speaks_for_its_family() {
        let fault = |stage: &str, message: &str| {
            Fault::error(contract::code!("graph::cycle"), message).at(Route::stage(stage).join("lr"))
        };
        let told = once_per_family(vec![
            fault("model[seed=1]", "`model[seed=1]` is wrong"),
            fault("model[seed=2]", "`model[seed=2]` is wrong"),
            fault("model[seed=3]", "`lr` is 3"),
            fault("other[seed=1]", "`other[seed=1]` is wrong"),
            fault("plain", "`plain` is wrong"),
            fault("plain", "`plain` is wrong"),
        ]);
        let names: Vec<&str> = told.iter().map(|fault| fault.message.as_str()).collect();
        assert_eq!(
            names,
            [
                "`model[seed=1]` is wrong",
                "`lr` is 3",
                "`other[seed=1]` is wrong",
                "`plain` is wrong",
                "`plain` is wrong"
            ]
        );
    }
}
