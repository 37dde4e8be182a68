//! Words for values, and for what is wanted of them.

use contract::fault::{Route, Segment};

use crate::decode::decoder::Decoder;
use crate::report::phrases::shorten;
use crate::yaml::node::{Kind, Node};

impl Decoder<'_> {
    /// The key of the present value, without positions in lists.
    pub(crate) fn list_name(&self) -> String {
        let key = self.route.iter().rev().find(|segment| matches!(segment, Segment::Key(_)));
        Route(key.cloned().into_iter().collect()).to_string()
    }

    /// What messages call the present value: its key, with the positions in lists behind it.
    pub fn name(&self) -> String {
        let from = self.route.iter().rposition(|segment| matches!(segment, Segment::Key(_))).unwrap_or(0);
        Route(self.route[from..].to_vec()).to_string()
    }

    /// A value in a message.
    pub(crate) fn found(&self, node: &Node) -> String {
        match &node.kind {
            Kind::Null | Kind::Unknown => "nothing".to_owned(),
            Kind::Bool(value) => format!("`{value}`"),
            Kind::Int(_) | Kind::Float(_) => format!("the number {}", self.written(node)),
            Kind::Text(text) | Kind::Untyped(text) if text.is_empty() => "an empty text".to_owned(),
            Kind::Text(text) | Kind::Untyped(text) => format!("the text `{}`", shorten(text)),
            Kind::Sequence(_) => "a list".to_owned(),
            Kind::Mapping(_) => "a mapping".to_owned(),
        }
    }

    /// A value as it is written, in backticks.
    pub(crate) fn written(&self, node: &Node) -> String {
        let text = match &node.kind {
            Kind::Text(text) | Kind::Untyped(text) => shorten(text),
            Kind::Int(value) => value.to_string(),
            _ => {
                let written = self.sources[node.span.source.0 as usize].slice(node.span);
                match &node.kind {
                    Kind::Float(value) if written.starts_with("${") => value.to_string(),
                    Kind::Bool(value) => value.to_string(),
                    _ => shorten(written),
                }
            }
        };
        format!("`{text}`")
    }
}
