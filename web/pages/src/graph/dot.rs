//! A graph for Graphviz.

use std::fmt::Write as _;

use super::data::{Graph, State};

/// The graph in the DOT language.
pub fn dot(graph: &Graph) -> String {
    let mut text = format!("digraph {} {{\n  rankdir=LR;\n", quoted(&graph.title));
    text.push_str("  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\"];\n");
    for (at, node) in graph.nodes.iter().enumerate() {
        let fill = if node.state == State::Hit { "#d7f5dd" } else { "#fff3d6" };
        let label = quoted(&format!("{}\n{}", node.name, node.kind)).replace('\n', "\\n");
        let _ = writeln!(text, "  s{at} [label={label}, fillcolor={}];", quoted(fill));
    }
    for edge in &graph.edges {
        let label = if edge.label.is_empty() { String::new() } else { format!(" [label={}]", quoted(&edge.label)) };
        let _ = writeln!(text, "  s{} -> s{}{label};", edge.from, edge.to);
    }
    text.push_str("}\n");
    text
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
