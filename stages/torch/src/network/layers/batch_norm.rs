//! `batch_norm` on libtorch.

use catalog::network::layers::BatchNorm;
use model::random::Random;
use tch::Tensor;

use crate::fault::{During, Outcome};
use crate::network::layer::{Construct, Layer, Part, Pass};

impl Construct for BatchNorm {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn tensors(&self) -> Vec<Part> {
        let size = vec![self.channels as i64];
        let statistic = |suffix: &'static str| Part { suffix: suffix.into(), size: size.clone(), trained: false };
        vec![
            Part::trained("weight", size.clone()),
            Part::trained("bias", size.clone()),
            statistic("running_mean"),
            statistic("running_var"),
        ]
    }

    fn fill(&self, part: &Part, values: &mut [f32], _: &mut Random) {
        if matches!(part.suffix.as_ref(), "weight" | "running_var") {
            values.fill(1.0);
        }
    }

    fn apply(&self, layer: &Layer, x: &Tensor, pass: &mut Pass<'_>) -> Outcome<Tensor> {
        let training = matches!(pass, Pass::Train(_));
        let (mean, variance) = match &layer.running {
            Some((mean, variance)) => (Some(mean), Some(variance)),
            None => (None, None),
        };
        let (weight, bias) = (layer.weight.as_ref(), layer.bias.as_ref());
        x.f_batch_norm(weight, bias, mean, variance, training, self.momentum, self.eps, false)
            .during(|| self.given(layer, x))
    }
}
