//! Whole-number matrix products: activations of 8 bits (as centred `i16`) times weights of 8 bits, summed in `i32`.
//!
//! The arithmetic is exact on every machine: an activation minus its zero point fits 9 bits, a weight 8, and the sum of
//! two products fits `i32` with room for [`MAX_DEPTH`] of them, so nothing saturates (`vpmaddubsw`, which does, is not
//! used) and the SIMD path gives the same bits as the scalar one. The last step, from the sum to a number or to the next
//! layer's 8 bits, is one multiplication and one addition in `f32` without fusing, rounded half to even as ONNX'
//! QuantizeLinear does: the same bits again.

use super::packed::{Finish, Packed, ROWS};

#[cfg(target_arch = "x86_64")]
mod avx2;
mod scalar;

/// The instructions a product is computed with. Never changes a result. Only those the machine has can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instructions(Set);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Instructions {
    /// Plain Rust, on every machine.
    pub const SCALAR: Self = Self(Set::Scalar);

    /// The fastest this machine has.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            return Self(Set::Avx2);
        }
        Self::SCALAR
    }
}

/// Multiplies up to [`ROWS`] rows with all outputs and rounds to centred 8-bit values within `bounds`.
///
/// `rows` is `[ROWS, packed.stride()]` (unused rows may hold anything), `out` receives `[used, outputs]` with the given
/// distance between rows.
pub fn quantized(
    instructions: Instructions,
    packed: &Packed,
    rows: &[i16],
    used: usize,
    finish: &Finish,
    bounds: (i16, i16),
    out: &mut [i16],
) {
    check(packed, rows, used, finish);
    assert!(out.len() >= used * packed.outputs, "the output holds every row");
    match instructions.0 {
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 => avx2::quantized(packed, rows, used, finish, bounds, out),
        Set::Scalar => scalar::quantized(packed, rows, used, finish, bounds, out),
    }
}

/// Multiplies up to [`ROWS`] rows with all outputs, giving real numbers; see [`quantized`].
pub fn real(
    instructions: Instructions,
    packed: &Packed,
    rows: &[i16],
    used: usize,
    finish: &Finish,
    row_scale: &[f32; ROWS],
    out: &mut [f32],
) {
    check(packed, rows, used, finish);
    assert!(out.len() >= used * packed.outputs, "the output holds every row");
    match instructions.0 {
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 => avx2::real(packed, rows, used, finish, row_scale, out),
        Set::Scalar => scalar::real(packed, rows, used, finish, row_scale, out),
    }
}

fn check(packed: &Packed, rows: &[i16], used: usize, finish: &Finish) {
    assert!(used <= ROWS && rows.len() >= ROWS * packed.stride(), "the rows of a block");
    assert!(finish.scale.len() == packed.lanes() && finish.shift.len() == packed.lanes(), "one scale for each lane");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::int8::packed::{self, MAX_DEPTH};

    /// A stream of numbers that look random; enough for a test.
    fn numbers(seed: u32) -> impl FnMut(i32) -> i32 {
        let mut state = seed;
        move |range| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as i32 % range
        }
    }

    #[test]
    fn vectors_and_plain_rust_give_the_same_bits() {
        for (outputs, inputs) in [(1, 1), (7, 9), (16, 144), (17, 3), (33, 64), (64, 127)] {
            let mut next = numbers(outputs as u32 * 1000 + inputs as u32);
            let weight: Vec<i8> = (0..outputs * inputs).map(|_| (next(255) - 127) as i8).collect();
            let packed = Packed::new(&weight, outputs, inputs);
            let rows: Vec<i16> = (0..ROWS * packed.stride()).map(|_| (next(511) - 255) as i16).collect();
            let scale = (0..outputs).map(|_| next(1000) as f32 * 1e-5).collect();
            let finish = Finish::new(scale, (0..outputs).map(|_| next(1000) as f32 * 0.1 - 50.0).collect());
            for used in 1..=ROWS {
                let (mut plain, mut fast) = (vec![0; used * outputs], vec![0; used * outputs]);
                quantized(Instructions::SCALAR, &packed, &rows, used, &finish, (-100, 155), &mut plain);
                quantized(Instructions::detect(), &packed, &rows, used, &finish, (-100, 155), &mut fast);
                assert_eq!(plain, fast);
                let factors = [1.0, 0.3, 7.0, 1e-3];
                let (mut plain, mut fast) = (vec![0.0; used * outputs], vec![0.0; used * outputs]);
                real(Instructions::SCALAR, &packed, &rows, used, &finish, &factors, &mut plain);
                real(Instructions::detect(), &packed, &rows, used, &finish, &factors, &mut fast);
                assert_eq!(plain, fast);
            }
        }
    }

    #[test]
    fn the_largest_sums_do_not_saturate() {
        let inputs = MAX_DEPTH;
        let packed = Packed::new(&vec![127; inputs], 1, inputs);
        let rows = vec![255; ROWS * packed.stride()];
        let finish = Finish::new(vec![1.0], vec![0.0]);
        for instructions in [Instructions::SCALAR, Instructions::detect()] {
            let mut out = [0.0; ROWS];
            real(instructions, &packed, &rows, ROWS, &finish, &[1.0; ROWS], &mut out);
            assert_eq!(out, [(inputs as i64 * 127 * 255) as f32; ROWS]);
        }
    }

    #[test]
    fn rounding_is_half_to_even_and_clamps() {
        let round = |value| packed::round(value, (-10, 10));
        assert_eq!([0.5, 1.5, 2.5, -0.5, -1.5].map(round), [0, 2, 2, 0, -2]);
        assert_eq!([1e9, -1e9, f32::INFINITY, f32::NAN].map(round), [10, -10, 10, -10]);
    }
}
