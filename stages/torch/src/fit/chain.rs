//! The fast path for fully connected networks on the CPU: forward and backward by hand, into buffers made once.
//!
//! For small layers most of a step is not arithmetic but autograd's book-keeping and allocation. A chain of linear
//! layers, pointwise activations and dropout, with or without embedded columns before it, needs neither. The arithmetic is libtorch's matrix product and the sweeps; gradients
//! equal autograd's to rounding (a test compares them).

use catalog::network::Op;
use catalog::network::layers::Dropout;
use catalog::params::network::Activation;
use model::embed::Layout;
use model::random::Random;
use tch::{Device, Kind, TchError, Tensor};

use crate::fault::{During, Outcome};
use crate::fit::loss::Objective;
use crate::fit::sweep;
use crate::network::Net;
use crate::network::layer::{Layer, Lookup};
use crate::raw;

/// A chain that shares its weights with a [`Net`].
#[derive(Debug)]
pub struct Chain {
    steps: Vec<Step>,
    /// Number of values each slot holds for one row.
    widths: Vec<i64>,
    /// In the order of [`Net::parameters`].
    gradients: Vec<Tensor>,
    /// By batch size: full batches and the last one.
    buffers: Vec<Buffers>,
}

/// One operation from a slot (the batch itself for `None`) to a slot.
#[derive(Debug)]
struct Step {
    from: Option<usize>,
    to: usize,
    action: Action,
}

#[derive(Debug)]
enum Action {
    /// With the place of its weight among the parameters; the bias is the next one. `relu`: followed by one, in place.
    Linear {
        weight: Tensor,
        transposed: Tensor,
        bias: Option<Tensor>,
        place: usize,
        relu: bool,
    },
    Pointwise(Activation),
    Dropout(f64),
    /// With the place of the first table among the parameters; the others are the next ones.
    Embed {
        layout: Layout,
        tables: Vec<Tensor>,
        place: usize,
    },
}

/// Memory for one size of batch.
#[derive(Debug)]
struct Buffers {
    rows: i64,
    values: Vec<Tensor>,
    /// Gradients of the loss by the values.
    slopes: Vec<Tensor>,
    /// By step; only dropout has one.
    masks: Vec<Option<Tensor>>,
}

impl Chain {
    /// The chain of a network, if it is one and on the CPU.
    pub fn of(net: &Net) -> Option<Self> {
        if net.device() != Device::Cpu {
            return None;
        }
        let mut steps: Vec<Step> = Vec::new();
        let mut widths: Vec<i64> = Vec::new();
        let mut gradients = Vec::new();
        let mut slot = None;
        for layer in net.layers() {
            let width = layer.node.output.iter().product::<u64>() as i64;
            match &layer.node.op {
                // Rows are looked at as `[n, width]` anyway.
                Op::Flatten => continue,
                Op::Dropout(Dropout { p }) if *p == 0.0 => continue,
                Op::Activation(Activation::Relu) if fuse(steps.last_mut()) => continue,
                _ => {}
            }
            let action = action(layer, &mut gradients)?;
            widths.push(width);
            steps.push(Step { from: slot, to: widths.len() - 1, action });
            slot = Some(widths.len() - 1);
        }
        slot.map(|_| Self { steps, widths, gradients, buffers: Vec::new() })
    }

    /// Gradients of the last step, in the order of [`Net::parameters`].
    pub fn gradients(&self) -> &[Tensor] {
        &self.gradients
    }

    /// Forward and backward for one batch `[n, ...]`. Gives the mean loss; the gradients are in
    /// [`Chain::gradients`].
    ///
    /// # Errors
    /// `torch::operator` for shapes that do not fit.
    pub fn step(&mut self, rows: &Tensor, targets: &Tensor, objective: Objective, random: &mut Random) -> Outcome<f64> {
        let count = rows.size()[0];
        let place = self.buffers(count)?;
        let Self { steps, gradients, buffers, .. } = self;
        let buffers = &mut buffers[place];
        let mut go = || -> Result<f64, TchError> {
            let rows = rows.f_view([count, -1])?;
            for (index, step) in steps.iter().enumerate() {
                forward(step, &rows, buffers, index, random)?;
            }
            let loss = slope(objective, targets, buffers)?;
            for (index, step) in steps.iter().enumerate().rev() {
                backward(step, &rows, buffers, index, gradients)?;
            }
            Ok(loss)
        };
        go().during(|| "a training step of the fully connected network".to_owned())
    }

