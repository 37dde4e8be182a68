//! A graph of stages: as a picture, or in the language of another program.

mod data;
mod dot;
mod layout;
mod mermaid;
mod svg;

pub use self::data::{Colour, Edge, Graph, Node, State};
pub use self::dot::dot;
pub use self::mermaid::mermaid;
pub use self::svg::svg;
