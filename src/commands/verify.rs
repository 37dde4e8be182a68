//! `pipeline verify`: stages run again into a store of their own, and what they give is compared with what is recorded.

use std::sync::{Arc, Mutex};

use cache::{Blob, Entry, Store};
use engine::driver::{CancelToken, Compared, Force, RunOptions, Scratch};
use engine::event::Outcome;
use engine::preview::State;
use serde_json::{Value, json};

use super::run::{cancel_on_signal, check_names, drive, quiet_reporter, runtime};
use crate::cli::Verify;
use crate::project::{Failure, Project};
use crate::report::terminal::{self, Styles};

/// Verifies. Exit code 1 when something came out differently.
///
/// # Errors
/// An invalid pipeline, an unknown stage, a stage that is not up to date.
pub fn execute(args: &Verify) -> Result<u8, Failure> {
    let mut names = args.stages.clone();
    let project = Project::find_with(&args.file, &mut names)?;
    let proved = project.proved(&args.file.set)?;
    check_names(&proved.plan, names.iter())?;
    let previews = engine::preview::preview(&proved.plan, &proved.store, &proved.environment, &proved.root);
    let named = |name: &String| names.is_empty() || names.contains(name);
    let (mut chosen, mut due, mut uncached) = (Vec::new(), Vec::new(), Vec::new());
    for (stage, preview) in proved.plan.stages.iter().zip(&previews).filter(|(stage, _)| named(&stage.name)) {
        match preview.state {
            _ if !stage.cache => uncached.push(stage.name.clone()),
            State::Hit => chosen.push(stage.name.clone()),
            _ => due.push(stage.name.clone()),
        }
    }
    if chosen.is_empty() || (!names.is_empty() && !due.is_empty()) {
        let (what, help) = match due.first() {
            Some(stage) => {
                (format!("`{stage}` is not up to date"), "`pipeline run` it first; `pipeline plan` says why")
            }
            None => ("there is nothing to compare".to_owned(), "stages with `cache: false` are never the same twice"),
        };
        return Err(Failure::user("verify::not_recorded", what, help));
    }
    let staging = proved.store.staging()?;
    let scratch = Scratch { store: Arc::new(Store::open(&staging.path().join("store"))?), compared: Arc::default() };
    let options = RunOptions {
        root: proved.root.clone(),
        targets: chosen.clone(),
        force: Force::Stages(chosen.clone()),
        keep_going: true,
        jobs: args.jobs.map(|jobs| jobs as usize),
        programs: proved.programs.clone(),
        environment: proved.environment.clone(),
        scratch: Some(scratch.clone()),
        ..RunOptions::default()
    };
    let mut reporter = quiet_reporter(&proved);
    let cancel = CancelToken::new();
    let summary = runtime()?.block_on(async {
        tokio::spawn(cancel_on_signal(cancel.clone()));
        drive(&proved, options, &mut *reporter, cancel).await
    })?;
    let compared = taken(&scratch.compared);
    let differing: Vec<(&Compared, String)> = compared
        .iter()
        .filter(|of| of.recorded.digest != of.again.digest)
        .map(|of| (of, difference(&proved.store, &scratch.store, &of.recorded, &of.again)))
        .collect();
    let done: Vec<&String> = chosen.iter().filter(|name| compared.iter().any(|of| of.stage == **name)).collect();
    let good = |name: &str| !differing.iter().any(|(of, _)| of.stage == name);
    if args.json {
        let stages: Vec<Value> = done
            .iter()
            .map(|name| {
                let outputs = compared.iter().filter(|of| of.stage == ***name).map(|of| {
                    let where_ = differing.iter().find(|(other, _)| *other == of).map(|(_, told)| told.clone());
                    let (recorded, again) = (of.recorded.digest.to_string(), of.again.digest.to_string());
                    json!({ "output": of.port, "recorded": recorded, "again": again, "difference": where_ })
                });
                json!({ "stage": name, "same": good(name), "outputs": outputs.collect::<Vec<_>>() })
            })
            .collect();
        terminal::out(&format!("{:#}", json!({ "stages": stages, "not_up_to_date": due, "uncached": uncached })));
    } else {
        for name in &done {
            if good(name) {
                terminal::out(&format!("{} {name}  the same bytes", console::Style::new().green().apply_to("=")));
            }
            for (of, told) in differing.iter().filter(|(of, _)| of.stage == **name) {
                let mark = console::Style::new().red().bold().apply_to("≠");
                terminal::out(&format!("{mark} {name}  `{}` differs: {told}", of.port));
            }
        }
        for (names, why) in [(&due, "not up to date"), (&uncached, "`cache: false`")] {
            if !names.is_empty() {
                let text = format!("not verified ({why}): {}", names.join(", "));
                terminal::err(&Styles::dim().apply_to(text).to_string());
            }
        }
    }
    Ok(match summary.outcome {
        Outcome::Success | Outcome::GateNotMet if differing.is_empty() => 0,
        Outcome::Success | Outcome::GateNotMet => 1,
        other => other.exit_code(),
    })
}

