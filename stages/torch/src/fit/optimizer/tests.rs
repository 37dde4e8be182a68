//! Our optimisers against libtorch's own, and the tensor form against the slices.

use catalog::kinds::train::params::{Adam, Adamw, Sgd};
use tch::COptimizer;

use super::*;

fn start() -> (Vec<Tensor>, Vec<Vec<Tensor>>) {
    let wave = |n: i64, phase: f64| {
        let values: Vec<f32> = (0..n).map(|i| ((i as f64 * 0.37 + phase).sin() * 0.8) as f32).collect();
        Tensor::from_slice(&values)
    };
    let parameters = vec![wave(35, 0.0).view([5, 7]), wave(13, 1.0)];
    let gradients =
        (0..12).map(|t| vec![wave(35, f64::from(t) * 2.1).view([5, 7]), wave(13, f64::from(t) * 1.3) * 3.0]).collect();
    (parameters, gradients)
}

fn ours(rule: &Optimizer, clip: Option<f64>) -> Vec<Tensor> {
    let (mut parameters, gradients) = start();
    let mut optimiser = Optimiser::new(rule, &parameters).unwrap();
    for (step, gradients) in gradients.iter().enumerate() {
        let rate = optim_rate(rule, step);
        optimiser.step(&mut parameters, gradients, rate, clip).unwrap();
    }
    parameters
}

fn on_device(rule: &Optimizer, clip: Option<f64>) -> Vec<Tensor> {
    let (mut parameters, gradients) = start();
    let mut optimiser = Optimiser::new(rule, &parameters).unwrap();
    for (step, gradients) in gradients.iter().enumerate() {
        optimiser.step += 1;
        let rate = optim_rate(rule, step);
        optimiser.step_on_device(&mut parameters, gradients, rate, clip).unwrap();
    }
    parameters
}

fn optim_rate(rule: &Optimizer, step: usize) -> f64 {
    rate(rule) * if step < 6 { 1.0 } else { 0.5 }
}

fn libtorchs(rule: &Optimizer, mut optimiser: COptimizer) -> Vec<Tensor> {
    let (parameters, gradients) = start();
    let parameters: Vec<Tensor> = parameters.into_iter().map(|tensor| tensor.set_requires_grad(true)).collect();
    for parameter in &parameters {
        optimiser.add_parameters(parameter, 0).unwrap();
    }
    for (step, gradients) in gradients.iter().enumerate() {
        optimiser.set_learning_rate(optim_rate(rule, step)).unwrap();
        optimiser.zero_grad().unwrap();
        // The gradient of Σ w·g by w is g.
        let loss = parameters
            .iter()
            .zip(gradients)
            .map(|(w, g)| (w * g).sum(Kind::Float))
            .fold(Tensor::from(0f32), |a, b| a + b);
        loss.backward();
        optimiser.step().unwrap();
    }
    parameters
}

fn same(left: &[Tensor], right: &[Tensor]) {
    for (left, right) in left.iter().zip(right) {
        let difference = f64::try_from((left - right).abs().max()).unwrap();
        assert!(difference < 2e-6, "{difference}");
    }
}

fn rules() -> Vec<(Optimizer, COptimizer)> {
    let sgd = |momentum, nesterov, weight_decay| {
        (
            Optimizer::Sgd(Sgd { lr: 0.05, momentum, nesterov, weight_decay }),
            COptimizer::sgd(0.05, momentum, 0.0, weight_decay, nesterov).unwrap(),
        )
    };
    vec![
        sgd(0.0, false, 0.0),
        sgd(0.0, false, 0.1),
        sgd(0.9, false, 0.1),
        sgd(0.9, true, 0.1),
        (
            Optimizer::Adam(Adam { lr: 0.01, betas: [0.8, 0.99], eps: 1e-6, weight_decay: 0.1 }),
            COptimizer::adam(0.01, 0.8, 0.99, 0.1, 1e-6, false).unwrap(),
        ),
        (
            Optimizer::Adamw(Adamw { lr: 0.01, weight_decay: 0.2, ..Adamw::default() }),
            COptimizer::adamw(0.01, 0.9, 0.999, 0.2, 1e-8, false).unwrap(),
        ),
    ]
}

#[test]
fn equal_to_libtorchs() {
    for (rule, optimiser) in rules() {
        same(&ours(&rule, None), &libtorchs(&rule, optimiser));
    }
}

#[test]
fn the_tensor_form_is_equal_too() {
    for (rule, _) in rules() {
        same(&ours(&rule, None), &on_device(&rule, None));
        same(&ours(&rule, Some(0.5)), &on_device(&rule, Some(0.5)));
    }
}

#[test]
fn clipping_bounds_the_step() {
    let rule = Optimizer::Sgd(Sgd { lr: 1.0, momentum: 0.0, nesterov: false, weight_decay: 0.0 });
    let (before, gradients) = start();
    let mut after: Vec<Tensor> = before.iter().map(Tensor::copy).collect();
    let mut optimiser = Optimiser::new(&rule, &after).unwrap();
    optimiser.step(&mut after, &gradients[0], 1.0, Some(0.25)).unwrap();
    let squares: f64 =
        before.iter().zip(&after).map(|(a, b)| f64::try_from((a - b).square().sum(Kind::Double)).unwrap()).sum();
    assert!((squares.sqrt() - 0.25).abs() < 1e-5, "{}", squares.sqrt());
}

#[test]
fn a_restored_optimiser_goes_on_exactly() {
    for (rule, _) in rules() {
        let (mut straight, gradients) = start();
        let mut optimiser = Optimiser::new(&rule, &straight).unwrap();
        for gradients in &gradients[..5] {
            optimiser.step(&mut straight, gradients, 0.01, None).unwrap();
        }
        let saved: Vec<(String, Tensor)> = optimiser.tensors().into_iter().map(|(name, t)| (name, t.copy())).collect();
        let mut resumed: Vec<Tensor> = straight.iter().map(Tensor::copy).collect();
        let mut second = Optimiser::new(&rule, &resumed).unwrap();
        let find = |name: &str| saved.iter().find(|(saved, _)| saved == name).map(|(_, tensor)| tensor.copy());
        second.restore(optimiser.steps(), find).unwrap();
        for gradients in &gradients[5..] {
            optimiser.step(&mut straight, gradients, 0.01, None).unwrap();
            second.step(&mut resumed, gradients, 0.01, None).unwrap();
        }
        for (left, right) in straight.iter().zip(&resumed) {
            assert_eq!(raw::floats(left), raw::floats(right));
        }
    }
}
