//! Where a layer of a document stands, and what it meets there.

use contract::fault::{Fault, Route};

use super::shape::shown;

/// A layer with the shape of one row coming out, or why it does not fit.
pub type Placed<T> = Result<(T, Vec<u64>), Box<Fault>>;

/// A place in a network.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Shape of one row that comes in.
    pub shape: &'a [u64],
    /// The layer in the document.
    pub at: &'a Route,
    /// Whether nothing but the look-up of vectors comes before.
    pub first: bool,
}

impl Place<'_> {
    /// Channels, height and width of the image that the layer `name` wants.
    ///
    /// # Errors
    /// `model::shape` where rows are no image.
    pub fn image(&self, name: &str) -> Result<[u64; 3], Box<Fault>> {
        <[u64; 3]>::try_from(self.shape).map_err(|_| {
            Box::new(
                Fault::error(
                    contract::code!("model::shape"),
                    format!("`{name}` wants `[channels, height, width]` and meets {}", shown(self.shape)),
                )
                .help(if self.first {
                    "make one image column the only feature (`preprocess` has `pack`)"
                } else {
                    "put this layer before the first `linear`, `flatten` or `global_avg_pool`"
                })
                .at(self.at.clone()),
            )
        })
    }
}
