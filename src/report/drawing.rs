//! A graph of stages as an SVG: kinds by colour, states by style, light and dark.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use contract::kind::Look;

use super::layout::{Layout, Place, Spacing, layout};

/// A stage to draw.
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// The kind's colour.
    pub look: Look,
    /// What would become of it: `hit`, `miss` or `unknown`.
    pub state: &'static str,
    /// A line below: how long it took, a metric.
    pub note: String,
}

/// An edge from one node to a later one.
pub struct Edge {
    /// Index of the source.
    pub from: usize,
    /// Index of the target.
    pub to: usize,
    /// The output, where there is more than one.
    pub label: String,
    /// Whether content flows, or only order is kept.
    pub data: bool,
}

const MARGIN: f64 = 28.0;
const HEAD: f64 = 52.0;
const FOOT: f64 = 44.0;
/// The average width of a character of the two text sizes: sans-serif, as browsers have it.
const WIDE: f64 = 7.4;
const NARROW: f64 = 6.0;

const STYLE: &str = "
  :root { color-scheme: light dark }
  .back { fill: #ffffff } .title { fill: #14181f; font: 600 17px system-ui, -apple-system, 'Segoe UI', sans-serif }
  .text { font: 13px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #5b6472 }
  .name { font: 600 13px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #14181f }
  .kind, .note, .label { font: 11px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #5b6472 }
  .label { font-size: 10px; paint-order: stroke; stroke: #ffffff; stroke-width: 3px; stroke-linejoin: round }
  .box { fill: #ffffff; stroke-width: 1.4 }
  .edge { fill: none; stroke: #9aa4b2; stroke-width: 1.4 } .order { stroke-dasharray: 2 4 }
  .tip { fill: #9aa4b2 }
  .miss .box { stroke-width: 2.2 } .unknown .box { stroke-dasharray: 5 4 }
  .hit .box { stroke-opacity: 0.55 }
  .mark { fill: none; stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round }
  .hit .mark { stroke: #2b8a3e } .miss .mark { stroke: #d9780f } .miss .mark.full { fill: #d9780f } .unknown .mark { stroke: #8a93a1 }
  @media (prefers-color-scheme: dark) {
    .back { fill: #12151b } .title, .name { fill: #e8ecf2 } .text, .kind, .note, .label { fill: #98a2b1 }
    .label { stroke: #12151b } .box { fill: #1a1f28 } .edge { stroke: #566072 } .tip { fill: #566072 }
    .hit .mark { stroke: #51cf66 } .miss .mark { stroke: #ffa94d } .miss .mark.full { fill: #ffa94d }
  }
";

/// The whole picture.
pub fn svg(title: &str, nodes: &[Node], edges: &[Edge]) -> String {
    let longest = |text: fn(&Node) -> &str, each: f64, over: f64| {
        nodes.iter().map(|node| shown(text(node)).chars().count() as f64 * each + over).fold(0.0, f64::max)
    };
    let width = longest(|node| &node.name, WIDE, 44.0).max(longest(|node| &node.kind, NARROW, 30.0)).max(longest(
        |node| &node.note,
        NARROW,
        30.0,
    ));
    let noted = nodes.iter().any(|node| !node.note.is_empty());
    let labels = edges.iter().map(|edge| shown(&edge.label).chars().count()).max().unwrap_or(0) as f64;
    let crowded = nodes.len() > 60;
    let spacing = Spacing {
        node_width: width.clamp(104.0, 280.0).round(),
        node_height: if noted { 58.0 } else { 44.0 },
        rank_gap: (labels * 5.6 + 30.0).clamp(64.0, 150.0).round() + if crowded { 60.0 } else { 0.0 },
        node_gap: if crowded { 14.0 } else { 22.0 },
        lane: if crowded { 4.0 } else { 12.0 },
    };
    let pairs: Vec<(usize, usize)> = edges.iter().map(|edge| (edge.from, edge.to)).collect();
    let laid = layout(nodes.len(), &pairs, &spacing);
    let (full_width, full_height) = ((laid.width + 2.0 * MARGIN).max(420.0), laid.height + HEAD + FOOT + MARGIN);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{full_width:.0}\" height=\"{full_height:.0}\" \
         viewBox=\"0 0 {full_width:.0} {full_height:.0}\" role=\"img\">\n<title>{}</title>\n<style>{STYLE}",
        escape(title)
    );
    let kinds = kinds(nodes);
    for (class, Look { hue, saturation: full }) in kinds.values() {
        let _ = writeln!(
            text,
            "  .{class} .box {{ stroke: hsl({hue} {full}% 45%) }} .{class} .band {{ fill: hsl({hue} {full}% 52%) }}"
        );
        let _ = writeln!(text, "  .{class} .box {{ fill: hsl({hue} {full}% 98%) }}");
        let _ = writeln!(
            text,
            "  @media (prefers-color-scheme: dark) {{ .{class} .box {{ fill: hsl({hue} 18% 14%); stroke: hsl({hue} {full}% 60%) }} }}"
        );
    }
    let _ = writeln!(text, "</style>\n<rect class=\"back\" width=\"100%\" height=\"100%\"/>");
    let _ = writeln!(text, "<text class=\"title\" x=\"{MARGIN}\" y=\"34\">{}</text>", escape(title));
    let _ = writeln!(text, "<g transform=\"translate({MARGIN} {HEAD})\">");
    draw_edges(&mut text, edges, &laid);
    for (node, place) in nodes.iter().zip(&laid.nodes) {
        draw_node(&mut text, node, *place, &spacing, kinds.get(node.kind.as_str()).map_or("", |(class, _)| class));
    }
    text.push_str("</g>\n");
    legend(&mut text, nodes, full_height);
    text.push_str("</svg>\n");
    text
}

/// A class and the colour of every kind.
fn kinds(nodes: &[Node]) -> BTreeMap<&str, (String, Look)> {
    let mut kinds: BTreeMap<&str, (String, Look)> =
        nodes.iter().map(|node| (node.kind.as_str(), (String::new(), node.look))).collect();
    for (number, (class, _)) in kinds.values_mut().enumerate() {
        *class = format!("k{number}");
    }
    kinds
}

fn draw_edges(text: &mut String, edges: &[Edge], laid: &Layout) {
    for (edge, points) in edges.iter().zip(&laid.edges) {
        let (Some(first), Some(last)) = (points.first(), points.last()) else { continue };
        let mut path = format!("M{:.1} {:.1}", first.x, first.y);
        for pair in points.windows(2) {
            let (a, b) = (pair[0], pair[1]);
            if (a.y - b.y).abs() < 0.05 {
                let _ = write!(path, "L{:.1} {:.1}", b.x, b.y);
            } else {
                let middle = (a.x + b.x) / 2.0;
                let _ = write!(path, "C{middle:.1} {:.1} {middle:.1} {:.1} {:.1} {:.1}", a.y, b.y, b.x, b.y);
            }
        }
        let class = if edge.data { "edge" } else { "edge order" };
        let _ = writeln!(text, "<path class=\"{class}\" d=\"{path}\"/>");
        let (x, y) = (last.x, last.y);
        let _ = writeln!(text, "<path class=\"tip\" d=\"M{x:.1} {y:.1}l-8 -4v8z\"/>");
    }
    // Over all lines. Where a source gives several outputs, the names stand at its side of the line.
    for (edge, points) in edges.iter().zip(&laid.edges).filter(|(edge, _)| !edge.label.is_empty()) {
        let [a, b, ..] = points[..] else { continue };
        let (x, y) = (a.x + (b.x - a.x) * 0.52, a.y + (b.y - a.y) * 0.56 - 4.0);
        let label = escape(&shown(&edge.label));
        let _ = writeln!(text, "<text class=\"label\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{y:.1}\">{label}</text>");
    }
}

fn draw_node(text: &mut String, node: &Node, place: Place, spacing: &Spacing, class: &str) {
    let (width, height) = (spacing.node_width, spacing.node_height);
    let (x, y) = (place.x - width / 2.0, place.y - height / 2.0);
    let _ = writeln!(text, "<g class=\"{class} {}\" transform=\"translate({x:.1} {y:.1})\">", node.state);
    let _ = writeln!(text, "<title>{} ({}): {}</title>", escape(&node.name), escape(&node.kind), meaning(node.state));
    let _ = writeln!(text, "<rect class=\"box\" width=\"{width}\" height=\"{height}\" rx=\"7\"/>");
    let _ = writeln!(text, "<rect class=\"band\" x=\"0\" y=\"9\" width=\"4\" height=\"{}\" rx=\"2\"/>", height - 18.0);
    mark(text, node.state, width - 17.0, 18.0);
    let _ = writeln!(text, "<text class=\"name\" x=\"14\" y=\"20\">{}</text>", escape(&shown(&node.name)));
    let _ = writeln!(text, "<text class=\"kind\" x=\"14\" y=\"35\">{}</text>", escape(&shown(&node.kind)));
    if !node.note.is_empty() {
        let _ = writeln!(text, "<text class=\"note\" x=\"14\" y=\"50\">{}</text>", escape(&shown(&node.note)));
    }
    text.push_str("</g>\n");
}

/// A tick, a triangle or a ring around (x, y).
fn mark(text: &mut String, state: &str, x: f64, y: f64) {
    let _ = match state {
        "hit" => writeln!(text, "<path class=\"mark\" d=\"M{} {}l3.4 3.6l6 -7.6\"/>", x - 4.6, y - 0.4),
        "miss" => writeln!(text, "<path class=\"mark full\" d=\"M{} {}v9l7 -4.5z\"/>", x - 3.0, y - 4.5),
        _ => writeln!(text, "<circle class=\"mark\" cx=\"{x}\" cy=\"{y}\" r=\"4\"/>"),
    };
}

fn meaning(state: &str) -> &'static str {
    match state {
        "hit" => "up to date",
        "miss" => "would run",
        _ => "depends on what runs above it",
    }
}

fn legend(text: &mut String, nodes: &[Node], height: f64) {
    let y = height - 20.0;
    let mut x = MARGIN + 6.0;
    for state in ["hit", "miss", "unknown"] {
        let count = nodes.iter().filter(|node| node.state == state).count();
        if count == 0 {
            continue;
        }
        let _ = writeln!(text, "<g class=\"{state}\">");
        mark(text, state, x, y - 4.0);
        let words = if state == "unknown" && count > 1 {
            format!("{count} depend on what runs above them")
        } else {
            format!("{count} {}", meaning(state))
        };
        let _ = writeln!(text, "</g><text class=\"text\" x=\"{}\" y=\"{y}\">{words}</text>", x + 13.0);
        x += words.chars().count() as f64 * 6.7 + 40.0;
    }
}

/// At most 34 characters.
fn shown(text: &str) -> String {
    const MOST: usize = 34;
    if text.chars().count() <= MOST { text.to_owned() } else { text.chars().take(MOST - 1).chain(['…']).collect() }
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            // Not allowed in XML, whatever way it is written.
            c if c.is_control() => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_the_picture() {
        let look = Look::of_name("a<b");
        let node = |name: &str, state| Node { name: name.into(), kind: "a<b".into(), look, state, note: String::new() };
        let nodes = [node("x & <y> \"z\"\u{1}", "hit"), node("ü", "miss")];
        let edges = [Edge { from: 0, to: 1, label: "<out>".into(), data: true }];
        let text = svg("t & t", &nodes, &edges);
        assert!(text.contains("x &amp; &lt;y&gt; &quot;z&quot;\u{fffd}") && text.contains("t &amp; t"));
        assert!(text.contains("&lt;out&gt;") && !text.contains("<out>") && !text.contains("a<b"));
        assert!(text.contains("1 up to date") && text.contains("1 would run") && !text.contains("depends on"));
        assert!(svg("empty", &[], &[]).ends_with("</svg>\n"));
    }
}
