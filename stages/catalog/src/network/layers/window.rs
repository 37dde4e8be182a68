//! The windows of pooling layers.

use contract::fault::Fault;

use crate::network::place::{Place, Placed};
use crate::network::shape::shown;
use crate::params::network::Pool2d;

/// Side and step of the windows of the layer `name`, with the shape of what comes out.
///
/// # Errors
/// `model::shape` for flat rows, `model::window_too_large` for a window that does not fit.
pub fn place(options: &Pool2d, name: &str, place: &Place<'_>) -> Placed<(u64, u64)> {
    let [channels, height, width] = place.image(name)?;
    let size = u64::from(options.size).max(1);
    let stride = options.stride.map_or(size, u64::from).max(1);
    if size > height || size > width {
        return Err(Box::new(
            Fault::error(
                contract::code!("model::window_too_large"),
                format!("`{name}` with a window of {size} does not fit in {}", shown(place.shape)),
            )
            .help("use a smaller window, or pool less before this layer")
            .at(place.at.join(name).join("size")),
        ));
    }
    let side = |side: u64| (side - size) / stride + 1;
    Ok(((size, stride), vec![channels, side(height), side(width)]))
}
