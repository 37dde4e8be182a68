//! `one_hot`: one number for each value.

use std::collections::HashMap;

use catalog::kinds::train::params::Encoder as Asked;
use contract::artifact::Column;
use serde::{Deserialize, Serialize};

use super::encoder::{Encoder, Lesson, Rows, Strip, Vocabulary};
use crate::cells::seen;
use crate::fault::Outcome;
use crate::onnx::cell::{Cell, matches, missing_category, number};
use crate::onnx::graph::{Attribute, Graph};
use crate::onnx::messages::DataType;

/// 1 at the place of the cell's value, else 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OneHot {
    /// The values seen in training: numbers sorted numerically, text by its bytes. As
    /// [`Dataset::texts`](crate::dataset::Dataset::texts) writes them.
    pub values: Vec<String>,
    /// Whether training had missing cells: then the last place is theirs.
    pub indicator: bool,
}

impl Encoder for OneHot {
    fn fit(lesson: &mut Lesson<'_>) -> Outcome<Option<Self>> {
        if lesson.decision.encoder != Asked::OneHot {
            return Ok(None);
        }
        let (values, indicator) = seen(lesson.data, lesson.name(), lesson.decision.column.dtype)?;
        Ok(Some(Self { values, indicator }))
    }

    fn width(&self, _: &Column) -> u64 {
        self.values.len() as u64 + u64::from(self.indicator)
    }

    fn write(&self, rows: &Rows<'_>, strip: &mut Strip<'_>) -> Outcome<()> {
        let places: HashMap<&str, usize> =
            self.values.iter().enumerate().map(|(place, value)| (value.as_str(), place)).collect();
        for (row, text) in strip.rows().zip(rows.data.texts(rows.name())?) {
            match text {
                Some(text) => {
                    if let Some(place) = places.get(text.as_str()) {
                        row[*place] = 1.0;
                    }
                }
                None if self.indicator => row[self.values.len()] = 1.0,
                None => {}
            }
        }
        Ok(())
    }

    fn vocabulary(&self) -> Option<Vocabulary<'_>> {
        Some(Vocabulary { values: &self.values, indicator: self.indicator })
    }

    fn graph(&self, graph: &mut Graph, cell: &Cell<'_>) -> String {
        let mut parts = Vec::new();
        if !self.values.is_empty() {
            parts.push(matches(graph, cell, &self.values));
        }
        if self.indicator {
            let missing = missing_category(graph, cell);
            parts.push(graph.cast(&missing, DataType::Float));
        }
        match parts.as_slice() {
            [one] => one.clone(),
            [values, flag] => graph.node("Concat", &[values, flag], &[("axis", Attribute::Int(1))]),
            // A column that was empty in training has no values and no indicator: nothing is encoded, and the width is 0.
            _ => {
                let empty = graph.doubles("values", &[1, 0], &[]);
                let input = number(graph, cell);
                let none = graph.node("Mul", &[&input, &empty], &[]);
                graph.cast(&none, DataType::Float)
            }
        }
    }
}
