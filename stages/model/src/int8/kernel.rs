//! Whole-number matrix products: activations of 8 bits (as centred `i16`) times weights of 8 bits, summed in `i32`.
//!
//! The arithmetic is exact on every machine: an activation minus its zero point fits 9 bits, a weight 8, and the sum of
//! two products fits `i32` with room for [`MAX_DEPTH`] of them, so nothing saturates (`vpmaddubsw`, which does, is not
//! used) and the SIMD path gives the same bits as the scalar one. The last step, from the sum to a number or to the next
//! layer's 8 bits, is one multiplication and one addition in `f32` without fusing, rounded half to even as ONNX'
//! QuantizeLinear does: the same bits again.
//!
//! Layout: weights lie in panels of [`LANES`] outputs, two inputs next to each other (`vpmaddwd` multiplies and adds
//! pairs); rows come in blocks of [`ROWS`].

/// Outputs in one panel of weights.
pub const LANES: usize = 16;
/// Rows computed at once.
pub const ROWS: usize = 4;
/// Most inputs of one output for weights of full range: 255 · 127 · `MAX_DEPTH` < 2³¹.
pub const MAX_DEPTH: usize = 66_311;

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

/// The weights of one layer, `[outputs, inputs]`, packed for the kernel.
#[derive(Debug, Clone)]
pub struct Packed {
    outputs: usize,
    pairs: usize,
    panels: Vec<i8>,
}

