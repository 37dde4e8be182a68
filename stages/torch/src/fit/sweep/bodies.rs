//! The loops themselves, in plain Rust. Each is inlined into two functions, one of them compiled for AVX2.

use super::coefficients::{Adam, Sgd};

#[inline(always)]
pub(super) fn adam_body(c: &Adam, w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
    let n = w.len();
    let (g, m, v) = (&g[..n], &mut m[..n], &mut v[..n]);
    for i in 0..n {
        let gradient = g[i] * c.scale + c.decay * w[i];
        let mean = c.beta1 * m[i] + c.one_beta1 * gradient;
        let square = c.beta2 * v[i] + c.one_beta2 * gradient * gradient;
        m[i] = mean;
        v[i] = square;
        w[i] = c.keep * w[i] - c.rate * mean / (square.sqrt() * c.root + c.eps);
    }
}

#[inline(always)]
pub(super) fn momentum_body(c: &Sgd, w: &mut [f32], g: &[f32], m: &mut [f32]) {
    let n = w.len();
    let (g, m) = (&g[..n], &mut m[..n]);
    let ahead = if c.nesterov { 1.0 } else { 0.0 };
    let along = if c.nesterov { c.momentum } else { 1.0 };
    for i in 0..n {
        let gradient = g[i] * c.scale + c.decay * w[i];
        let velocity = c.momentum * m[i] + gradient;
        m[i] = velocity;
        w[i] -= c.rate * (ahead * gradient + along * velocity);
    }
}

#[inline(always)]
pub(super) fn plain_body(c: &Sgd, w: &mut [f32], g: &[f32]) {
    let n = w.len();
    let g = &g[..n];
    for i in 0..n {
        w[i] -= c.rate * (g[i] * c.scale + c.decay * w[i]);
    }
}

#[inline(always)]
pub(super) fn add_bias_body(rows: &mut [f32], bias: &[f32]) {
    for row in rows.chunks_exact_mut(bias.len()) {
        for (value, bias) in row.iter_mut().zip(bias) {
            *value += bias;
        }
    }
}

#[inline(always)]
pub(super) fn relu_body(rows: &mut [f32], bias: Option<&[f32]>) {
    match bias {
        Some(bias) => {
            for row in rows.chunks_exact_mut(bias.len()) {
                for (value, bias) in row.iter_mut().zip(bias) {
                    let sum = *value + bias;
                    // Not `max`: NaN must stay NaN, as in PyTorch.
                    *value = if sum < 0.0 { 0.0 } else { sum };
                }
            }
        }
        None => {
            for value in rows {
                *value = if *value < 0.0 { 0.0 } else { *value };
            }
        }
    }
}

#[inline(always)]
pub(super) fn relu_back_body(gradient: &mut [f32], output: &[f32]) {
    for (gradient, output) in gradient.iter_mut().zip(output) {
        *gradient = if *output <= 0.0 { 0.0 } else { *gradient };
    }
}

#[inline(always)]
pub(super) fn multiply_body(values: &mut [f32], by: &[f32]) {
    for (value, by) in values.iter_mut().zip(by) {
        *value *= by;
    }
}

#[inline(always)]
pub(super) fn column_sums_body(rows: &[f32], out: &mut [f32]) {
    out.fill(0.0);
    for row in rows.chunks_exact(out.len()) {
        for (sum, value) in out.iter_mut().zip(row) {
            *sum += value;
        }
    }
}

/// Sixteen running sums, so that it vectorises, in a fixed order.
#[inline(always)]
pub(super) fn squares_body(values: &[f32]) -> f64 {
    let mut total = 0f64;
    for block in values.chunks(4096) {
        let mut sums = [0f32; 16];
        let parts = block.chunks_exact(16);
        let rest = parts.remainder();
        for part in parts {
            for (sum, value) in sums.iter_mut().zip(part) {
                *sum += value * value;
            }
        }
        total += sums.iter().map(|sum| f64::from(*sum)).sum::<f64>();
        total += rest.iter().map(|value| f64::from(*value) * f64::from(*value)).sum::<f64>();
    }
    total
}
