//! The stages an import makes: what of them a pipeline cannot have is taken out and told, the rest becomes text.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use contract::fault::Place;
use engine::plan::paths::{self, Clash, Writer, Writers};

use schemas::yaml::node::Kind;
use schemas::yaml::syntax;

/// One stage of the pipeline.
#[derive(Debug, Default)]
pub(super) struct Stage {
    /// What stands above it.
    pub comment: Option<String>,
    pub name: String,
    pub description: Option<String>,
    pub run: String,
    /// Paths as the pipeline's folder sees them.
    pub deps: Vec<(String, Place)>,
    pub outs: Vec<Out>,
    pub env: BTreeSet<String>,
    /// Stages whose outputs it reads where no path says so.
    pub needs: BTreeSet<String>,
    pub always: bool,
}

/// One output.
#[derive(Debug)]
pub(super) struct Out {
    pub path: String,
    /// `metrics`, `plot`, or nothing.
    pub kind: &'static str,
    pub place: Place,
}

/// What is written, in order.
#[derive(Debug)]
pub(super) enum Item {
    Stage(Box<Stage>),
    Comment(String),
}

/// What cannot be carried over, with its place.
pub(super) type Notes = Vec<(Place, String)>;

/// Takes out of the stages what would be a fault, and says so. `root` is the pipeline's folder, absolute.
pub(super) fn settle(items: &mut [Item], root: &Path, notes: &mut Notes) {
    let mut stages: Vec<&mut Stage> = items
        .iter_mut()
        .filter_map(|item| match item {
            Item::Stage(stage) => Some(&mut **stage),
            Item::Comment(_) => None,
        })
        .collect();
    let names: Vec<String> = stages.iter().map(|stage| stage.name.clone()).collect();
    let documents = ["pipeline.yaml", "pipeline.lock"].map(str::to_owned);
    let mut writers = Writers::default();
    // What is written, but is no output.
    let mut loose = Writers::default();
    for (at, stage) in stages.iter_mut().enumerate() {
        let mut always = false;
        let mut number = 0;
        stage.outs.retain(|out| {
            let path = &out.path;
            let place = paths::output(path).and_then(|normal| {
                paths::reserved(&normal, path, &documents)?;
                Ok(normal)
            });
            let text = match place {
                Err(fault) => {
                    // Of two that meet, the first is the one that others wait for.
                    let _ = loose.add(path, Writer { stage: at as u32, output: 0 });
                    always = true;
                    format!("{}: it is written, but not kept, and the stage runs every time", fault.message)
                }
                Ok(normal) => match writers.add(&normal, Writer { stage: at as u32, output: number }) {
                    Ok(()) => {
                        number += 1;
                        return true;
                    }
                    Err(clash) => {
                        let (Clash::Same(writer) | Clash::Inside(_, writer) | Clash::Around(_, writer)) = clash;
                        let other = &names[writer.stage as usize];
                        format!("`{path}` is an output of `{other}`, too, or lies in one: the second is left out")
                    }
                },
            };
            notes.push((out.place.clone(), text));
            false
        });
        stage.always |= always;
    }
    for (at, stage) in stages.iter_mut().enumerate() {
        let deps = std::mem::take(&mut stage.deps);
        let mut seen = BTreeSet::new();
        for (path, place) in deps {
            if !seen.insert(path.clone()) {
                continue;
            }
            let pattern = path.contains(['*', '?']);
            let found = writers.of(&path);
            let from = loose.of(&path);
            let mut needed: Vec<(Writer, bool)> = Vec::new();
            let text = if path.contains("://") {
                format!("`{path}` is no path of this machine: it is left out, and the stage runs every time")
            } else if paths::meets_store(&path, root) {
                needed.extend(found.into_iter().chain(from));
                format!("`{path}` holds the store of this pipeline: it is left out, and the stage runs every time")
            } else if !from.is_empty() {
                needed.extend(from);
                format!("`{path}` is not kept by the stage that writes it: the stage that reads it runs every time")
            } else if found.iter().any(|(writer, _)| writer.stage as usize == at) {
                format!("`{path}` is an output of the stage itself, or holds one: it is left out of what it reads")
            } else {
                if pattern {
                    let text = format!("`{path}`: `*` and `?` in a name stand for others here");
                    notes.push((place.clone(), text));
                } else if found.is_empty() && !root.join(&path).exists() {
                    let beside = root.join(format!("{}.dvc", path.trim_end_matches('/')));
                    let text = if beside.exists() {
                        format!("`{path}` is not there: fetch it with `dvc pull` first")
                    } else {
                        format!("`{path}` is not there, and no stage writes it: `check` will say so")
                    };
                    notes.push((place.clone(), text));
                }
                stage.deps.push((path, place));
                continue;
            };
            stage.always = true;
            let needed = needed.into_iter().map(|(writer, _)| writer.stage as usize).filter(|other| *other != at);
            stage.needs.extend(needed.map(|other| names[other].clone()));
            notes.push((place, text));
        }
    }
}

