//! `pipeline graph`: the stages and what flows between them, as text, Mermaid or Graphviz.

use std::fmt::Write as _;

use engine::plan::{Plan, PlannedStage};
use engine::preview::State;

use crate::cli::{Graph, GraphFormat};
use crate::project::{Failure, Project};
use crate::report::terminal;

/// Draws.
///
/// # Errors
/// An invalid pipeline.
pub fn execute(args: &Graph) -> Result<u8, Failure> {
    let project = Project::find(&args.file)?;
    let proved = project.proved(&args.file.set)?;
    let states: Vec<State> = engine::preview::preview(&proved.plan, &proved.store, &proved.environment, &proved.root)
        .into_iter()
        .map(|preview| preview.state)
        .collect();
    terminal::out(&match args.format {
        GraphFormat::Text => text(&proved.plan, &states),
        GraphFormat::Mermaid => mermaid(&proved.plan, &states),
        GraphFormat::Dot => dot(&proved.plan, &states),
    });
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