fn taken(compared: &Mutex<Vec<Compared>>) -> Vec<Compared> {
    std::mem::take(&mut *compared.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
}

/// Where two outputs differ first, in words: a path of a folder, a tensor, a value of a JSON file, else a byte.
fn difference(store: &Store, scratch: &Store, old: &Blob, new: &Blob) -> String {
    if old.tree != new.tree {
        return "one is a file, the other a folder".into();
    }
    if old.tree {
        return in_folders(store, scratch, old, new);
    }
    match (store.read(&old.digest), scratch.read(&new.digest)) {
        (Ok(old), Ok(new)) => in_bytes(&old, &new),
        (Err(_), _) => "the recorded output cannot be read".into(),
        (_, Err(_)) => "the new output cannot be read".into(),
    }
}

fn in_folders(store: &Store, scratch: &Store, old: &Blob, new: &Blob) -> String {
    let (Ok(old), Ok(new)) = (store.tree(&old.digest), scratch.tree(&new.digest)) else {
        return "one of the folders cannot be read".into();
    };
    let mut paths: Vec<&String> = old.entries.keys().chain(new.entries.keys()).collect();
    paths.sort();
    paths.dedup();
    let differs = |path: &&&String| old.entries.get(**path) != new.entries.get(**path);
    let count = paths.iter().filter(differs).count();
    let Some(path) = paths.iter().find(differs) else { return "the folders are described differently".into() };
    let what = match (old.entries.get(*path), new.entries.get(*path)) {
        (None, _) => "is new".to_owned(),
        (_, None) => "is gone".to_owned(),
        (Some(Entry::File(a)), Some(Entry::File(b))) => match (store.read(&a.digest), scratch.read(&b.digest)) {
            (Ok(a), Ok(b)) if a == b => "has other permissions".to_owned(),
            (Ok(a), Ok(b)) => format!("differs: {}", in_bytes(&a, &b)),
            _ => "differs".to_owned(),
        },
        _ => "is of another sort".to_owned(),
    };
    let more = if count > 1 { format!(" ({count} paths differ)") } else { String::new() };
    format!("`{path}` {what}{more}")
}

fn in_bytes(old: &[u8], new: &[u8]) -> String {
    if let (Some(a), Some(b)) = (tensors(old), tensors(new)) {
        return in_tensors(&a, &b).unwrap_or_else(|| "the same tensors in another order".into());
    }
    if let (Ok(a), Ok(b)) = (serde_json::from_slice::<Value>(old), serde_json::from_slice::<Value>(new))
        && let Some((route, a, b)) = in_values("", &a, &b)
    {
        let at = if route.is_empty() { String::new() } else { format!("`{}` ", route.trim_start_matches('.')) };
        return format!("{at}{a} → {b}");
    }
    let same = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let sizes =
        if old.len() == new.len() { String::new() } else { format!(" ({} → {} bytes)", old.len(), new.len()) };
    match (std::str::from_utf8(old), std::str::from_utf8(new)) {
        (Ok(a), Ok(b)) => {
            let line = old[..same].iter().filter(|byte| **byte == b'\n').count();
            let told = |text: &str| text.lines().nth(line).unwrap_or("").chars().take(60).collect::<String>();
            format!("line {}: `{}` → `{}`{sizes}", line + 1, told(a), told(b))
        }
        _ => format!("from byte {same} on{sizes}"),
    }
}

/// A tensor of a safetensors file: its name, how it is described, its bytes.
type Tensor<'a> = (String, String, &'a [u8]);

