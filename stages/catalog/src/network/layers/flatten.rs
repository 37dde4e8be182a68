//! `flatten`: everything but the batch into one dimension.

use super::operation::Operation;
use crate::network::place::{Place, Placed};
use crate::network::shape::product;

/// `[c, h, w]` to `[c·h·w]`. It has nothing to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flatten;

impl Operation for Flatten {}

/// The layer where it meets rows of any shape.
pub fn place(place: &Place<'_>) -> Placed<Flatten> {
    Ok((Flatten, vec![product(place.shape)]))
}
