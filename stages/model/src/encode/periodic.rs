//! `periodic`: cosines of several frequencies.

use catalog::kinds::train::params::{Encoder as Asked, Periodic as Options};
use serde::{Deserialize, Serialize};

use super::form::Form;
use super::spread::Spread;
use crate::cells::moments;
use crate::normal::normal_quantile;
use crate::onnx::graph::{Attribute, Graph};
use crate::onnx::messages::DataType;
use crate::random::Random;

/// z = (x − centre) · factor, and cos 2π(frequency · z + phase).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Periodic {
    /// Mean, and the inverse of the deviation.
    pub spread: Spread,
    /// Waves per standard deviation.
    pub frequencies: Vec<f64>,
    /// In waves, from 0 to 1.
    pub phases: Vec<f64>,
}

impl Form for Periodic {
    fn asked(asked: &Asked) -> bool {
        matches!(asked, Asked::Periodic(_))
    }

    fn fit(asked: &Asked, values: &[f64], random: &mut Random) -> Option<Self> {
        let Asked::Periodic(options) = asked else { return None };
        let (mean, deviation) = moments(values.iter().copied());
        let spread = Spread { centre: mean, factor: 1.0 / deviation };
        let (frequencies, phases) = waves(options, random);
        Some(Self { spread, frequencies, phases })
    }

    fn width(&self) -> usize {
        self.frequencies.len() + 1
    }

    fn write(&self, value: f64, out: &mut [f32]) {
        let z = self.spread.of(value);
        out[0] = z as f32;
        for (place, (frequency, phase)) in out[1..].iter_mut().zip(self.frequencies.iter().zip(&self.phases)) {
            *place = libm::cos(std::f64::consts::TAU * (frequency * z + phase)) as f32;
        }
    }

    fn likeness(&self) -> (f64, f64) {
        self.spread.likeness()
    }

    fn graph(&self, graph: &mut Graph, input: &str) -> String {
        let z = self.spread.graph(graph, input);
        let turn = |values: &[f64]| values.iter().map(|value| value * std::f64::consts::TAU).collect::<Vec<f64>>();
        let frequency = graph.doubles("frequency", &[1, self.frequencies.len()], &turn(&self.frequencies));
        let phase = graph.doubles("phase", &[1, self.phases.len()], &turn(&self.phases));
        let angle = graph.node("Mul", &[&z, &frequency], &[]);
        let angle = graph.node("Add", &[&angle, &phase], &[]);
        let angle = graph.cast(&angle, DataType::Float);
        let waves = graph.node("Cos", &[&angle], &[]);
        let z = graph.cast(&z, DataType::Float);
        graph.node("Concat", &[&z, &waves], &[("axis", Attribute::Int(1))])
    }
}

fn waves(options: &Options, random: &mut Random) -> (Vec<f64>, Vec<f64>) {
    (0..options.frequencies)
        .map(|_| {
            let frequency = normal_quantile(f64::from(random.unit())) * options.sigma;
            (frequency, f64::from(random.unit()))
        })
        .unzip()
}
