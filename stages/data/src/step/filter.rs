//! `filter`: rows for which a condition is true stay.

use arrow::array::RecordBatch;
use catalog::steps::filter::Filter;
use contract::fault::Faults;

use super::chain::{Link, filter};
use super::expression::{Condition, no_value};
use super::{Input, Transform};
use crate::fault::Outcome;

impl Transform for Filter {
    fn link<'a>(&'a self, input: &Input<'_>) -> Outcome<Link<'a>> {
        let columns = input.columns().to_vec();
        let text = self.0.as_str();
        let condition =
            Condition::new(text, input.columns()).map_err(|fault| Faults::from(fault.at(input.route.clone())))?;
        let (route, named) = (input.route.clone(), columns.clone());
        Ok(filter(
            columns,
            move |rows, before| {
                condition.evaluate(rows).map_err(|error| {
                    let one = |row: &RecordBatch| condition.evaluate(row).err();
                    Faults::from(no_value(text, &error, rows, before, &named, one, &route))
                })
            },
            move |_, _| format!("not `{text}`"),
        ))
    }
}
