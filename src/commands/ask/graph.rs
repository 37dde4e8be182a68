//! `pipeline graph`: the stages and what flows between them, as text, Mermaid, Graphviz or SVG.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use contract::kind::Look;
use engine::plan::{Plan, PlannedStage, StageId};
use engine::run::preview::{self, StagePreview};
use pages::graph::{Colour, Edge, Graph, Node, State, dot, mermaid, svg};

use super::family::{Family, families};
use crate::session::{Failure, FileArgs, Project};
use crate::terminal;
use crate::terminal::quantity::{bytes, duration};

/// Draw the graph of stages.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub file: FileArgs,
    /// How to draw.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Where to put it. Default: stdout.
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// Every child of a `matrix` by itself. Default: more than twelve are one.
    #[arg(long)]
    pub all: bool,
}

/// How `graph` draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For the terminal.
    Text,
    /// A Mermaid flowchart.
    Mermaid,
    /// Graphviz.
    Dot,
    /// A picture for pages and browsers, light or dark as they are.
    Svg,
}

/// Draws.
///
/// # Errors
/// An invalid pipeline.
pub fn execute(args: &Args) -> Result<u8, Failure> {
    let project = Project::find(&args.file)?;
    let proved = project.proved(&args.file.set)?;
    let previews = engine::run::preview::preview(&proved.plan, &proved.store, &proved.environment, &proved.root);
    let shown = shown(&proved.plan, &previews, args.all);
    let title = proved.plan.spec.name.as_str();
    let drawn = match args.format {
        Format::Text => text(&shown),
        Format::Mermaid => mermaid(&graph(title, shown)),
        Format::Dot => dot(&graph(title, shown)),
        Format::Svg => svg(&graph(title, shown)),
    };
    match &args.output {
        None => terminal::out(&drawn),
        Some(path) => std::fs::write(path, &drawn).map_err(|error| {
            let message = format!("`{}` cannot be written: {}", path.display(), error.kind());
            Failure::user(contract::code!("cli::cannot_write"), message, "name a file in a folder you may write to")
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
    /// Of many, what is furthest from done.
    state: State,
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
            mark: super::preview::mark(worst),
            state: match worst {
                preview::State::Hit => State::Hit,
                preview::State::Miss { .. } => State::Miss,
                preview::State::Unknown { .. } => State::Unknown,
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

/// The same for a picture.
fn graph(title: &str, shown: Vec<Shown>) -> Graph {
    let kinds = catalog::kinds();
    let mut graph = Graph { title: title.to_owned(), ..Graph::default() };
    for (to, stage) in shown.into_iter().enumerate() {
        let edge = |(from, label, data)| Edge { from, to, label, data };
        graph.edges.extend(stage.edges.into_iter().map(edge));
        let look = kinds.get(&stage.kind).map_or_else(|| Look::of_name(&stage.kind), |kind| kind.look());
        let colour = Colour { hue: look.hue, saturation: look.saturation };
        graph.nodes.push(Node { name: stage.name, kind: stage.kind, colour, state: stage.state, note: stage.note });
    }
    graph
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
