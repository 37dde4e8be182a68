//! `robust`: distance from the median in quartile ranges, clipped smoothly.

use catalog::kinds::train::params::Encoder as Asked;
use serde::{Deserialize, Serialize};

use super::form::Form;
use super::spread::Spread;
use crate::onnx::graph::Graph;
use crate::onnx::messages::DataType;
use crate::random::Random;

/// z = (x − centre) · factor, then z / √(1 + (z/3)²).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Robust(pub Spread);

impl Form for Robust {
    fn asked(asked: &Asked) -> bool {
        *asked == Asked::Robust
    }

    fn fit(asked: &Asked, values: &[f64], _: &mut Random) -> Option<Self> {
        if !Self::asked(asked) {
            return None;
        }
        let mut values = values.to_vec();
        values.sort_unstable_by(f64::total_cmp);
        Some(Self(Spread::robust(&values)))
    }

    fn width(&self) -> usize {
        1
    }

    fn write(&self, value: f64, out: &mut [f32]) {
        out[0] = smooth_clip(self.0.of(value)) as f32;
    }

    fn likeness(&self) -> (f64, f64) {
        self.0.likeness()
    }

    fn graph(&self, graph: &mut Graph, input: &str) -> String {
        let z = self.0.graph(graph, input);
        let z = graph.cast(&z, DataType::Float);
        let third = graph.floats("third", &[1, 1], &[1.0 / 3.0]);
        let one = graph.floats("one", &[1, 1], &[1.0]);
        let third = graph.node("Mul", &[&z, &third], &[]);
        let square = graph.node("Mul", &[&third, &third], &[]);
        let sum = graph.node("Add", &[&square, &one], &[]);
        let root = graph.node("Sqrt", &[&sum], &[]);
        graph.node("Div", &[&z, &root], &[])
    }
}

/// z / √(1 + (z/3)²): the identity near 0, ±3 far out.
fn smooth_clip(z: f64) -> f64 {
    z / (1.0 + (z / 3.0).powi(2)).sqrt()
}