impl Packed {
    /// Packs row-major weights `[outputs, inputs]`; missing lanes and the odd last input are zero.
    pub fn new(weight: &[i8], outputs: usize, inputs: usize) -> Self {
        assert_eq!(weight.len(), outputs * inputs, "weights have the shape [outputs, inputs]");
        let pairs = inputs.div_ceil(2);
        let mut panels = vec![0; outputs.div_ceil(LANES) * pairs * 2 * LANES];
        for output in 0..outputs {
            for input in 0..inputs {
                let panel = (output / LANES) * pairs + input / 2;
                panels[panel * 2 * LANES + (output % LANES) * 2 + input % 2] = weight[output * inputs + input];
            }
        }
        Self { outputs, pairs, panels }
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Length of one packed row of activations: the inputs, rounded up to an even number.
    pub fn stride(&self) -> usize {
        self.pairs * 2
    }

    /// Outputs rounded up to whole panels: the length of [`Finish::scale`] and [`Finish::shift`].
    pub fn lanes(&self) -> usize {
        self.outputs.div_ceil(LANES) * LANES
    }
}

/// From a sum to a value: `sum · scale[output] · row_scale[row] + shift[output]`.
#[derive(Debug, Clone)]
pub struct Finish {
    /// One for each lane.
    pub scale: Vec<f32>,
    /// One for each lane.
    pub shift: Vec<f32>,
}

impl Finish {
    /// Pads both to whole panels.
    pub fn new(mut scale: Vec<f32>, mut shift: Vec<f32>) -> Self {
        let lanes = scale.len().div_ceil(LANES) * LANES;
        scale.resize(lanes, 0.0);
        shift.resize(lanes, 0.0);
        Self { scale, shift }
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

/// One real number to a centred 8-bit value: round half to even, then clamp. NaN becomes the lower bound.
pub fn round(value: f32, bounds: (i16, i16)) -> i16 {
    value.max(f32::from(bounds.0)).min(f32::from(bounds.1)).round_ties_even() as i16
}

mod scalar {
    use super::{Finish, LANES, Packed, ROWS, round};

    fn tile(packed: &Packed, rows: &[i16], used: usize, panel: usize) -> [[i32; LANES]; ROWS] {
        let stride = packed.stride();
        let weights = &packed.panels[panel * stride * LANES..(panel + 1) * stride * LANES];
        let mut sums = [[0; LANES]; ROWS];
        for (row, sums) in sums.iter_mut().enumerate().take(used) {
            let row = &rows[row * stride..(row + 1) * stride];
            for (pair, weights) in row.chunks_exact(2).zip(weights.chunks_exact(2 * LANES)) {
                for (sum, weight) in sums.iter_mut().zip(weights.chunks_exact(2)) {
                    *sum += i32::from(pair[0]) * i32::from(weight[0]) + i32::from(pair[1]) * i32::from(weight[1]);
                }
            }
        }
        sums
    }

    pub fn quantized(packed: &Packed, rows: &[i16], used: usize, finish: &Finish, bounds: (i16, i16), out: &mut [i16]) {
        each(packed, rows, used, |row, output, sum| {
            let value = sum as f32 * finish.scale[output] + finish.shift[output];
            out[row * packed.outputs + output] = round(value, bounds);
        });
    }

    pub fn real(packed: &Packed, rows: &[i16], used: usize, finish: &Finish, row_scale: &[f32; ROWS], out: &mut [f32]) {
        each(packed, rows, used, |row, output, sum| {
            let scale = finish.scale[output] * row_scale[row];
            out[row * packed.outputs + output] = sum as f32 * scale + finish.shift[output];
        });
    }

    fn each(packed: &Packed, rows: &[i16], used: usize, mut put: impl FnMut(usize, usize, i32)) {
        for panel in 0..packed.outputs.div_ceil(LANES) {
            let sums = tile(packed, rows, used, panel);
            for (row, sums) in sums.iter().enumerate().take(used) {
                for (lane, sum) in sums.iter().enumerate().take(packed.outputs - panel * LANES) {
                    put(row, panel * LANES + lane, *sum);
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector instructions, called after the machine said that it has them")]
mod avx2 {
    use std::arch::x86_64::{
        __m128i, __m256, __m256i, _mm_loadu_si128, _mm_storeu_si128, _mm256_add_epi32, _mm256_add_ps,
        _mm256_castsi256_si128, _mm256_cvtepi8_epi16, _mm256_cvtepi32_ps, _mm256_cvtps_epi32, _mm256_extracti128_si256,
        _mm256_loadu_ps, _mm256_madd_epi16, _mm256_max_ps, _mm256_min_ps, _mm256_mul_ps, _mm256_packs_epi32,
        _mm256_permute4x64_epi64, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_si256, _mm256_storeu_ps,
    };

    use super::{Finish, LANES, Packed, ROWS};

    /// The two halves of a panel's sums for one row.
    type Sums = (__m256i, __m256i);

    pub fn quantized(packed: &Packed, rows: &[i16], used: usize, finish: &Finish, bounds: (i16, i16), out: &mut [i16]) {
        // SAFETY: `Set::Avx2` is only made by `detect`, which asked the machine; the lengths were checked by the caller.
        unsafe { quantized_inner(packed, rows, used, finish, bounds, out) }
    }

    pub fn real(packed: &Packed, rows: &[i16], used: usize, finish: &Finish, row_scale: &[f32; ROWS], out: &mut [f32]) {
        // SAFETY: as above.
        unsafe { real_inner(packed, rows, used, finish, row_scale, out) }
    }

    #[target_feature(enable = "avx2")]
    unsafe fn quantized_inner(
        packed: &Packed,
        rows: &[i16],
        used: usize,
        finish: &Finish,
        bounds: (i16, i16),
        out: &mut [i16],
    ) {
        let low = _mm256_set1_ps(f32::from(bounds.0));
        let high = _mm256_set1_ps(f32::from(bounds.1));
        for panel in 0..packed.outputs.div_ceil(LANES) {
            let first = panel * LANES;
            let live = (packed.outputs - first).min(LANES);
            // SAFETY: scale and shift are as long as the lanes.
            let (scale, shift) = unsafe { (pair(&finish.scale, first), pair(&finish.shift, first)) };
            // SAFETY: the caller checked that there are ROWS rows and this is a panel of `packed`.
            let tile = unsafe { tile(packed, rows, used, panel) };
            for (row, sums) in tile.iter().enumerate().take(used) {
                let left = nearest(sums.0, scale.0, shift.0, low, high);
                let right = nearest(sums.1, scale.1, shift.1, low, high);
                // Packing works within 128-bit halves; the permutation puts the lanes back in order.
                let lanes = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(left, right));
                let start = row * packed.outputs + first;
                if live == LANES {
                    let target = out[start..start + LANES].as_mut_ptr();
                    // SAFETY: LANES values of 16 bits fit behind `target`.
                    unsafe {
                        _mm_storeu_si128(target.cast(), _mm256_castsi256_si128(lanes));
                        _mm_storeu_si128(target.add(8).cast(), _mm256_extracti128_si256::<1>(lanes));
                    }
                } else {
                    let mut all = [0i16; LANES];
                    // SAFETY: `all` holds LANES values.
                    unsafe {
                        _mm_storeu_si128(all.as_mut_ptr().cast(), _mm256_castsi256_si128(lanes));
                        _mm_storeu_si128(all.as_mut_ptr().add(8).cast(), _mm256_extracti128_si256::<1>(lanes));
                    }
                    out[start..start + live].copy_from_slice(&all[..live]);
                }
            }
        }
    }

    #[target_feature(enable = "avx2")]
    unsafe fn real_inner(
        packed: &Packed,
        rows: &[i16],
        used: usize,
        finish: &Finish,
        row_scale: &[f32; ROWS],
        out: &mut [f32],
    ) {
        for panel in 0..packed.outputs.div_ceil(LANES) {
            let first = panel * LANES;
            let live = (packed.outputs - first).min(LANES);
            // SAFETY: scale and shift are as long as the lanes.
            let (scale, shift) = unsafe { (pair(&finish.scale, first), pair(&finish.shift, first)) };
            // SAFETY: the caller checked that there are ROWS rows and this is a panel of `packed`.
            let tile = unsafe { tile(packed, rows, used, panel) };
            for (row, sums) in tile.iter().enumerate().take(used) {
                let factor = _mm256_set1_ps(row_scale[row]);
                let left = affine(sums.0, _mm256_mul_ps(scale.0, factor), shift.0);
                let right = affine(sums.1, _mm256_mul_ps(scale.1, factor), shift.1);
                let mut all = [0f32; LANES];
                // SAFETY: `all` holds LANES values.
                unsafe {
                    _mm256_storeu_ps(all.as_mut_ptr(), left);
                    _mm256_storeu_ps(all.as_mut_ptr().add(8), right);
                }
                let start = row * packed.outputs + first;
                out[start..start + live].copy_from_slice(&all[..live]);
            }
        }
    }

    #[target_feature(enable = "avx2")]
    fn affine(sum: __m256i, scale: __m256, shift: __m256) -> __m256 {
        _mm256_add_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(sum), scale), shift)
    }

    /// `vmaxps` and `vminps` return their second operand when the first is NaN: NaN becomes the lower bound.
    #[target_feature(enable = "avx2")]
    fn nearest(sum: __m256i, scale: __m256, shift: __m256, low: __m256, high: __m256) -> __m256i {
        _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(affine(sum, scale, shift), low), high))
    }

    /// # Safety
    /// `values` has at least `first + LANES` elements.
    #[target_feature(enable = "avx2")]
    unsafe fn pair(values: &[f32], first: usize) -> (__m256, __m256) {
        let start = values[first..first + LANES].as_ptr();
        // SAFETY: the slice above has LANES elements.
        unsafe { (_mm256_loadu_ps(start), _mm256_loadu_ps(start.add(8))) }
    }

    /// # Safety
    /// `rows` holds [`ROWS`] rows of `packed.stride()`, and `panel` is one of the panels of `packed`.
    #[target_feature(enable = "avx2")]
    unsafe fn tile(packed: &Packed, rows: &[i16], used: usize, panel: usize) -> [Sums; ROWS] {
        let zero = _mm256_setzero_si256();
        let mut tile = [(zero, zero); ROWS];
        let stride = packed.stride();
        let weights = packed.panels[panel * stride * LANES..].as_ptr();
        let rows = rows.as_ptr();
        // SAFETY: pair p of row r lies at r · stride + 2p, its weights at 2 · LANES · p; p < pairs and r < ROWS.
        unsafe {
            if used == 1 {
                let (mut a, mut b) = (zero, zero);
                for p in 0..packed.pairs {
                    let (left, right) = load(weights.add(p * 2 * LANES));
                    let x = broadcast(rows.add(2 * p));
                    a = _mm256_add_epi32(a, _mm256_madd_epi16(x, left));
                    b = _mm256_add_epi32(b, _mm256_madd_epi16(x, right));
                }
                tile[0] = (a, b);
            } else {
                let (mut a0, mut b0, mut a1, mut b1) = (zero, zero, zero, zero);
                let (mut a2, mut b2, mut a3, mut b3) = (zero, zero, zero, zero);
                for p in 0..packed.pairs {
                    let (left, right) = load(weights.add(p * 2 * LANES));
                    let x = broadcast(rows.add(2 * p));
                    a0 = _mm256_add_epi32(a0, _mm256_madd_epi16(x, left));
                    b0 = _mm256_add_epi32(b0, _mm256_madd_epi16(x, right));
                    let x = broadcast(rows.add(stride + 2 * p));
                    a1 = _mm256_add_epi32(a1, _mm256_madd_epi16(x, left));
                    b1 = _mm256_add_epi32(b1, _mm256_madd_epi16(x, right));
                    let x = broadcast(rows.add(2 * stride + 2 * p));
                    a2 = _mm256_add_epi32(a2, _mm256_madd_epi16(x, left));
                    b2 = _mm256_add_epi32(b2, _mm256_madd_epi16(x, right));
                    let x = broadcast(rows.add(3 * stride + 2 * p));
                    a3 = _mm256_add_epi32(a3, _mm256_madd_epi16(x, left));
                    b3 = _mm256_add_epi32(b3, _mm256_madd_epi16(x, right));
                }
                tile = [(a0, b0), (a1, b1), (a2, b2), (a3, b3)];
            }
        }
        tile
    }

    /// # Safety
    /// Two values of 16 bits lie behind `values`.
    #[target_feature(enable = "avx2")]
    unsafe fn broadcast(values: *const i16) -> __m256i {
        // SAFETY: as required of the caller; no alignment is assumed.
        _mm256_set1_epi32(unsafe { values.cast::<i32>().read_unaligned() })
    }

    /// # Safety
    /// `2 · LANES` weights lie behind `weights`.
    #[target_feature(enable = "avx2")]
    unsafe fn load(weights: *const i8) -> (__m256i, __m256i) {
        // SAFETY: as required of the caller; no alignment is assumed.
        let (left, right) = unsafe {
            (_mm_loadu_si128(weights.cast::<__m128i>()), _mm_loadu_si128(weights.add(LANES).cast::<__m128i>()))
        };
        (_mm256_cvtepi8_epi16(left), _mm256_cvtepi8_epi16(right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let round = |value| super::round(value, (-10, 10));
        assert_eq!([0.5, 1.5, 2.5, -0.5, -1.5].map(round), [0, 2, 2, 0, -2]);
        assert_eq!([1e9, -1e9, f32::INFINITY, f32::NAN].map(round), [10, -10, 10, -10]);
    }
}
