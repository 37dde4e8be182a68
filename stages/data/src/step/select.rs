//! `select`: only some columns, in a stated order.

use catalog::steps::select::Select;

use super::chain::Link;
use super::{Input, Transform};
use crate::fault::Outcome;

impl Transform for Select {
    fn link<'a>(&'a self, input: &Input<'_>) -> Outcome<Link<'a>> {
        let kept = input.resolve(&self.0, input.route)?;
        Ok(Link::project(input.columns(), kept))
    }
}
