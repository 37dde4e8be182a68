//! `rename`: columns under new names.

use catalog::columns::pattern::unknown;
use catalog::steps::rename::Rename;
use contract::fault::Fault;

use super::chain::Link;
use super::{Input, Transform};
use crate::fault::{FaultList, Outcome};

impl Transform for Rename {
    fn link<'a>(&'a self, input: &Input<'_>) -> Outcome<Link<'a>> {
        let mut faults = FaultList::default();
        let mut renamed = input.columns().to_vec();
        for (old, new) in &self.0 {
            let route = input.route.join(old.as_str());
            match input.columns().iter().position(|column| column.name == *old) {
                Some(_) if new.trim().is_empty() => {
                    faults.add(|| {
                        Fault::error(contract::code!("data::empty_name"), "a column needs a name")
                            .help("write the new name")
                            .at(route)
                    });
                }
                Some(index) => renamed[index].name.clone_from(new),
                None => {
                    faults.add(|| unknown(old, &input.names()).at_key(route));
                }
            }
        }
        for (index, column) in renamed.iter().enumerate() {
            if renamed[..index].iter().any(|other| other.name == column.name) {
                faults.add(|| {
                    Fault::error(
                        contract::code!("data::duplicate_column"),
                        format!("two columns would be called `{}`", column.name),
                    )
                    .help("choose another name, or drop one of them before")
                    .at(input.route.clone())
                });
            }
        }
        if !faults.is_empty() {
            return Err(faults.into_vec());
        }
        let all = (0..renamed.len()).collect();
        Ok(Link::picked(renamed, all))
    }
}
