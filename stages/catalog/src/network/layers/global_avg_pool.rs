//! `global_avg_pool`: the mean over height and width.

use super::operation::Operation;
use crate::network::place::{Place, Placed};

/// `[c, h, w]` to `[c]`. It has nothing to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GlobalAvgPool;

impl Operation for GlobalAvgPool {}

/// The layer where it meets an image.
///
/// # Errors
/// `model::shape` for flat rows.
pub fn place(place: &Place<'_>) -> Placed<GlobalAvgPool> {
    let [channels, _, _] = place.image("global_avg_pool")?;
    Ok((GlobalAvgPool, vec![channels]))
}
