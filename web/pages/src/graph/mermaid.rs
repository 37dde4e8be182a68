//! A graph as a Mermaid flowchart.

use std::fmt::Write as _;

use super::data::{Graph, State};

/// The flowchart.
pub fn mermaid(graph: &Graph) -> String {
    let mut text = String::from("flowchart LR\n");
    for (at, node) in graph.nodes.iter().enumerate() {
        let class = if node.state == State::Hit { "done" } else { "due" };
        let _ = writeln!(text, "  s{at}[\"{}<br/><small>{}</small>\"]:::{class}", quoted(&node.name), node.kind);
    }
    for edge in &graph.edges {
        let label = if edge.label.is_empty() { String::new() } else { format!("|\"{}\"|", quoted(&edge.label)) };
        let _ = writeln!(text, "  s{} -->{label} s{}", edge.from, edge.to);
    }
    text.push_str("  classDef done fill:#d7f5dd,stroke:#2b8a3e,color:#111\n");
    text.push_str("  classDef due fill:#fff3d6,stroke:#c77700,color:#111\n");
    text
}

/// Mermaid has its own name for a quote inside a quoted text.
fn quoted(text: &str) -> String {
    text.replace('"', "#quot;")
}
