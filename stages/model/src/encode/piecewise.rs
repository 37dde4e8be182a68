//! `piecewise`: how far a number has come through each of several bins.

use catalog::kinds::train::params::Encoder as Asked;
use serde::{Deserialize, Serialize};

use super::form::Form;
use super::spread::{between, quantile, steps};
use crate::onnx::graph::Graph;
use crate::onnx::messages::DataType;
use crate::random::Random;

/// For each bin, how far the number has come through it, from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Piecewise {
    /// Ends of the bins, strictly ascending; n + 1 for n bins; a single one has no bins.
    pub edges: Vec<f64>,
}

impl Form for Piecewise {
    fn asked(asked: &Asked) -> bool {
        matches!(asked, Asked::Piecewise(_))
    }

    fn fit(asked: &Asked, values: &[f64], _: &mut Random) -> Option<Self> {
        let Asked::Piecewise(options) = asked else { return None };
        let mut values = values.to_vec();
        values.sort_unstable_by(f64::total_cmp);
        let mut edges: Vec<f64> = steps(options.bins as usize + 1).map(|share| quantile(&values, share)).collect();
        edges.dedup();
        Some(Self { edges })
    }

    fn width(&self) -> usize {
        self.edges.len() - 1
    }

    fn write(&self, value: f64, out: &mut [f32]) {
        for (place, bin) in out.iter_mut().zip(self.edges.windows(2)) {
            *place = ((value - bin[0]) / (bin[1] - bin[0])).clamp(0.0, 1.0) as f32;
        }
    }

    fn likeness(&self) -> (f64, f64) {
        between(&self.edges)
    }

    fn graph(&self, graph: &mut Graph, input: &str) -> String {
        let bins = self.edges.len() - 1;
        let widths: Vec<f64> = self.edges.windows(2).map(|bin| bin[1] - bin[0]).collect();
        let begin = graph.doubles("begin", &[1, bins], &self.edges[..bins]);
        let widths = graph.doubles("width", &[1, bins], &widths);
        let past = graph.node("Sub", &[input, &begin], &[]);
        let share = graph.node("Div", &[&past, &widths], &[]);
        let share = graph.cast(&share, DataType::Float);
        let zero = graph.floats("zero", &[1, 1], &[0.0]);
        let one = graph.floats("one", &[1, 1], &[1.0]);
        let above = graph.node("Max", &[&share, &zero], &[]);
        graph.node("Min", &[&above, &one], &[])
    }
}
