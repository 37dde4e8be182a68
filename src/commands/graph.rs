//! `pipeline graph`: the stages and what flows between them, as text, Mermaid, Graphviz or SVG.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use engine::plan::{Plan, PlannedStage, StageId};
use engine::preview::{StagePreview, State};

use crate::cli::{Graph, GraphFormat};
use crate::project::{Failure, Project};
use crate::report::drawing::{self, Edge, Node};
use crate::report::quantity::{bytes, duration};
use crate::report::terminal;

/// Draws.
///
/// # Errors
/// An invalid pipeline.
pub fn execute(args: &Graph) -> Result<u8, Failure> {
    let project = Project::find(&args.file)?;
    let proved = project.proved(&args.file.set)?;
    let previews = engine::preview::preview(&proved.plan, &proved.store, &proved.environment, &proved.root);
    let states: Vec<State> = previews.iter().map(|preview| preview.state.clone()).collect();
    let drawn = match args.format {
        GraphFormat::Svg => svg(&proved.plan, &previews),
        GraphFormat::Text => text(&proved.plan, &states),
        GraphFormat::Mermaid => mermaid(&proved.plan, &states),
        GraphFormat::Dot => dot(&proved.plan, &states),
    };
    match &args.output {
        None => terminal::out(&drawn),
        Some(path) => std::fs::write(path, &drawn).map_err(|error| {
            let message = format!("`{}` cannot be written: {}", path.display(), error.kind());
            Failure::user("cli::cannot_write", message, "name a file in a folder you may write to")
        })?,
    }
    Ok(0)
}

/// Edges with what they carry; order without data has no label.
fn edges(plan: &Plan, stage: &PlannedStage) -> Vec<(usize, String)> {
    let mut edges: Vec<(usize, String)> = stage
        .inputs
        .iter()
        .map(|input| {
            let from = &plan.stages[input.from.0 as usize];
            // With one output there is nothing to tell apart; of several the main one has a name, too.
            let label = if from.outputs.len() == 1 { String::new() } else { from.outputs[input.output].name.clone() };
            (input.from.0 as usize, label)
        })
        .collect();
    edges.extend(
        stage
            .after
            .iter()
            .map(|id| id.0 as usize)
            .filter(|from| !stage.inputs.iter().any(|input| input.from.0 as usize == *from))
            .map(|from| (from, String::new())),
    );
    edges.sort();
    edges.dedup();
    edges
}

fn svg(plan: &Plan, previews: &[StagePreview]) -> String {
    let nodes: Vec<Node> = plan
        .stages
        .iter()
        .zip(previews)
        .map(|(stage, preview)| {
            let state = match preview.state {
                State::Hit => "hit",
                State::Miss { .. } => "miss",
                State::Unknown { .. } => "unknown",
            };
            let took = preview.took.map(duration);
            let size = preview.bytes.filter(|bytes| *bytes > 0).map(bytes);
            let note = [took, size].into_iter().flatten().collect::<Vec<_>>().join(" · ");
            Node { name: stage.name.clone(), kind: stage.kind.clone(), state, note }
        })
        .collect();
    let mut drawn = Vec::new();
    for stage in &plan.stages {
        let flows = |from: usize| {
            let id = StageId(from as u32);
            stage.inputs.iter().any(|input| input.from == id) || stage.written.iter().any(|written| written.from == id)
        };
        let to = stage.id.0 as usize;
        // Several outputs of one stage into another are one line.
        let mut lines: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for (from, label) in edges(plan, stage) {
            lines.entry(from).or_default().push(label);
        }
        drawn.extend(lines.into_iter().map(|(from, mut labels)| {
            labels.retain(|label| !label.is_empty());
            Edge { from, to, label: labels.join(", "), data: flows(from) }
        }));
    }
    drawing::svg(&plan.spec.name, &nodes, &drawn)
}

fn text(plan: &Plan, states: &[State]) -> String {
    let width = plan.stages.iter().map(|stage| stage.name.chars().count()).max().unwrap_or(0);
    let kinds = plan.stages.iter().map(|stage| stage.kind.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (stage, state) in plan.stages.iter().zip(states) {
        let from: Vec<String> = edges(plan, stage)
            .into_iter()
            .map(|(from, label)| {
                let name = &plan.stages[from].name;
                if label.is_empty() { name.clone() } else { format!("{name}.{label}") }
            })
            .collect();
        let arrow = if from.is_empty() { String::new() } else { format!("← {}", from.join(", ")) };
        let name = console::pad_str(&stage.name, width, console::Alignment::Left, None);
        let mark = super::status::mark(state);
        let _ = writeln!(text, "{}", format!("{mark} {name}  {:kinds$}  {arrow}", stage.kind).trim_end());
    }
    text
}

fn mermaid(plan: &Plan, states: &[State]) -> String {
    let mut text = String::from("flowchart LR\n");
    for (stage, state) in plan.stages.iter().zip(states) {
        let class = if matches!(state, State::Hit) { "done" } else { "due" };
        let name = stage.name.replace('"', "#quot;");
        let _ = writeln!(text, "  s{}[\"{name}<br/><small>{}</small>\"]:::{class}", stage.id.0, stage.kind);
    }
    for stage in &plan.stages {
        for (from, label) in edges(plan, stage) {
            let label =
                if label.is_empty() { String::new() } else { format!("|\"{}\"|", label.replace('"', "#quot;")) };
            let _ = writeln!(text, "  s{from} -->{label} s{}", stage.id.0);
        }
    }
    text.push_str("  classDef done fill:#d7f5dd,stroke:#2b8a3e,color:#111\n");
    text.push_str("  classDef due fill:#fff3d6,stroke:#c77700,color:#111\n");
    text
}

fn dot(plan: &Plan, states: &[State]) -> String {
    let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut text = format!("digraph {} {{\n  rankdir=LR;\n", quote(&plan.spec.name));
    text.push_str("  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\"];\n");
    for (stage, state) in plan.stages.iter().zip(states) {
        let fill = if matches!(state, State::Hit) { "#d7f5dd" } else { "#fff3d6" };
        let label = quote(&format!("{}\n{}", stage.name, stage.kind)).replace('\n', "\\n");
        let _ = writeln!(text, "  s{} [label={label}, fillcolor={}];", stage.id.0, quote(fill));
    }
    for stage in &plan.stages {
        for (from, label) in edges(plan, stage) {
            let label = if label.is_empty() { String::new() } else { format!(" [label={}]", quote(&label)) };
            let _ = writeln!(text, "  s{from} -> s{}{label};", stage.id.0);
        }
    }
    text.push_str("}\n");
    text
}
