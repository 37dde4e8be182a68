//! A graph as an SVG: kinds by colour, states by style, light and dark.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use maud::{Markup, PreEscaped, html};

use super::data::{Colour, Graph, Node, State};
use super::layout::{Layout, Place, Spacing, layout};
use crate::sheet;
use crate::text::{printable, shorten};

const MARGIN: f64 = 28.0;
const HEAD: f64 = 52.0;
const FOOT: f64 = 44.0;
/// The average width of a character of the two text sizes: sans-serif, as browsers have it.
const WIDE: f64 = 7.4;
const NARROW: f64 = 6.0;
/// Characters of a text that are shown.
const SHOWN: usize = 34;

/// The lines between two nodes: edges with the same ends are one line.
struct Line {
    ends: (usize, usize),
    label: String,
    data: bool,
}

/// The whole picture.
pub fn svg(graph: &Graph) -> String {
    let nodes = &graph.nodes;
    let lines = lines(graph);
    let spacing = spacing(nodes, &lines);
    let ends: Vec<(usize, usize)> = lines.iter().map(|line| line.ends).collect();
    let laid = layout(nodes.len(), &ends, &spacing);
    let (width, height) = ((laid.width + 2.0 * MARGIN).max(420.0), laid.height + HEAD + FOOT + MARGIN);
    let kinds = kinds(nodes);
    let title = printable(&graph.title);
    let class = |node: &Node| kinds.get(node.kind.as_str()).map_or("", |(class, _)| class);
    let picture = html! {
        svg.graph xmlns="http://www.w3.org/2000/svg" width={(format_args!("{width:.0}"))} height={(format_args!("{height:.0}"))}
            viewBox={(format_args!("0 0 {width:.0} {height:.0}"))} role="img" {
            title { (title) }
            style { (PreEscaped(sheet::graph())) (PreEscaped(colours(&kinds))) }
            rect.back width="100%" height="100%" {}
            text.title x=(MARGIN) y="34" { (title) }
            g transform={"translate(" (MARGIN) " " (HEAD) ")"} {
                (drawn_lines(&lines, &laid))
                @for (node, place) in nodes.iter().zip(&laid.nodes) { (drawn_node(node, *place, &spacing, class(node))) }
            }
            (legend(nodes, height))
        }
    };
    picture.into_string() + "\n"
}

fn lines(graph: &Graph) -> Vec<Line> {
    let mut lines: BTreeMap<(usize, usize), (Vec<&str>, bool)> = BTreeMap::new();
    for edge in &graph.edges {
        let line = lines.entry((edge.to, edge.from)).or_default();
        line.0.extend(Some(edge.label.as_str()).filter(|label| !label.is_empty()));
        line.1 |= edge.data;
    }
    let line = |((to, from), (labels, data)): (_, (Vec<&str>, bool))| Line {
        ends: (from, to),
        label: printable(&shorten(&labels.join(", "), SHOWN)),
        data,
    };
    lines.into_iter().map(line).collect()
}

fn spacing(nodes: &[Node], lines: &[Line]) -> Spacing {
    let longest = |text: fn(&Node) -> &str, each: f64, over: f64| {
        nodes.iter().map(|node| text(node).chars().count().min(SHOWN) as f64 * each + over).fold(0.0, f64::max)
    };
    let (names, kinds) = (longest(|node| &node.name, WIDE, 44.0), longest(|node| &node.kind, NARROW, 30.0));
    let width = names.max(kinds).max(longest(|node| &node.note, NARROW, 30.0));
    let noted = nodes.iter().any(|node| !node.note.is_empty());
    let labels = lines.iter().map(|line| line.label.chars().count()).max().unwrap_or(0) as f64;
    let crowded = nodes.len() > 60;
    Spacing {
        node_width: width.clamp(104.0, 280.0).round(),
        node_height: if noted { 58.0 } else { 44.0 },
        rank_gap: (labels * 5.6 + 30.0).clamp(64.0, 150.0).round() + if crowded { 60.0 } else { 0.0 },
        node_gap: if crowded { 14.0 } else { 22.0 },
        lane: if crowded { 4.0 } else { 12.0 },
    }
}

/// A class for every kind.
fn kinds(nodes: &[Node]) -> BTreeMap<&str, (String, Colour)> {
    let mut kinds: BTreeMap<&str, (String, Colour)> =
        nodes.iter().map(|node| (node.kind.as_str(), (String::new(), node.colour))).collect();
    for (number, (class, _)) in kinds.values_mut().enumerate() {
        *class = format!("k{number}");
    }
    kinds
}

/// The rules that give every kind its colour.
fn colours(kinds: &BTreeMap<&str, (String, Colour)>) -> String {
    let mut rules = String::new();
    for (class, Colour { hue, saturation: full }) in kinds.values() {
        let _ =
            writeln!(rules, ".graph .{class} .box {{ fill: hsl({hue} {full}% 98%); stroke: hsl({hue} {full}% 45%) }}");
        let _ = writeln!(rules, ".graph .{class} .band {{ fill: hsl({hue} {full}% 52%) }}");
        let _ = writeln!(
            rules,
            "@media (prefers-color-scheme: dark) {{ .graph .{class} .box {{ fill: hsl({hue} 18% 14%); stroke: hsl({hue} {full}% 60%) }} }}"
        );
    }
    rules
}