/// The text of the stages.
pub(super) fn text(items: &[Item]) -> String {
    let mut text = String::new();
    for item in items {
        // Writing into a string cannot fail.
        let _ = match item {
            Item::Comment(comment) => writeln!(text, "  # {comment}"),
            Item::Stage(stage) => stage.text(&mut text),
        };
    }
    text
}

impl Stage {
    fn text(&self, out: &mut String) -> std::fmt::Result {
        if let Some(comment) = &self.comment {
            writeln!(out, "  # {comment}")?;
        }
        writeln!(out, "  {}:\n    kind: command", self.name)?;
        if let Some(description) = &self.description {
            writeln!(out, "    description: {}", scalar(&description.replace("${", "$${")))?;
        }
        writeln!(out, "    run: {}", scalar(&self.run.replace("${", "$${")))?;
        let deps: Vec<String> = self.deps.iter().map(|(path, _)| literal(path)).collect();
        let outs = self.outs.iter().map(|out| match out.kind {
            "" => literal(&out.path),
            kind => format!("{{ path: {}, kind: {kind} }}", literal(&out.path)),
        });
        for (key, items) in [("deps", deps), ("outs", outs.collect())] {
            if !items.is_empty() {
                writeln!(out, "    {key}:")?;
                items.iter().try_for_each(|item| writeln!(out, "      - {item}"))?;
            }
        }
        for (key, names) in [("env", &self.env), ("needs", &self.needs)] {
            if !names.is_empty() {
                let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
                writeln!(out, "    {key}: [{}]", names.join(", "))?;
            }
        }
        if self.always {
            writeln!(out, "    cache: false")?;
        }
        Ok(())
    }
}

/// A text whose `${` is meant as it stands.
fn literal(text: &str) -> String {
    quoted(&text.replace("${", "$${"))
}

/// A text as a value of its own: over several lines where it has several.
fn scalar(text: &str) -> String {
    let printable = |line: &str| !line.chars().any(special) && !line.ends_with(' ') && !line.is_empty();
    let first = |line: &str| !line.starts_with(' ');
    if text.contains('\n') && text.split('\n').all(printable) && text.split('\n').next().is_some_and(first) {
        return format!("|-\n      {}", text.replace('\n', "\n      "));
    }
    quoted(text)
}

/// What YAML wants escaped.
fn special(c: char) -> bool {
    c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}')
}

/// A text as YAML: plain where that is safe, else in double quotes (JSON's are YAML's).
pub(super) fn quoted(text: &str) -> String {
    let safe = text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./ ".contains(c));
    let word = matches!(syntax::resolve(text), Kind::Text(_));
    if safe && word && text.trim() == text && text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return text.to_owned();
    }
    let json = serde_json::Value::from(text).to_string();
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if special(c) {
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped
}
