//! `max_pool2d`: the largest value of each window.

use serde::{Deserialize, Serialize};

use super::operation::Operation;
use super::window;
use crate::network::place::{Place, Placed};
use crate::params::network::Pool2d;

/// The largest value of each window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MaxPool2d {
    /// Side of the window.
    pub size: u64,
    /// Step.
    pub stride: u64,
}

impl Operation for MaxPool2d {}

/// The layer where it meets an image.
///
/// # Errors
/// As [`window::place`].
pub fn place(options: &Pool2d, place: &Place<'_>) -> Placed<MaxPool2d> {
    let ((size, stride), output) = window::place(options, "max_pool2d", place)?;
    Ok((MaxPool2d { size, stride }, output))
}
