//! What is drawn.

/// A graph of stages.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// The heading.
    pub title: String,
    /// The nodes; every edge goes from a node to a later one.
    pub nodes: Vec<Node>,
    /// The edges, in the order of their targets.
    pub edges: Vec<Edge>,
}

/// A stage to draw.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// The colour of its kind.
    pub colour: Colour,
    /// What a run would do with it.
    pub state: State,
    /// A line below: how long it took, a metric.
    pub note: String,
}

/// The colour of a kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Colour {
    /// The hue in degrees, as in CSS: 0 is red, 120 green, 240 blue.
    pub hue: u32,
    /// The saturation in percent.
    pub saturation: u32,
}

/// What a run would do with a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its result is up to date.
    Hit,
    /// It would run.
    Miss,
    /// It depends on what runs above it.
    Unknown,
}

impl State {
    /// Every state, in the order of the legend.
    pub(super) const ALL: [Self; 3] = [Self::Hit, Self::Miss, Self::Unknown];

    /// The class in the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Unknown => "unknown",
        }
    }

    /// In words, for one stage.
    pub(super) fn meaning(self) -> &'static str {
        match self {
            Self::Hit => "up to date",
            Self::Miss => "would run",
            Self::Unknown => "depends on what runs above it",
        }
    }
}

/// An edge from one node to a later one. Two nodes have one edge for each output that flows between them.
#[derive(Debug, Clone)]
pub struct Edge {
    /// Index of the source.
    pub from: usize,
    /// Index of the target.
    pub to: usize,
    /// The output, where the source has more than one.
    pub label: String,
    /// Whether content flows, or only order is kept.
    pub data: bool,
}
