//! `drop`: some columns go.

use catalog::steps::drop::Drop;
use contract::fault::{Fault, Faults};

use super::chain::Link;
use super::{Input, Transform};
use crate::fault::Outcome;

impl Transform for Drop {
    fn link<'a>(&'a self, input: &Input<'_>) -> Outcome<Link<'a>> {
        let gone = input.resolve(&self.0, input.route)?;
        let kept: Vec<usize> = (0..input.columns().len()).filter(|index| !gone.contains(index)).collect();
        if kept.is_empty() {
            return Err(Faults::from(
                Fault::error(contract::code!("data::no_columns"), "no column is left")
                    .help("keep at least one column")
                    .at(input.route.clone()),
            ));
        }
        Ok(Link::project(input.columns(), kept))
    }
}
