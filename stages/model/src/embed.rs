//! The first node of a network with embedded columns, on plain rows. A row holds the index of a value where a column is
//! embedded. The vector of that value takes its place; other numbers are copied.
//!
//! The fast path of training and the 8-bit runtime share this walk over rows.

use catalog::network::{Network, Node, Op, Table};

/// A stretch of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// Numbers that are copied.
    Numbers {
        /// Where they begin in the row coming in.
        from: usize,
        /// Where they begin in the row going out.
        to: usize,
        /// How many.
        length: usize,
    },
    /// An index that a vector takes the place of.
    Vector {
        /// The table it is looked up in.
        table: usize,
        /// Number of vectors in the table.
        values: usize,
        /// Where the index stands in the row coming in.
        from: usize,
        /// Where the vector begins in the row going out.
        to: usize,
        /// Length of the vector.
        length: usize,
    },
}

/// How rows look before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// In the order of the row, without gaps.
    pub pieces: Vec<Piece>,
    /// Numbers of a row coming in.
    pub input: usize,
    /// Numbers of a row going out.
    pub output: usize,
}

impl Layout {
    /// The layout of rows of `input` numbers with these tables.
    pub fn new(tables: &[Table], input: u64) -> Self {
        let input = input as usize;
        let mut pieces = Vec::with_capacity(2 * tables.len() + 1);
        let (mut from, mut to) = (0, 0);
        let ends = tables.iter().map(|table| table.position as usize).chain([input]);
        for (place, end) in ends.enumerate() {
            let length = end.saturating_sub(from);
            if length > 0 {
                pieces.push(Piece::Numbers { from, to, length });
                (from, to) = (from + length, to + length);
            }
            if let Some(table) = tables.get(place) {
                let length = table.dimensions as usize;
                pieces.push(Piece::Vector { table: place, values: table.values as usize, from, to, length });
                (from, to) = (from + 1, to + length);
            }
        }
        Self { pieces, input, output: to }
    }

    /// The layout of a network's first node; `None` when nothing is embedded.
    pub fn of(network: &Network) -> Option<Self> {
        let first = network.nodes.first()?;
        matches!(first.op, Op::Embed(_)).then(|| Self::new(network.tables(), first.input.iter().product()))
    }

    /// Fills rows going out from rows coming in; `vector(table, index, place)` writes a vector into its place.
    pub fn forward(&self, rows: &[f32], out: &mut [f32], mut vector: impl FnMut(usize, usize, &mut [f32])) {
        for (row, out) in rows.chunks_exact(self.input).zip(out.chunks_exact_mut(self.output)) {
            for piece in &self.pieces {
                match *piece {
                    Piece::Numbers { from, to, length } => {
                        out[to..to + length].copy_from_slice(&row[from..from + length]);
                    }
                    Piece::Vector { table, values, from, to, length } => {
                        vector(table, index(row[from], values), &mut out[to..to + length]);
                    }
                }
            }
        }
    }

    /// Walks the gradients of rows going out: `vector(table, index, gradient)` for each vector that was looked up.
    pub fn backward(&self, rows: &[f32], slopes: &[f32], mut vector: impl FnMut(usize, usize, &[f32])) {
        for (row, slope) in rows.chunks_exact(self.input).zip(slopes.chunks_exact(self.output)) {
            for piece in &self.pieces {
                if let Piece::Vector { table, values, from, to, length } = *piece {
                    vector(table, index(row[from], values), &slope[to..to + length]);
                }
            }
        }
    }
}

/// The index a number stands for. The encoder writes none that the table does not have.
fn index(number: f32, values: usize) -> usize {
    (number as usize).min(values.saturating_sub(1))
}

/// The name of a table's tensor.
pub fn tensor_name(node: &Node, table: usize) -> String {
    format!("{}.weight", table_name(node, table))
}

/// The name of a table, as layers have one: what comes before `.weight`.
pub fn table_name(node: &Node, table: usize) -> String {
    format!("{}.{table}", node.name)
}
