//! `identity`: a number as it is.

use catalog::kinds::train::params::Encoder as Asked;
use contract::artifact::Column;

use super::encoder::{Encoder, Lesson, Rows, Strip};
use crate::cells::finite_scalar;
use crate::fault::Outcome;
use crate::onnx::cell::{Cell, fill, missing, number};
use crate::onnx::graph::Graph;

/// Learns nothing. A missing cell becomes 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Identity;

impl Encoder for Identity {
    fn fit(lesson: &mut Lesson<'_>) -> Outcome<Option<Self>> {
        Ok((lesson.decision.encoder == Asked::Identity).then_some(Self))
    }

    fn width(&self, column: &Column) -> u64 {
        column.shape.iter().product()
    }

    fn write(&self, rows: &Rows<'_>, strip: &mut Strip<'_>) -> Outcome<()> {
        let numbers = rows.data.numbers(rows.name())?;
        finite_scalar(rows.name(), rows.data, &numbers.values)?;
        for (row, value) in strip.rows().zip(&numbers.values) {
            row[0] = if value.is_nan() { 0.0 } else { *value as f32 };
        }
        Ok(())
    }

    fn graph(&self, graph: &mut Graph, cell: &Cell<'_>) -> String {
        let input = number(graph, cell);
        let missing = missing(graph, &input);
        fill(graph, &missing, &input)
    }
}
