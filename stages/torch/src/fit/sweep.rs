//! The loops that touch every weight of every step. Plain Rust that vectorises, compiled a second time for AVX2; both give
//! the same bits, because nothing is fused or reordered.
#![expect(unsafe_code, reason = "a function compiled for AVX2 may only be called where the processor has it")]

use catalog::params::train::Optimizer;

/// Coefficients of one step of SGD.
#[derive(Debug, Clone, Copy)]
pub struct Sgd {
    /// η
    pub rate: f32,
    /// μ
    pub momentum: f32,
    /// Whether to look ahead.
    pub nesterov: bool,
    /// L2 penalty.
    pub decay: f32,
    /// Factor on the gradient (clipping).
    pub scale: f32,
}

/// Coefficients of one step of Adam or AdamW.
#[derive(Debug, Clone, Copy)]
pub struct Adam {
    /// η / (1 − β₁ᵗ)
    pub rate: f32,
    /// β₁
    pub beta1: f32,
    /// 1 − β₁
    pub one_beta1: f32,
    /// β₂
    pub beta2: f32,
    /// 1 − β₂
    pub one_beta2: f32,
    /// 1 / √(1 − β₂ᵗ)
    pub root: f32,
    /// ε
    pub eps: f32,
    /// L2 penalty (Adam).
    pub decay: f32,
    /// 1 − η λ (AdamW).
    pub keep: f32,
    /// Factor on the gradient (clipping).
    pub scale: f32,
}

impl Adam {
    /// For step `t` from 1.
    pub fn new(rule: &Optimizer, t: u64, rate: f64, scale: f64) -> Self {
        let (betas, eps, decay, keep) = match rule {
            Optimizer::Adam(options) => (options.betas, options.eps, options.weight_decay, 1.0),
            Optimizer::Adamw(options) => (options.betas, options.eps, 0.0, 1.0 - rate * options.weight_decay),
            Optimizer::Sgd(_) => ([0.0; 2], 1.0, 0.0, 1.0),
        };
        let t = i32::try_from(t).unwrap_or(i32::MAX);
        Self {
            rate: (rate / (1.0 - betas[0].powi(t))) as f32,
            beta1: betas[0] as f32,
            one_beta1: (1.0 - betas[0]) as f32,
            beta2: betas[1] as f32,
            one_beta2: (1.0 - betas[1]) as f32,
            root: (1.0 / (1.0 - betas[1].powi(t)).sqrt()) as f32,
            eps: eps as f32,
            decay: decay as f32,
            keep: keep as f32,
            scale: scale as f32,
        }
    }
}

/// Defines a function twice, for any processor and for AVX2, and chooses when it is called.
macro_rules! swept {
    ($(#[$doc:meta])* $name:ident / $body:ident / $avx2:ident ($($arg:ident : $type:ty),*) $(-> $out:ty)?) => {
        $(#[$doc])*
        pub fn $name($($arg: $type),*) $(-> $out)? {
            #[cfg(target_arch = "x86_64")]
            if std::arch::is_x86_feature_detected!("avx2") {
                // SAFETY: the processor has AVX2.
                return unsafe { $avx2($($arg),*) };
            }
            $body($($arg),*)
        }

        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2")]
        fn $avx2($($arg: $type),*) $(-> $out)? {
            $body($($arg),*)
        }
    };
}

swept! {
    /// One step of Adam: weights, gradient, mean and mean square of one length.
    adam / adam_body / adam_avx2 (c: &Adam, w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32])
}
swept! {
    /// One step of SGD with momentum.
    momentum / momentum_body / momentum_avx2 (c: &Sgd, w: &mut [f32], g: &[f32], m: &mut [f32])
}
swept! {
    /// One step of SGD without momentum.
    plain / plain_body / plain_avx2 (c: &Sgd, w: &mut [f32], g: &[f32])
}
swept! {
    /// Adds `bias` to every row.
    add_bias / add_bias_body / add_bias_avx2 (rows: &mut [f32], bias: &[f32])
}
swept! {
    /// Adds `bias` (when there is one) to every row, then max(x, 0).
    relu / relu_body / relu_avx2 (rows: &mut [f32], bias: Option<&[f32]>)
}
swept! {
    /// Zero where the output of a ReLU was not positive.
    relu_back / relu_back_body / relu_back_avx2 (gradient: &mut [f32], output: &[f32])
}
swept! {
    /// Element by element.
    multiply / multiply_body / multiply_avx2 (values: &mut [f32], by: &[f32])
}
swept! {
    /// Sum over rows.
    column_sums / column_sums_body / column_sums_avx2 (rows: &[f32], out: &mut [f32])
}
swept! {
    /// Sum of squares.
    squares / squares_body / squares_avx2 (values: &[f32]) -> f64
}

#[inline(always)]
fn adam_body(c: &Adam, w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
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
fn momentum_body(c: &Sgd, w: &mut [f32], g: &[f32], m: &mut [f32]) {
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
fn plain_body(c: &Sgd, w: &mut [f32], g: &[f32]) {
    let n = w.len();
    let g = &g[..n];
    for i in 0..n {
        w[i] -= c.rate * (g[i] * c.scale + c.decay * w[i]);
    }
}

#[inline(always)]
fn add_bias_body(rows: &mut [f32], bias: &[f32]) {
    for row in rows.chunks_exact_mut(bias.len()) {
        for (value, bias) in row.iter_mut().zip(bias) {
            *value += bias;
        }
    }
}

#[inline(always)]
fn relu_body(rows: &mut [f32], bias: Option<&[f32]>) {
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
fn relu_back_body(gradient: &mut [f32], output: &[f32]) {
    for (gradient, output) in gradient.iter_mut().zip(output) {
        *gradient = if *output <= 0.0 { 0.0 } else { *gradient };
    }
}

#[inline(always)]
fn multiply_body(values: &mut [f32], by: &[f32]) {
    for (value, by) in values.iter_mut().zip(by) {
        *value *= by;
    }
}

#[inline(always)]
fn column_sums_body(rows: &[f32], out: &mut [f32]) {
    out.fill(0.0);
    for row in rows.chunks_exact(out.len()) {
        for (sum, value) in out.iter_mut().zip(row) {
            *sum += value;
        }
    }
}

/// Sixteen running sums, so that it vectorises, in a fixed order.
#[inline(always)]
fn squares_body(values: &[f32]) -> f64 {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_compilations_give_the_same_bits() {
        let values: Vec<f32> = (0..1003).map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.013).collect();
        let c = Adam {
            rate: 1e-3,
            beta1: 0.9,
            one_beta1: 0.1,
            beta2: 0.999,
            one_beta2: 0.001,
            root: 3.0,
            eps: 1e-8,
            decay: 0.01,
            keep: 0.999,
            scale: 0.7,
        };
        let run = |swept: bool| {
            let (mut w, mut m, mut v) = (values.clone(), values.clone(), values.clone());
            v.iter_mut().for_each(|value| *value = value.abs());
            let step = if swept { adam } else { adam_body };
            step(&c, &mut w, &values, &mut m, &mut v);
            (w, m, v)
        };
        assert_eq!(run(true), run(false));
        assert_eq!(squares(&values).to_bits(), squares_body(&values).to_bits());
    }

    #[test]
    fn a_relu_lets_nan_through() {
        let mut values = [f32::NAN, -1.0, 2.0];
        relu(&mut values, None);
        assert!(values[0].is_nan() && values[1] == 0.0 && values[2] == 2.0);
    }
}
