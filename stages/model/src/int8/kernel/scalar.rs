//! The products in plain Rust: what every other set of instructions must equal, bit for bit.

use crate::int8::packed::{Finish, LANES, Packed, ROWS, round};

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
