//! Arithmetic of shapes.

/// Number of elements of a shape; 1 for a scalar. Saturates.
pub fn product(shape: &[u64]) -> u64 {
    shape.iter().fold(1, |product, side| product.saturating_mul(*side))
}

/// How messages show a shape: `[1, 8, 8]`.
pub fn shown(shape: &[u64]) -> String {
    let sides: Vec<String> = shape.iter().map(u64::to_string).collect();
    format!("[{}]", sides.join(", "))
}
