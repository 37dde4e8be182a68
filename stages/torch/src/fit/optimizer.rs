//! Optimisers over raw slices: one pass over the memory of a parameter, its gradient and its state. Equal to
//! PyTorch's to rounding, and the state is ours to save.
//!
//! * SGD with momentum as in Sutskever et al. 2013 in PyTorch's form: v ← μ v + g, then w ← w − η v (Nesterov:
//!   w ← w − η (g + μ v)).
//! * Adam (Kingma and Ba 2015, algorithm 1); weight decay is added to the gradient.
//! * AdamW (Loshchilov and Hutter 2019, algorithm 2); weight decay is taken off the weight, times the rate.
//!
//! On a device other than the CPU the same formulas run as tensor operations.

use catalog::kinds::train::params::Optimizer;
use contract::fault::Fault;
use tch::{Device, Kind, TchError, Tensor};

use crate::fault::{During, Outcome};
use crate::fit::sweep;
use crate::raw;

/// An optimiser and its state.
#[derive(Debug)]
pub struct Optimiser {
    rule: Optimizer,
    step: u64,
    slots: Vec<Slot>,
}

/// State of one parameter.
#[derive(Debug)]
struct Slot {
    /// Momentum, or the mean of gradients. Not there for plain SGD.
    first: Option<Tensor>,
    /// The mean of squared gradients (Adam).
    second: Option<Tensor>,
}

/// The learning rate an optimiser is asked for.
pub fn rate(rule: &Optimizer) -> f64 {
    match rule {
        Optimizer::Sgd(options) => options.lr,
        Optimizer::Adam(options) => options.lr,
        Optimizer::Adamw(options) => options.lr,
    }
}

/// The name of the rule in documents.
pub fn name(rule: &Optimizer) -> &'static str {
    match rule {
        Optimizer::Sgd(_) => "sgd",
        Optimizer::Adam(_) => "adam",
        Optimizer::Adamw(_) => "adamw",
    }
}

impl Optimiser {
    /// A fresh one for parameters like these.
    ///
    /// # Errors
    /// When there is no memory for the state.
    pub fn new(rule: &Optimizer, parameters: &[Tensor]) -> Outcome<Self> {
        let (first, second) = match rule {
            Optimizer::Sgd(options) => (options.momentum > 0.0, false),
            Optimizer::Adam(_) | Optimizer::Adamw(_) => (true, true),
        };
        let zeros = |wanted: bool, like: &Tensor| -> Outcome<Option<Tensor>> {
            if !wanted {
                return Ok(None);
            }
            Tensor::f_zeros(like.size(), (Kind::Float, like.device()))
                .during(|| "making the optimiser's state".to_owned())
                .map(Some)
        };
        let slots = parameters
            .iter()
            .map(|parameter| Ok(Slot { first: zeros(first, parameter)?, second: zeros(second, parameter)? }))
            .collect::<Outcome<_>>()?;
        Ok(Self { rule: rule.clone(), step: 0, slots })
    }