    fn buffers(&mut self, rows: i64) -> Outcome<usize> {
        if let Some(place) = self.buffers.iter().position(|buffers| buffers.rows == rows) {
            return Ok(place);
        }
        let zeros = |width: &i64| Tensor::f_zeros([rows, *width], (Kind::Float, Device::Cpu));
        let make = || -> Result<Buffers, TchError> {
            Ok(Buffers {
                rows,
                values: self.widths.iter().map(zeros).collect::<Result<_, _>>()?,
                slopes: self.widths.iter().map(zeros).collect::<Result<_, _>>()?,
                masks: self
                    .steps
                    .iter()
                    .map(|step| matches!(step.action, Action::Dropout(_)).then(|| zeros(&self.widths[step.to])))
                    .map(Option::transpose)
                    .collect::<Result<_, _>>()?,
            })
        };
        let buffers = make().during(|| "making the buffers of a training step".to_owned())?;
        self.buffers.push(buffers);
        Ok(self.buffers.len() - 1)
    }
}

/// Lets a linear layer do the ReLU that follows it.
fn fuse(last: Option<&mut Step>) -> bool {
    match last {
        Some(Step { action: Action::Linear { relu, .. }, .. }) if !*relu => {
            *relu = true;
            true
        }
        _ => false,
    }
}

fn action(layer: &Layer, gradients: &mut Vec<Tensor>) -> Option<Action> {
    match &layer.node.op {
        Op::Linear(_) => {
            let weight = layer.weight.as_ref()?.detach();
            let bias = layer.bias.as_ref().map(Tensor::detach);
            let place = gradients.len();
            gradients.push(weight.zeros_like());
            gradients.extend(bias.as_ref().map(Tensor::zeros_like));
            Some(Action::Linear { transposed: weight.tr(), weight, bias, place, relu: false })
        }
        Op::Embed(_) => {
            let Lookup { tables, layout } = layer.lookup.as_ref()?;
            let place = gradients.len();
            gradients.extend(tables.iter().map(|table| table.detach().zeros_like()));
            let tables = tables.iter().map(Tensor::detach).collect();
            Some(Action::Embed { layout: layout.clone(), tables, place })
        }
        Op::Activation(activation) => Some(Action::Pointwise(*activation)),
        Op::Dropout(Dropout { p }) => Some(Action::Dropout(*p)),
        _ => None,
    }
}

fn forward(
    step: &Step,
    rows: &Tensor,
    buffers: &mut Buffers,
    index: usize,
    random: &mut Random,
) -> Result<(), TchError> {
    // The slot written is always behind the one read.
    let (before, behind) = buffers.values.split_at_mut(step.to);
    let x = step.from.map_or(rows, |slot| &before[slot]);
    let out = &mut behind[0];
    match &step.action {
        Action::Linear { transposed, bias, relu, .. } => match (bias, relu) {
            (Some(bias), true) => {
                let _ = x.f_mm_out(out, transposed)?;
                sweep::relu(raw::floats_mut(out), Some(raw::floats(bias)));
            }
            (Some(bias), false) => {
                let _ = x.f_mm_out(out, transposed)?;
                sweep::add_bias(raw::floats_mut(out), raw::floats(bias));
            }
            (None, relu) => {
                let _ = x.f_mm_out(out, transposed)?;
                if *relu {
                    sweep::relu(raw::floats_mut(out), None);
                }
            }
        },
        Action::Pointwise(activation) => {
            let _ = match activation {
                Activation::Relu => x.f_relu_out(out),
                Activation::Gelu => x.f_gelu_out(out, "none"),
                Activation::Silu => x.f_silu_out(out),
                Activation::Tanh => x.f_tanh_out(out),
                Activation::Sigmoid => x.f_sigmoid_out(out),
            }?;
        }
        Action::Embed { layout, tables, .. } => {
            let tables: Vec<&[f32]> = tables.iter().map(raw::floats).collect();
            layout.forward(raw::floats(x), raw::floats_mut(out), |table, index, place| {
                place.copy_from_slice(&tables[table][index * place.len()..(index + 1) * place.len()]);
            });
        }
        Action::Dropout(p) => {
            if let Some(mask) = &mut buffers.masks[index] {
                random.fill_mask(raw::floats_mut(mask), *p);
                let _ = x.f_mul_out(out, mask)?;
            }
        }
    }
    Ok(())
}

