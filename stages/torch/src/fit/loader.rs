//! Rows in a new order every epoch, in batches; the order is drawn from a stream that can be saved.

use model::random::Random;
use tch::{Device, Tensor};

use crate::fault::{During, Outcome};

/// Rows are gathered in blocks of about this many bytes: one gather for many steps, and memory stays bounded.
const BLOCK_BYTES: usize = 16 << 20;

/// Sizes of the batches of one epoch: full ones, then what is left. With `never_one` a last batch of one row joins
/// the batch before it: batch normalisation has no variance over one row.
pub fn batches(rows: usize, size: usize, never_one: bool) -> Vec<usize> {
    let size = size.max(1);
    let mut sizes = vec![size; rows / size];
    match rows % size {
        0 => {}
        1 if never_one && !sizes.is_empty() => {
            if let Some(last) = sizes.last_mut() {
                *last += 1;
            }
        }
        rest => sizes.push(rest),
    }
    sizes
}

/// Draws a new order and calls `step` with every batch of rows and targets. The batches are views of a gathered
/// block and are only good during the call.
///
/// # Errors
/// What `step` fails with, or libtorch while gathering.
pub fn epoch(
    rows: &Tensor,
    targets: &Tensor,
    sizes: &[usize],
    random: &mut Random,
    mut step: impl FnMut(&Tensor, &Tensor) -> Outcome<()>,
) -> Outcome<()> {
    let count = sizes.iter().sum::<usize>();
    // From the identity every time, so that the order of an epoch depends on the stream's place only.
    let mut order: Vec<i64> = (0..count as i64).collect();
    random.shuffle(&mut order);
    let places = Tensor::f_from_slice(&order)
        .and_then(|order| order.f_to_device(rows.device()))
        .during(|| "drawing the order of the rows".to_owned())?;
    drop(order);

    let row_bytes = (rows.size().iter().skip(1).product::<i64>() as usize).max(1) * 4;
    let largest = sizes.iter().copied().max().unwrap_or(1);
    let block_rows = (BLOCK_BYTES / row_bytes).max(largest);
    let gathering = || "gathering the rows of a batch".to_owned();
    // One buffer for all blocks: a new one of this size for each would fragment the heap.
    let space = |like: &Tensor| {
        let mut size = like.size();
        size[0] = block_rows.min(count) as i64;
        Tensor::f_empty(size, (like.kind(), like.device())).during(gathering)
    };
    let (row_space, target_space) = (space(rows)?, space(targets)?);
    let gather = |from: &Tensor, to: &Tensor, places: &Tensor| {
        let block = to.f_narrow(0, 0, places.size()[0])?;
        from.f_index_select_out(&block, 0, places)
    };
    let mut done = 0;
    let mut next = 0;
    while next < sizes.len() {
        let mut last = next;
        let mut length = 0;
        while last < sizes.len() && (length == 0 || length + sizes[last] <= block_rows) {
            length += sizes[last];
            last += 1;
        }
        let places = places.f_narrow(0, done as i64, length as i64).during(gathering)?;
        let block_rows = gather(rows, &row_space, &places).during(gathering)?;
        let block_targets = gather(targets, &target_space, &places).during(gathering)?;
        let mut offset = 0;
        for size in &sizes[next..last] {
            let size = *size as i64;
            let batch = block_rows.f_narrow(0, offset, size).during(gathering)?;
            let batch_targets = block_targets.f_narrow(0, offset, size).during(gathering)?;
            step(&batch, &batch_targets)?;
            offset += size;
        }
        done += length;
        next = last;
    }
    Ok(())
}

/// Moves a tensor where the work is; the CPU's stays as it is, even when it is a mapped file.
///
/// # Errors
/// When the device has no memory left.
pub fn to_device(tensor: &Tensor, device: Device) -> Outcome<Tensor> {
    tensor.f_to_device(device).during(|| "moving data to the device".to_owned())
}

#[cfg(test)]
mod tests {
    use model::random::Purpose;

    use super::*;
    use crate::raw;

    #[test]
    fn every_row_comes_once_and_none_alone() {
        assert_eq!(batches(10, 4, false), [4, 4, 2]);
        assert_eq!(batches(9, 4, true), [4, 5]);
        assert_eq!(batches(9, 4, false), [4, 4, 1]);
        assert_eq!(batches(1, 4, true), [1]);
        assert_eq!(batches(3, 8, true), [3]);
        assert_eq!(batches(0, 8, true), Vec::<usize>::new());
    }

    #[test]
    fn an_epoch_is_a_permutation_with_rows_and_targets_together() {
        let rows = Tensor::arange(20, (tch::Kind::Float, Device::Cpu)).view([10, 2]);
        let targets = Tensor::arange(10, (tch::Kind::Int64, Device::Cpu));
        let mut random = Random::new(3, Purpose::Order);
        let mut orders = Vec::new();
        for _ in 0..2 {
            let mut seen = Vec::new();
            epoch(&rows, &targets, &batches(10, 4, false), &mut random, |batch, labels| {
                for (row, label) in raw::floats(batch).chunks(2).zip(raw::longs(labels)) {
                    assert_eq!(row, [*label as f32 * 2.0, *label as f32 * 2.0 + 1.0]);
                    seen.push(*label);
                }
                Ok(())
            })
            .unwrap();
            let mut sorted = seen.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
            orders.push(seen);
        }
        assert_ne!(orders[0], orders[1]);
    }
}