/// The tensors of a safetensors file (eight bytes with the length of a JSON header, the header, the bytes); `None` when it is
/// something else.
fn tensors(bytes: &[u8]) -> Option<Vec<Tensor<'_>>> {
    let length = usize::try_from(u64::from_le_bytes(*bytes.first_chunk()?)).ok()?;
    let header = bytes.get(8..8_usize.checked_add(length)?)?;
    let data = &bytes[8 + length..];
    let header: serde_json::Map<String, Value> = serde_json::from_slice(header).ok()?;
    let mut tensors = Vec::with_capacity(header.len());
    for (name, about) in header {
        if name == "__metadata__" {
            tensors.push((name, about.to_string(), &data[..0]));
            continue;
        }
        let offset = |index: usize| usize::try_from(about["data_offsets"][index].as_u64()?).ok();
        let held = data.get(offset(0)?..offset(1)?)?;
        tensors.push((name, format!("{} {}", about["dtype"].as_str()?, about["shape"]), held));
    }
    tensors.sort();
    Some(tensors)
}

fn in_tensors(old: &[Tensor<'_>], new: &[Tensor<'_>]) -> Option<String> {
    let named = |all: &[Tensor<'_>], name: &str| all.iter().position(|(other, ..)| other == name);
    for (name, about, held) in old {
        let Some(at) = named(new, name) else { return Some(format!("tensor `{name}` is gone")) };
        let (_, other_about, other) = &new[at];
        if name == "__metadata__" {
            if about != other_about {
                return Some("the metadata of the tensors".into());
            }
        } else if about != other_about {
            return Some(format!("tensor `{name}` was {about} and is {other_about} now"));
        } else if held != other {
            let same = held.iter().zip(other.iter()).take_while(|(a, b)| a == b).count();
            return Some(format!("tensor `{name}` ({about}) from byte {same} on"));
        }
    }
    new.iter().find(|(name, ..)| named(old, name).is_none()).map(|(name, ..)| format!("tensor `{name}` is new"))
}

fn in_values(route: &str, old: &Value, new: &Value) -> Option<(String, String, String)> {
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            let null = Value::Null;
            keys.into_iter().find_map(|key| {
                in_values(&format!("{route}.{key}"), a.get(key).unwrap_or(&null), b.get(key).unwrap_or(&null))
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            (a.iter().zip(b).enumerate()).find_map(|(index, (a, b))| in_values(&format!("{route}[{index}]"), a, b))
        }
        _ if old == new => None,
        _ => {
            let short = |value: &Value| value.to_string().chars().take(60).collect::<String>();
            Some((route.to_owned(), short(old), short(new)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn safetensors(values: &[(&str, f32)]) -> Vec<u8> {
        let mut header = serde_json::Map::new();
        let mut data = Vec::new();
        for (name, value) in values {
            let range = [data.len(), data.len() + 4];
            header.insert((*name).into(), json!({ "dtype": "F32", "shape": [1], "data_offsets": range }));
            data.extend_from_slice(&value.to_le_bytes());
        }
        let header = serde_json::to_vec(&header).unwrap();
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header);
        bytes.extend(data);
        bytes
    }

    #[test]
    fn the_first_difference_is_named() {
        let (a, b) = (safetensors(&[("b", 1.0), ("w", 2.0)]), safetensors(&[("b", 1.0), ("w", 3.0)]));
        assert!(in_bytes(&a, &b).starts_with("tensor `w` (F32 [1])"), "{}", in_bytes(&a, &b));
        assert_eq!(in_bytes(&a, &safetensors(&[("b", 1.0)])), "tensor `w` is gone");
        assert_eq!(in_bytes(br#"{"a":{"b":[1,2]}}"#, br#"{"a":{"b":[1,3]}}"#), "`a.b[1]` 2 → 3");
        assert_eq!(in_bytes(b"x\ny\n", b"x\nz\n"), "line 2: `y` → `z`");
        assert_eq!(in_bytes(b"\xff\x00", b"\xff\x01\x02"), "from byte 1 on (2 → 3 bytes)");
    }
}
