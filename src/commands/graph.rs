//! `pipeline graph`: the stages and what flows between them, as text, Mermaid, Graphviz or SVG.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use contract::kind::Look;
use engine::plan::{Plan, PlannedStage, StageId};
use engine::preview::{StagePreview, State};

use super::family::{Family, families};
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
    let shown = shown(&proved.plan, &previews, args.all);
    let drawn = match args.format {
        GraphFormat::Svg => svg(&proved.plan, shown),
        GraphFormat::Text => text(&shown),
        GraphFormat::Mermaid => mermaid(&shown),
        GraphFormat::Dot => dot(&proved.plan, &shown),
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

/// A stage, or many children of one, as they are drawn.
struct Shown {
    name: String,
    kind: String,
    mark: String,
    /// `hit`, `miss` or `unknown`; of many, what is furthest from done.
    state: &'static str,
    note: String,
    /// From which of the shown, under which label, and whether data flows; sorted, each once.
    edges: Vec<(usize, String, bool)>,
}

fn shown(plan: &Plan, previews: &[StagePreview], all: bool) -> Vec<Shown> {
    let families: Vec<Family<'_>> = if all {
        let name = |preview: &StagePreview| plan.stage(preview.id).name.clone();
        previews.iter().map(|preview| Family { name: name(preview), members: vec![preview] }).collect()
    } else {
        families(plan, previews)
    };
    let mut place = vec![0; plan.stages.len()];
    for (at, family) in families.iter().enumerate() {
        family.members.iter().for_each(|preview| place[preview.id.0 as usize] = at);
    }
    let drawn = |(at, family): (usize, &Family<'_>)| {
        let mut edges = BTreeMap::new();
        for stage in family.members.iter().map(|preview| plan.stage(preview.id)) {
            let flows = |from: usize| {
                let id = StageId(from as u32);
                stage.inputs.iter().any(|input| input.from == id)
                    || stage.written.iter().any(|written| written.from == id)
            };
            for (from, label) in self::edges(plan, stage) {
                // Siblings that wait for each other are one.
                if place[from] != at {
                    *edges.entry((place[from], label)).or_insert(false) |= flows(from);
                }
            }
        }
        let worst = family.worst();
        let took = family.members.iter().filter_map(|preview| preview.took).reduce(|sum, took| sum + took);
        let size = family.members.iter().filter_map(|preview| preview.bytes).reduce(|sum, size| sum + size);
        let count = (family.members.len() > 1).then(|| format!("{} stages", family.members.len()));
        let notes = [count, took.map(duration), size.filter(|size| *size > 0).map(bytes)];
        Shown {
            name: family.name.clone(),
            kind: plan.stage(family.members[0].id).kind.clone(),
            mark: super::status::mark(worst),
            state: match worst {
                State::Hit => "hit",
                State::Miss { .. } => "miss",
                State::Unknown { .. } => "unknown",
            },
            note: notes.into_iter().flatten().collect::<Vec<_>>().join(" · "),
            edges: edges.into_iter().map(|((from, label), data)| (from, label, data)).collect(),
        }
    };
    let drawn = families.iter().enumerate().map(drawn).collect();
    match ordered(drawn) {
        Some(ordered) => ordered,
        // A stage between two children of one family: as one the family would stand above and below it.
        None => shown(plan, previews, true),
    }
}

/// Puts every node behind those it reads from; `None` when they go in a circle.
fn ordered(mut shown: Vec<Shown>) -> Option<Vec<Shown>> {
    let mut below = vec![Vec::new(); shown.len()];
    let mut missing = vec![0_usize; shown.len()];
    for (to, stage) in shown.iter().enumerate() {
        for (from, _, _) in &stage.edges {
            below[*from].push(to);
            missing[to] += 1;
        }
    }
    let mut ready: BTreeSet<usize> = (0..shown.len()).filter(|at| missing[*at] == 0).collect();
    let mut order = Vec::with_capacity(shown.len());
    let mut place = vec![0; shown.len()];
    while let Some(at) = ready.pop_first() {
        place[at] = order.len();
        order.push(at);
        for to in &below[at] {
            missing[*to] -= 1;
            if missing[*to] == 0 {
                ready.insert(*to);
            }
        }
    }
    if order.len() < shown.len() {
        return None;
    }
    for stage in &mut shown {
        stage.edges.iter_mut().for_each(|(from, _, _)| *from = place[*from]);
        stage.edges.sort_unstable();
    }
    let mut shown: Vec<(usize, Shown)> = place.into_iter().zip(shown).collect();
    shown.sort_unstable_by_key(|(at, _)| *at);
    Some(shown.into_iter().map(|(_, stage)| stage).collect())
}

