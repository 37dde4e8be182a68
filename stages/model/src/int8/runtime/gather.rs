//! Moving values: the windows of convolutions and pools, and the order of an image.

use super::layer::{Image, Layer, Window};
use crate::int8::packed::ROWS;

/// Copies the window of one output pixel into a row of the block; what lies outside of the image is 0.
pub(super) fn gather<T: Copy + Default>(image: Image, window: Window, values: &[T], at: (usize, usize), row: &mut [T]) {
    let (left, top) = (at.1 * window.stride, at.0 * window.stride);
    let span = window.width * image.channels;
    // Without padding no window leaves the image, which saves all bounds below.
    let inside = window.padding == 0;
    for ky in 0..window.height {
        let row = &mut row[ky * span..(ky + 1) * span];
        let y = top + ky;
        if inside {
            let start = (y * image.width + left) * image.channels;
            row.copy_from_slice(&values[start..start + span]);
            continue;
        }
        let Some(y) = y.checked_sub(window.padding).filter(|y| *y < image.height) else {
            row.fill(T::default());
            continue;
        };
        // Columns of the window that lie in the image.
        let first = window.padding.saturating_sub(left).min(window.width);
        let last = (image.width + window.padding).saturating_sub(left).clamp(first, window.width);
        row[..first * image.channels].fill(T::default());
        row[last * image.channels..].fill(T::default());
        if last > first {
            let start = (y * image.width + left + first - window.padding) * image.channels;
            let length = (last - first) * image.channels;
            row[first * image.channels..last * image.channels].copy_from_slice(&values[start..start + length]);
        }
    }
}

/// Calls `put(first row, rows, block)` for every block of [`ROWS`] output pixels of a batch.
pub(super) fn blocks(
    layer: &Layer,
    window: Window,
    stride: usize,
    values: &[i16],
    count: usize,
    block: &mut Vec<i16>,
    mut put: impl FnMut(usize, usize, &[i16]),
) {
    let (input, output) = (layer.input, layer.output);
    let pixels = output.height * output.width;
    let total = count * pixels;
    let depth = window.height * window.width * input.channels;
    let flat = pixels == 1 && depth == input.size() && stride == depth;
    block.clear();
    block.resize(ROWS * stride, 0);
    for first in (0..total).step_by(ROWS) {
        let used = ROWS.min(total - first);
        if flat && used == ROWS {
            // The rows already lie as the kernel wants them, so they are not copied. The last, incomplete block must be: the
            // kernel reads `ROWS` rows, and there is no memory behind the last one.
            put(first, used, &values[first * depth..(first + ROWS) * depth]);
            continue;
        }
        for (slot, row) in block.chunks_exact_mut(stride).enumerate().take(used) {
            let (image, pixel) = ((first + slot) / pixels, (first + slot) % pixels);
            let values = &values[image * input.size()..(image + 1) * input.size()];
            gather(input, window, values, (pixel / output.width, pixel % output.width), &mut row[..depth]);
        }
        put(first, used, block);
    }
}

/// Pools one image: `start` and `add` over each window, channel by channel, then `end`.
pub(super) fn pool<T: Copy, A: Copy>(
    (layer, window): (&Layer, Window),
    row: &[T],
    out: &mut [T],
    start: impl Fn(T) -> A,
    add: impl Fn(A, T) -> A,
    end: impl Fn(A) -> T,
) {
    let (input, output) = (layer.input, layer.output);
    let mut sums: Vec<A> = Vec::with_capacity(output.channels);
    for (pixel, out) in out.chunks_exact_mut(output.channels).enumerate() {
        let (y, x) = (pixel / output.width, pixel % output.width);
        sums.clear();
        for ky in 0..window.height {
            let line = (y * window.stride + ky) * input.width + x * window.stride;
            for kx in 0..window.width {
                let values = &row[(line + kx) * input.channels..(line + kx + 1) * input.channels];
                if sums.is_empty() {
                    sums.extend(values.iter().map(|value| start(*value)));
                } else {
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum = add(*sum, *value);
                    }
                }
            }
        }
        for (sum, out) in sums.iter().zip(out) {
            *out = end(*sum);
        }
    }
}

pub(super) fn flatten<T: Copy>(image: Image, row: &[T], out: &mut [T]) {
    let pixels = image.height * image.width;
    if image.channels == 1 || pixels == 1 {
        out.copy_from_slice(row);
        return;
    }
    for (pixel, values) in row.chunks_exact(image.channels).enumerate() {
        for (channel, value) in values.iter().enumerate() {
            out[channel * pixels + pixel] = *value;
        }
    }
}

/// Rows of channels × height × width to height × width × channels, each value through `convert`. A window of a convolution
/// is then a few runs of neighbours.
pub(super) fn channels_last<T>(input: &[usize], rows: &[f32], values: &mut [T], convert: impl Fn(f32) -> T) {
    let [channels, height, width] = *input else {
        return values.iter_mut().zip(rows).for_each(|(value, number)| *value = convert(*number));
    };
    let pixels = height * width;
    let size = channels * pixels;
    for (row, values) in rows.chunks_exact(size).zip(values.chunks_exact_mut(size)) {
        for (channel, plane) in row.chunks_exact(pixels).enumerate() {
            for (pixel, number) in plane.iter().enumerate() {
                values[pixel * channels + channel] = convert(*number);
            }
        }
    }
}