fn backward(
    step: &Step,
    rows: &Tensor,
    buffers: &mut Buffers,
    index: usize,
    gradients: &mut [Tensor],
) -> Result<(), TchError> {
    let (before, behind) = buffers.slopes.split_at_mut(step.to);
    let slope = &mut behind[0];
    let (values, masks) = (&buffers.values, &buffers.masks);
    if let Action::Linear { weight, bias, place, relu, .. } = &step.action {
        if *relu {
            sweep::relu_back(raw::floats_mut(slope), raw::floats(&values[step.to]));
        }
        let x = step.from.map_or(rows, |slot| &values[slot]);
        let _ = slope.f_tr()?.f_mm_out(&gradients[*place], x)?;
        if bias.is_some() {
            sweep::column_sums(raw::floats(slope), raw::floats_mut(&mut gradients[place + 1]));
        }
        if let Some(from) = step.from {
            let _ = slope.f_mm_out(&before[from], weight)?;
        }
        return Ok(());
    }
    if let Action::Embed { layout, tables, place } = &step.action {
        let rows = raw::floats(step.from.map_or(rows, |slot| &values[slot]));
        let mut sums: Vec<&mut [f32]> =
            gradients[*place..place + tables.len()].iter_mut().map(raw::floats_mut).collect();
        sums.iter_mut().for_each(|sum| sum.fill(0.0));
        layout.backward(rows, raw::floats(slope), |table, index, slope| {
            let sum = &mut sums[table][index * slope.len()..(index + 1) * slope.len()];
            sum.iter_mut().zip(slope).for_each(|(sum, slope)| *sum += slope);
        });
        return Ok(());
    }
    // Nothing before the first layer wants a gradient.
    let Some(from) = step.from else { return Ok(()) };
    let into = &before[from];
    match &step.action {
        Action::Pointwise(Activation::Relu) => values[step.to].f_threshold_backward_grad_input(into, slope, 0.0),
        Action::Pointwise(Activation::Gelu) => values[from].f_gelu_backward_grad_input(into, slope, "none"),
        Action::Pointwise(Activation::Silu) => values[from].f_silu_backward_grad_input(into, slope),
        Action::Pointwise(Activation::Tanh) => Tensor::f_tanh_backward_grad_input(into, slope, &values[step.to]),
        Action::Pointwise(Activation::Sigmoid) => Tensor::f_sigmoid_backward_grad_input(into, slope, &values[step.to]),
        Action::Dropout(_) => match &masks[index] {
            Some(mask) => slope.f_mul_out(into, mask),
            None => return Ok(()),
        },
        Action::Linear { .. } | Action::Embed { .. } => return Ok(()),
    }
    .map(drop)
}

/// The mean loss of the last slot, and its gradient into the last slope.
fn slope(objective: Objective, targets: &Tensor, buffers: &mut Buffers) -> Result<f64, TchError> {
    let (Some(outputs), Some(slope)) = (buffers.values.last(), buffers.slopes.last_mut()) else { return Ok(0.0) };
    let rows = outputs.size()[0] as usize;
    let classes = outputs.size()[1] as usize;
    let share = 1.0 / rows as f32;
    match objective {
        Objective::CrossEntropy { smoothing } => {
            let labels = raw::longs(targets);
            let _ = outputs.f_internal_log_softmax_out(slope, -1, false)?;
            let everywhere = smoothing / classes as f64;
            let mut loss = 0f64;
            for (row, label) in raw::floats(slope).chunks_exact(classes).zip(labels) {
                loss -= (1.0 - smoothing) * f64::from(row[*label as usize]);
                if smoothing > 0.0 {
                    loss -= everywhere * row.iter().map(|value| f64::from(*value)).sum::<f64>();
                }
            }
            let _ = slope.f_exp_()?;
            let (everywhere, right) = (everywhere as f32, (1.0 - smoothing) as f32);
            for (row, label) in raw::floats_mut(slope).chunks_exact_mut(classes).zip(labels) {
                row[*label as usize] -= right;
                for value in row {
                    *value = (*value - everywhere) * share;
                }
            }
            Ok(loss / rows as f64)
        }
        Objective::SquaredError => {
            let mut loss = 0f64;
            let wanted = raw::floats(targets);
            for ((slope, output), wanted) in raw::floats_mut(slope).iter_mut().zip(raw::floats(outputs)).zip(wanted) {
                let difference = output - wanted;
                loss += f64::from(difference) * f64::from(difference);
                *slope = 2.0 * difference * share;
            }
            Ok(loss / rows as f64)
        }
    }
}