fn drawn_lines(lines: &[Line], laid: &Layout) -> Markup {
    html! {
        @for (line, points) in lines.iter().zip(&laid.edges) {
            @if let (Some(first), Some(last)) = (points.first(), points.last()) {
                path.edge.order[!line.data] d=(curve(*first, points)) {}
                path.tip d={(format_args!("M{:.1} {:.1}l-8 -4v8z", last.x, last.y))} {}
            }
        }
        // Over all lines. Where a source gives several outputs, the names stand at its side of the line.
        @for (line, points) in lines.iter().zip(&laid.edges).filter(|(line, _)| !line.label.is_empty()) {
            @if let [a, b, ..] = points[..] {
                text.label text-anchor="middle" x={(format_args!("{:.1}", a.x + (b.x - a.x) * 0.52))}
                    y={(format_args!("{:.1}", a.y + (b.y - a.y) * 0.56 - 4.0))} { (line.label) }
            }
        }
    }
}

/// A line through points: straight along a rank, in a curve from one rank to the next.
fn curve(first: Place, points: &[Place]) -> String {
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
    path
}

fn drawn_node(node: &Node, place: Place, spacing: &Spacing, class: &str) -> Markup {
    let (width, height) = (spacing.node_width, spacing.node_height);
    let (x, y) = (place.x - width / 2.0, place.y - height / 2.0);
    let shown = |text: &str| printable(&shorten(text, SHOWN));
    html! {
        g class={(class) " " (node.state.class())} transform={(format_args!("translate({x:.1} {y:.1})"))} {
            title { (printable(&node.name)) " (" (printable(&node.kind)) "): " (node.state.meaning()) }
            rect.box width=(width) height=(height) rx="7" {}
            rect.band x="0" y="9" width="4" height=(height - 18.0) rx="2" {}
            (mark(node.state, width - 17.0, 18.0))
            text.name x="14" y="20" { (shown(&node.name)) }
            text.kind x="14" y="35" { (shown(&node.kind)) }
            @if !node.note.is_empty() { text.note x="14" y="50" { (shown(&node.note)) } }
        }
    }
}

/// A tick, a triangle or a ring around (x, y).
fn mark(state: State, x: f64, y: f64) -> Markup {
    match state {
        State::Hit => html! { path.mark d={(format_args!("M{} {}l3.4 3.6l6 -7.6", x - 4.6, y - 0.4))} {} },
        State::Miss => html! { path.mark.full d={(format_args!("M{} {}v9l7 -4.5z", x - 3.0, y - 4.5))} {} },
        State::Unknown => html! { circle.mark cx=(x) cy=(y) r="4" {} },
    }
}

fn legend(nodes: &[Node], height: f64) -> Markup {
    let y = height - 20.0;
    let mut x = MARGIN + 6.0;
    let mut entries = Vec::new();
    for state in State::ALL {
        let count = nodes.iter().filter(|node| node.state == state).count();
        if count == 0 {
            continue;
        }
        let words = match state {
            State::Unknown if count > 1 => format!("{count} depend on what runs above them"),
            _ => format!("{count} {}", state.meaning()),
        };
        let next = x + words.chars().count() as f64 * 6.7 + 40.0;
        entries.push((state, x, words));
        x = next;
    }
    html! {
        @for (state, x, words) in entries {
            g class=(state.class()) { (mark(state, x, y - 4.0)) }
            text.text x=(x + 13.0) y=(y) { (words) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Edge;

    #[test]
    fn names_cannot_break_the_picture() {
        let node = |name: &str, state| Node {
            name: name.into(),
            kind: "a<b".into(),
            colour: Colour::default(),
            state,
            note: String::new(),
        };
        let nodes = vec![node("x & <y> \"z\"\u{1}", State::Hit), node("ü", State::Miss)];
        let edges = vec![Edge { from: 0, to: 1, label: "<out>".into(), data: true }];
        let text = svg(&Graph { title: "t & t".into(), nodes, edges });
        assert!(text.contains("x &amp; &lt;y&gt; &quot;z&quot;\u{fffd}") && text.contains("t &amp; t"));
        assert!(text.contains("&lt;out&gt;") && !text.contains("<out>") && !text.contains("a<b"));
        assert!(text.contains("1 up to date") && text.contains("1 would run") && !text.contains("depends on"));
        assert!(svg(&Graph::default()).ends_with("</svg>\n"));
    }

    #[test]
    fn several_outputs_between_two_stages_are_one_line() {
        let node = |name: &str| Node {
            name: name.into(),
            kind: "split".into(),
            colour: Colour::default(),
            state: State::Hit,
            note: String::new(),
        };
        let edge = |label: &str| Edge { from: 0, to: 1, label: label.into(), data: true };
        let text = svg(&Graph {
            title: "t".into(),
            nodes: vec![node("parts"), node("model")],
            edges: vec![edge("train"), edge("validation")],
        });
        assert_eq!(text.matches("class=\"edge\"").count(), 1);
        assert!(text.contains("train, validation"));
    }
}
