//! The loops that touch every weight in every step. They are plain Rust that vectorises, compiled a second time for AVX2. Both
//! give the same bits, because the compiler may neither fuse nor reorder operations.
#![expect(unsafe_code, reason = "a function compiled for AVX2 may only be called where the processor has it")]

mod bodies;
mod coefficients;

use bodies::{
    adam_body, add_bias_body, column_sums_body, momentum_body, multiply_body, plain_body, relu_back_body, relu_body,
    squares_body,
};
pub use coefficients::{Adam, Sgd};

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