    /// Changes the parameters in place. Gradients are first scaled down to the Euclidean norm `clip`, all together.
    ///
    /// # Errors
    /// libtorch's, on another device than the CPU.
    pub fn step(
        &mut self,
        parameters: &mut [Tensor],
        gradients: &[Tensor],
        rate: f64,
        clip: Option<f64>,
    ) -> Outcome<()> {
        self.step += 1;
        if parameters.first().is_some_and(|parameter| parameter.device() != Device::Cpu) {
            let _guard = tch::no_grad_guard();
            return self.step_on_device(parameters, gradients, rate, clip).during(|| "the optimiser's step".to_owned());
        }
        let scale = match clip {
            Some(limit) => {
                let squares: f64 = gradients.iter().map(|gradient| sweep::squares(raw::floats(gradient))).sum();
                clip_factor(squares.sqrt(), limit)
            }
            None => 1.0,
        };
        for ((parameter, gradient), slot) in parameters.iter_mut().zip(gradients).zip(&mut self.slots) {
            let (w, g) = (raw::floats_mut(parameter), raw::floats(gradient));
            match (&self.rule, &mut slot.first, &mut slot.second) {
                (Optimizer::Sgd(options), first, _) => {
                    let coefficients = sweep::Sgd {
                        rate: rate as f32,
                        momentum: options.momentum as f32,
                        nesterov: options.nesterov,
                        decay: options.weight_decay as f32,
                        scale: scale as f32,
                    };
                    match first {
                        Some(first) => sweep::momentum(&coefficients, w, g, raw::floats_mut(first)),
                        None => sweep::plain(&coefficients, w, g),
                    }
                }
                (rule, Some(first), Some(second)) => {
                    let coefficients = sweep::Adam::new(rule, self.step, rate, scale);
                    sweep::adam(&coefficients, w, g, raw::floats_mut(first), raw::floats_mut(second));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn step_on_device(
        &mut self,
        parameters: &mut [Tensor],
        gradients: &[Tensor],
        rate: f64,
        clip: Option<f64>,
    ) -> Result<(), TchError> {
        let scale = match clip {
            // Stays on the device: no wait for the number.
            Some(limit) => {
                let norms = gradients.iter().map(Tensor::f_norm).collect::<Result<Vec<_>, _>>()?;
                let norm = Tensor::f_stack(&norms, 0)?.f_norm()?;
                Some((limit / (norm + 1e-6)).f_clamp_max(1.0)?)
            }
            None => None,
        };
        for ((parameter, gradient), slot) in parameters.iter_mut().zip(gradients).zip(&mut self.slots) {
            let gradient = match &scale {
                Some(scale) => gradient.f_mul(scale)?,
                None => gradient.shallow_clone(),
            };
            match (&self.rule, &mut slot.first, &mut slot.second) {
                (Optimizer::Sgd(options), first, _) => {
                    let gradient = gradient.f_add(&(&*parameter * options.weight_decay))?;
                    let direction = match first {
                        Some(first) => {
                            let _ = first.f_mul_scalar_(options.momentum)?;
                            let _ = first.f_add_(&gradient)?;
                            if options.nesterov {
                                gradient.f_add(&(&*first * options.momentum))?
                            } else {
                                first.shallow_clone()
                            }
                        }
                        None => gradient,
                    };
                    let _ = parameter.f_sub_(&(direction * rate))?;
                }
                (rule, Some(first), Some(second)) => {
                    let c = sweep::Adam::new(rule, self.step, rate, 1.0);
                    let gradient = gradient.f_add(&(&*parameter * f64::from(c.decay)))?;
                    let _ = parameter.f_mul_scalar_(f64::from(c.keep))?;
                    let _ = first.f_mul_scalar_(f64::from(c.beta1))?;
                    let _ = first.f_add_(&(&gradient * f64::from(c.one_beta1)))?;
                    let _ = second.f_mul_scalar_(f64::from(c.beta2))?;
                    let _ = second.f_add_(&(&gradient * &gradient * f64::from(c.one_beta2)))?;
                    let denominator = second.f_sqrt()? * f64::from(c.root) + f64::from(c.eps);
                    let _ = parameter.f_sub_(&(&*first / denominator * f64::from(c.rate)))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// The state: tensors by name, `0.first`, `0.second` ... in the order of the parameters.
    pub fn tensors(&self) -> Vec<(String, &Tensor)> {
        let mut tensors = Vec::new();
        for (place, slot) in self.slots.iter().enumerate() {
            tensors.extend(slot.first.as_ref().map(|tensor| (format!("{place}.first"), tensor)));
            tensors.extend(slot.second.as_ref().map(|tensor| (format!("{place}.second"), tensor)));
        }
        tensors
    }

    /// Takes a saved state.
    ///
    /// # Errors
    /// When it is not of an optimiser like this one.
    pub fn restore(&mut self, step: u64, mut find: impl FnMut(&str) -> Option<Tensor>) -> Outcome<()> {
        let _guard = tch::no_grad_guard();
        let misfit = |name: &str| {
            Fault::error(
                contract::code!("train::state"),
                format!("the saved state of the training does not fit: `{name}`"),
            )
        };
        for (name, tensor) in self.tensors() {
            let saved = find(&name).filter(|saved| saved.size() == tensor.size()).ok_or_else(|| misfit(&name))?;
            tensor.shallow_clone().f_copy_(&saved).during(|| format!("restoring `{name}`"))?;
        }
        self.step = step;
        Ok(())
    }
}

/// PyTorch's `clip_grad_norm_`.
fn clip_factor(norm: f64, limit: f64) -> f64 {
    (limit / (norm + 1e-6)).min(1.0)
}

#[cfg(test)]
mod tests;
