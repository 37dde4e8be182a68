//! `avg_pool2d`: the mean of each window.

use serde::{Deserialize, Serialize};

use super::operation::Operation;
use super::window;
use crate::network::place::{Place, Placed};
use crate::params::network::Pool2d;

/// The mean of each window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AvgPool2d {
    /// Side of the window.
    pub size: u64,
    /// Step.
    pub stride: u64,
}

impl Operation for AvgPool2d {}

/// The layer where it meets an image.
///
/// # Errors
/// As [`window::place`].
pub fn place(options: &Pool2d, place: &Place<'_>) -> Placed<AvgPool2d> {
    let ((size, stride), output) = window::place(options, "avg_pool2d", place)?;
    Ok((AvgPool2d { size, stride }, output))
}
