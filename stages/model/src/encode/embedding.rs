//! `embedding`: the index of a vector that the network learns.

use std::collections::HashMap;

use catalog::columns::features::too_many_to_embed;
use catalog::kinds::train::params::Encoder as Asked;
use catalog::network::Table;
use contract::artifact::Column;
use serde::{Deserialize, Serialize};

use super::encoder::{Encoder, Lesson, Rows, Strip, Vocabulary};
use crate::cells::seen;
use crate::fault::Outcome;
use crate::onnx::cell::{Cell, matches, missing_category};
use crate::onnx::graph::Graph;
use crate::onnx::messages::DataType;

/// The index of a vector, from 0 to below 2²⁴, which float32 holds exactly: 0 for a value never seen, then one for each value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Embedding {
    /// The values seen in training, in the order of a one-hot encoding.
    pub values: Vec<String>,
    /// Whether training had missing cells: then the last index is theirs. Else they are as values never seen.
    pub indicator: bool,
    /// Length of the vectors.
    pub dimensions: u64,
}

impl Encoder for Embedding {
    fn fit(lesson: &mut Lesson<'_>) -> Outcome<Option<Self>> {
        let Asked::Embedding(options) = &lesson.decision.encoder else { return Ok(None) };
        let (values, indicator) = seen(lesson.data, lesson.name(), lesson.decision.column.dtype)?;
        let count = values.len() as u64;
        if let Some(fault) = too_many_to_embed(lesson.decision, count) {
            return Err(fault);
        }
        Ok(Some(Self { values, indicator, dimensions: options.dimensions(count) }))
    }

    fn width(&self, _: &Column) -> u64 {
        1
    }

    fn write(&self, rows: &Rows<'_>, strip: &mut Strip<'_>) -> Outcome<()> {
        let indices: HashMap<&str, usize> =
            self.values.iter().enumerate().map(|(place, value)| (value.as_str(), place + 1)).collect();
        for (row, text) in strip.rows().zip(rows.data.texts(rows.name())?) {
            let index = match text {
                Some(text) => indices.get(text.as_str()).copied().unwrap_or(0),
                None if self.indicator => self.values.len() + 1,
                None => 0,
            };
            row[0] = index as f32;
        }
        Ok(())
    }

    fn table(&self, position: u64) -> Option<Table> {
        let values = self.values.len() as u64 + 1 + u64::from(self.indicator);
        Some(Table { position, values, dimensions: self.dimensions })
    }

    fn vocabulary(&self) -> Option<Vocabulary<'_>> {
        Some(Vocabulary { values: &self.values, indicator: self.indicator })
    }

    /// The product of the one-hot vector and 1, 2, …, which gives 0 where no value matches.
    fn graph(&self, graph: &mut Graph, cell: &Cell<'_>) -> String {
        let index = if self.values.is_empty() {
            // Training had missing cells only.
            let missing = missing_category(graph, cell);
            let flag = graph.cast(&missing, DataType::Float);
            let zero = graph.floats("zero", &[1, 1], &[0.0]);
            graph.node("Mul", &[&flag, &zero], &[])
        } else {
            let matches = matches(graph, cell, &self.values);
            let places: Vec<f32> = (1..=self.values.len()).map(|place| place as f32).collect();
            let places = graph.floats("places", &[places.len(), 1], &places);
            graph.node("MatMul", &[&matches, &places], &[])
        };
        if !self.indicator {
            return index;
        }
        let missing = missing_category(graph, cell);
        let last = graph.floats("last", &[1, 1], &[(self.values.len() + 1) as f32]);
        graph.node("Where", &[&missing, &last, &index], &[])
    }
}
