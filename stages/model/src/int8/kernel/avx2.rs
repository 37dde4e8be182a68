//! The products with vectors of 256 bits.
#![expect(unsafe_code, reason = "vector instructions, called after the machine said that it has them")]

use std::arch::x86_64::{
    __m128i, __m256, __m256i, _mm_loadu_si128, _mm_storeu_si128, _mm256_add_epi32, _mm256_add_ps,
    _mm256_castsi256_si128, _mm256_cvtepi8_epi16, _mm256_cvtepi32_ps, _mm256_cvtps_epi32, _mm256_extracti128_si256,
    _mm256_loadu_ps, _mm256_madd_epi16, _mm256_max_ps, _mm256_min_ps, _mm256_mul_ps, _mm256_packs_epi32,
    _mm256_permute4x64_epi64, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_si256, _mm256_storeu_ps,
};

use crate::int8::packed::{Finish, LANES, Packed, ROWS};

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
    let (left, right) =
        unsafe { (_mm_loadu_si128(weights.cast::<__m128i>()), _mm_loadu_si128(weights.add(LANES).cast::<__m128i>())) };
    (_mm256_cvtepi8_epi16(left), _mm256_cvtepi8_epi16(right))
}