fn svg(plan: &Plan, shown: Vec<Shown>) -> String {
    let mut drawn = Vec::new();
    for (to, stage) in shown.iter().enumerate() {
        // Several outputs of one stage into another are one line.
        let mut lines: BTreeMap<usize, (Vec<&str>, bool)> = BTreeMap::new();
        for (from, label, data) in &stage.edges {
            let line = lines.entry(*from).or_default();
            line.0.extend(Some(label.as_str()).filter(|label| !label.is_empty()));
            line.1 |= data;
        }
        drawn.extend(lines.into_iter().map(|(from, (labels, data))| Edge { from, to, label: labels.join(", "), data }));
    }
    let kinds = catalog::kinds();
    let node = |stage: Shown| {
        let look = kinds.get(&stage.kind).map_or_else(|| Look::of_name(&stage.kind), |kind| kind.look());
        Node { name: stage.name, kind: stage.kind, look, state: stage.state, note: stage.note }
    };
    drawing::svg(&plan.spec.name, &shown.into_iter().map(node).collect::<Vec<_>>(), &drawn)
}

fn text(shown: &[Shown]) -> String {
    let width = shown.iter().map(|stage| stage.name.chars().count()).max().unwrap_or(0);
    let kinds = shown.iter().map(|stage| stage.kind.len()).max().unwrap_or(0);
    let mut text = String::new();
    for stage in shown {
        let from = stage.edges.iter().map(|(from, label, _)| {
            let name = &shown[*from].name;
            if label.is_empty() { name.clone() } else { format!("{name}.{label}") }
        });
        let from = from.collect::<Vec<_>>().join(", ");
        let arrow = if from.is_empty() { String::new() } else { format!("← {from}") };
        let name = console::pad_str(&stage.name, width, console::Alignment::Left, None);
        let line = format!("{} {name}  {:kinds$}  {arrow}", stage.mark, stage.kind);
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn mermaid(shown: &[Shown]) -> String {
    let mut text = String::from("flowchart LR\n");
    for (at, stage) in shown.iter().enumerate() {
        let class = if stage.state == "hit" { "done" } else { "due" };
        let name = stage.name.replace('"', "#quot;");
        let _ = writeln!(text, "  s{at}[\"{name}<br/><small>{}</small>\"]:::{class}", stage.kind);
    }
    for (at, stage) in shown.iter().enumerate() {
        for (from, label, _) in &stage.edges {
            let label =
                if label.is_empty() { String::new() } else { format!("|\"{}\"|", label.replace('"', "#quot;")) };
            let _ = writeln!(text, "  s{from} -->{label} s{at}");
        }
    }
    text.push_str("  classDef done fill:#d7f5dd,stroke:#2b8a3e,color:#111\n");
    text.push_str("  classDef due fill:#fff3d6,stroke:#c77700,color:#111\n");
    text
}

fn dot(plan: &Plan, shown: &[Shown]) -> String {
    let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut text = format!("digraph {} {{\n  rankdir=LR;\n", quote(&plan.spec.name));
    text.push_str("  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\"];\n");
    for (at, stage) in shown.iter().enumerate() {
        let fill = if stage.state == "hit" { "#d7f5dd" } else { "#fff3d6" };
        let label = quote(&format!("{}\n{}", stage.name, stage.kind)).replace('\n', "\\n");
        let _ = writeln!(text, "  s{at} [label={label}, fillcolor={}];", quote(fill));
    }
    for (at, stage) in shown.iter().enumerate() {
        for (from, label, _) in &stage.edges {
            let label = if label.is_empty() { String::new() } else { format!(" [label={}]", quote(label)) };
            let _ = writeln!(text, "  s{from} -> s{at}{label};");
        }
    }
    text.push_str("}\n");
    text
}
