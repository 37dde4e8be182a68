//! `derive`: columns computed by expressions.

use arrow::array::RecordBatch;
use catalog::steps::derive::Derive;
use contract::artifact::Column;
use contract::fault::Faults;

use super::chain::Link;
use super::expression::{Expression, no_value};
use super::{Input, Transform};
use crate::fault::Outcome;
use crate::table::convert::convert;

impl Transform for Derive {
    fn link<'a>(&'a self, input: &Input<'_>) -> Outcome<Link<'a>> {
        let mut after = input.columns().to_vec();
        let mut expressions = Vec::new();
        for (name, text) in &self.0 {
            let at = input.route.join(name.as_str());
            let expression =
                Expression::new(text, input.columns()).map_err(|fault| Faults::from(fault.at(at.clone())))?;
            let dtype = expression.dtype(text).map_err(|fault| Faults::from(fault.at(at.clone())))?;
            let new = Column::new(name, dtype);
            let position = after.iter().position(|column| column.name == *name).unwrap_or(after.len());
            match after.get_mut(position) {
                Some(column) => *column = Column { role: column.role, ..new },
                None => after.push(new),
            }
            expressions.push((position, dtype, text, expression, at));
        }
        let before = input.columns().to_vec();
        Ok(Link::new(after, move |rows, start| {
            let mut arrays = rows.columns().to_vec();
            for (position, dtype, text, expression, at) in &expressions {
                let value = |rows: &RecordBatch| {
                    let array = expression.values(rows)?;
                    convert(&array, *dtype).map_err(|_| "a value does not fit its type".to_owned())
                };
                let array = value(rows).map_err(|error| {
                    Faults::from(no_value(text, &error, rows, start, &before, |row| value(row).err(), at))
                })?;
                if *position < arrays.len() { arrays[*position] = array } else { arrays.push(array) }
            }
            Ok((arrays, Vec::new()))
        }))
    }
}
