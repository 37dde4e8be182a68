//! What every encoder can do, and what it is given to do it.

use catalog::columns::features::Decision;
use catalog::network::Table;
use contract::artifact::Column;

use crate::dataset::Dataset;
use crate::fault::Outcome;
use crate::onnx::cell::Cell;
use crate::onnx::graph::Graph;
use crate::random::Random;
use crate::target::Target;

/// What an encoder learns from: one column of the training part.
#[derive(Debug)]
pub struct Lesson<'a> {
    /// The column, and how a document wants it encoded.
    pub decision: &'a Decision,
    /// The training part.
    pub data: &'a Dataset,
    /// What the model predicts.
    pub target: &'a Target,
    /// The seed of the stage.
    pub seed: u64,
    /// Shared by all columns, in their order.
    pub random: &'a mut Random,
}

impl Lesson<'_> {
    /// The name of the column.
    pub fn name(&self) -> &str {
        &self.decision.column.name
    }
}

/// Rows to encode, and the column of them that is meant.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// The rows.
    pub data: &'a Dataset,
    /// The column as training saw it.
    pub column: &'a Column,
    /// Present when these are the very rows the encoder was fitted on, to be learnt from.
    pub training: Option<&'a Target>,
}

impl Rows<'_> {
    /// The name of the column.
    pub fn name(&self) -> &str {
        &self.column.name
    }
}

/// The part of encoded rows that belongs to one column; it holds zeros.
#[derive(Debug)]
pub struct Strip<'a> {
    out: &'a mut [f32],
    /// Numbers of a whole row.
    row: usize,
    /// Where the column begins in a row.
    from: usize,
    /// Numbers of the column in a row.
    width: usize,
}

impl<'a> Strip<'a> {
    /// The `width` numbers from `from` on of every row of `row` numbers.
    pub fn new(out: &'a mut [f32], row: usize, from: usize, width: usize) -> Self {
        Self { out, row, from, width }
    }

    /// The column's numbers, row by row.
    pub fn rows(&mut self) -> impl Iterator<Item = &mut [f32]> {
        let (from, to) = (self.from, self.from + self.width);
        self.out.chunks_exact_mut(self.row).map(move |row| &mut row[from..to])
    }
}

/// The values a categorical encoder knows.
#[derive(Debug, Clone, Copy)]
pub struct Vocabulary<'a> {
    /// Seen in training, in the order of their places.
    pub values: &'a [String],
    /// Whether training had missing cells: then the last place is theirs.
    pub indicator: bool,
}

/// What the numbers of a column look like: for rows made up to check an exported file with.
#[derive(Debug, Clone, PartialEq)]
pub struct Likeness {
    /// One for a scalar; of a tensor, one for each group of elements.
    pub mean: Vec<f64>,
    /// As many as there are means.
    pub deviation: Vec<f64>,
    /// Whether training had missing cells.
    pub indicator: bool,
}

/// A fitted encoder of one column.
pub trait Encoder {
    /// Fits to a column, when the document asks for this encoder there; `None` when it asks for another.
    ///
    /// # Errors
    /// A column that is not there, or cells that the encoder cannot learn from.
    fn fit(lesson: &mut Lesson<'_>) -> Outcome<Option<Self>>
    where
        Self: Sized;

    /// How many numbers one cell of the column becomes.
    fn width(&self, column: &Column) -> u64;

    /// Encodes the cells of a scalar column.
    ///
    /// # Errors
    /// A column that is not there or has another form than in training, an infinite cell.
    fn write(&self, rows: &Rows<'_>, strip: &mut Strip<'_>) -> Outcome<()>;

    /// Encodes one packed cell, or several in a row.
    fn write_packed(&self, _: &Column, values: &[f32], out: &mut [f32]) {
        out.copy_from_slice(values);
    }

    /// Whether packed cells come out as they are, so that the mapped file itself can be used.
    fn keeps_packed(&self) -> bool {
        true
    }

    /// The vectors that the network looks up, when the encoding is an index at `position` of a row.
    fn table(&self, _position: u64) -> Option<Table> {
        None
    }

    /// Whether the encoding of a row the encoder was fitted on tells that row's own answer, unless [`Rows::training`] is
    /// given. Such a column is encoded for all rows at once: its folds are drawn over all of them.
    fn tells_answers(&self) -> bool {
        false
    }

    /// The values it knows, when it is an encoder of categories.
    fn vocabulary(&self) -> Option<Vocabulary<'_>> {
        None
    }

    /// What its numbers look like.
    fn likeness(&self) -> Likeness {
        Likeness { mean: vec![0.0], deviation: vec![1.0], indicator: false }
    }

    /// The name of an encoder that ONNX's operators cannot express here; `None` when [`Encoder::graph`] is there.
    fn not_in_onnx(&self) -> Option<&'static str> {
        None
    }

    /// Encodes a scalar column in an ONNX graph; gives the name of the result.
    fn graph(&self, graph: &mut Graph, cell: &Cell<'_>) -> String;

    /// Encodes a packed column in an ONNX graph, in the shape of the column.
    fn graph_packed(&self, _: &mut Graph, cell: &Cell<'_>) -> String {
        cell.input.to_owned()
    }
}
