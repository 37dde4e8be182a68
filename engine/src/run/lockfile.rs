//! `pipeline.lock`: the last result of the pipeline, for version control.
//!
//! The file is sorted and holds nothing that changes by itself, such as times or names of machines.
//! A complete run with the same result as the one before leaves it as it is, byte for byte. It
//! lists the key of every stage, the digests of its outputs, and the outside files that were read,
//! so that a difference can be found without a store.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;

use cache::{Digest, Store};
use contract::fault::{Fault, Route};
use serde::{Deserialize, Serialize};

use crate::key::Environment;
use crate::key::Manifest;
use crate::key::explain::{self, Reason};
use crate::plan::{Plan, PlannedStage};
use crate::run::driver::Summary;
use crate::run::preview::{self, Expected};

/// The number of this format.
const FORMAT: u32 = 1;

/// The tools whose versions are locked: those that are the same on every machine with the same
/// installation.
const TOOLS: [&str; 2] = ["datafusion", "libtorch"];

/// The content of a lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// The format of the file.
    pub lock: u32,
    /// The pipeline's name.
    pub pipeline: String,
    /// The versions of the tools: name -> version.
    #[serde(default)]
    pub toolchain: BTreeMap<String, String>,
    /// Outside files that were read: path -> digest of the content.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// By name.
    pub stages: BTreeMap<String, LockedStage>,
}

/// The result of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedStage {
    /// Its key, 64 hex digits.
    pub key: String,
    /// Output port -> digest. Empty for stages with `cache: false`: they may give something else
    /// every time.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, String>,
}

impl Lock {
    /// The result of a run, as far as it went.
    pub fn of(plan: &Plan, store: &Store, environment: &Environment, summary: &Summary) -> Self {
        let mut toolchain = BTreeMap::from([("pipeline".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]);
        for tool in TOOLS {
            toolchain.extend(environment.toolchain.get(tool).map(|version| (tool.to_owned(), version.clone())));
        }
        let mut lock = Self {
            lock: FORMAT,
            pipeline: plan.spec.name.clone(),
            toolchain,
            files: BTreeMap::new(),
            stages: BTreeMap::new(),
        };
        let by_name: BTreeMap<&str, &PlannedStage> =
            plan.stages.iter().map(|stage| (stage.name.as_str(), stage)).collect();
        for of in summary.stages.iter().filter(|of| !of.key.is_empty()) {
            let Some(stage) = by_name.get(of.stage.as_str()) else { continue };
            let outputs = if stage.cache { of.outputs.clone() } else { BTreeMap::new() };
            lock.stages.insert(of.stage.clone(), LockedStage { key: of.key.clone(), outputs });
            // Only where there can be a file of the outside: most stages read what other stages
            // wrote.
            if stage.files.len() > stage.written.len()
                && let Some(manifest) = manifest(store, &of.key)
            {
                let written = written(stage);
                let outside = manifest.files.into_iter().filter(|file| !written.contains(file.shown.as_str()));
                lock.files.extend(outside.map(|file| (file.shown, file.digest.to_string())));
            }
        }
        lock
    }

    /// Reads a lock file; `None` when there is none.
    ///
    /// # Errors
    /// `lock::unreadable` when it is not one, `lock::newer` when a newer program wrote it.
    pub fn read(path: &Path) -> Result<Option<Self>, Fault> {
        let shown = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let fault = Fault::error(
                    contract::code!("lock::unreadable"),
                    format!("`{shown}` cannot be read: {}", error.kind()),
                );
                return Err(fault.help("look at its permissions"));
            }
        };
        let newer = serde_json::from_slice::<serde_json::Value>(&bytes).ok().and_then(|value| value["lock"].as_u64());
        if newer.is_some_and(|number| number > u64::from(FORMAT)) {
            let fault =
                Fault::error(contract::code!("lock::newer"), format!("`{shown}` was written by a newer `pipeline`"));
            return Err(fault.help("use that version, or write the file anew with `pipeline run`"));
        }
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            Fault::error(
                contract::code!("lock::unreadable"),
                format!("`{shown}` is not a lock file (line {})", error.line()),
            )
            .help("was it merged by hand? take either side, or write it anew with `pipeline run`")
        })
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        // Maps of strings always have a text.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Writes the file unless it says the same already; whether it did.
    ///
    /// # Errors
    /// `lock::unwritable`: a warning, for the run itself went well.
    pub fn write(&self, path: &Path) -> Result<bool, Fault> {
        let text = self.text();
        if std::fs::read(path).is_ok_and(|there| there == text.as_bytes()) {
            return Ok(false);
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", std::process::id()));
        let temporary = path.with_file_name(name);
        let write = || {
            let mut file = std::fs::File::create(&temporary)?;
            file.write_all(text.as_bytes())?;
            std::fs::rename(&temporary, path)
        };
        write().map(|()| true).map_err(|error| {
            let _ = std::fs::remove_file(&temporary);
            let shown = path.file_name().unwrap_or_default().to_string_lossy();
            Fault::warning(
                contract::code!("lock::unwritable"),
                format!("`{shown}` cannot be written: {}", error.kind()),
            )
            .help("the run went well; look at the permissions of the pipeline's folder")
        })
    }

    /// What a run would change, as far as that can be known before it: keys under the assumption
    /// that every stage whose key is the locked one gives what it gave. Only stages that are
    /// `wanted` (in the order of the plan) are compared.
    pub fn before(
        &self,
        plan: &Plan,
        store: &Store,
        environment: &Environment,
        wanted: &[bool],
        file: &str,
    ) -> Vec<Fault> {
        let given = |stage: &str, key: &Digest| {
            let locked = self.stages.get(stage).filter(|locked| locked.key == key.to_string())?;
            let outputs = locked.outputs.iter().filter_map(|(port, digest)| Some((port.clone(), digest.parse().ok()?)));
            Some(outputs.collect::<BTreeMap<String, Digest>>())
        };
        let expected = preview::expect(plan, store, environment, plan.root(), &given);
        let mut faults = Vec::new();
        if wanted.iter().all(|wanted| *wanted) {
            faults.extend(self.gone(plan.stages.iter().map(|stage| stage.name.as_str()), file));
            faults.extend(self.tools(environment, file));
        }
        let mut below = 0;
        for (stage, expected) in plan.stages.iter().zip(expected).filter(|(stage, _)| wanted[stage.id.0 as usize]) {
            let here = |reason: String| {
                Fault::error(
                    contract::code!("lock::changed"),
                    format!("`{}` would change `{file}`: {reason}", stage.name),
                )
                .help("run without `--locked` to accept it, and put the file under version control")
                .at(Route::stage(&stage.name))
            };
            let Some(locked) = self.stages.get(&stage.name) else {
                faults.push(here("it is not in there".to_owned()));
                continue;
            };
            let Some(Expected { key, manifest, outputs }) = expected else { continue };
            if key.to_string() != locked.key {
                let reasons = self.reasons(plan, store, stage, locked, &manifest);
                // What changed only because something above it did needs no words of its own.
                let inputs_alone = reasons.iter().all(|reason| matches!(reason, Told::Input(_)));
                match reasons.into_iter().next() {
                    Some(_) if inputs_alone && !faults.is_empty() => below += 1,
                    Some(Told::Own(reason) | Told::Input(reason)) => faults.push(here(reason)),
                    None => faults.push(here("it is not what it was locked as".to_owned())),
                }
            } else if let Some(outputs) = outputs.filter(|_| stage.cache) {
                let other = outputs
                    .iter()
                    .find(|(port, digest)| locked.outputs.get(*port).is_none_or(|old| *old != digest.to_string()));
                faults.extend(other.map(|(port, _)| {
                    here(format!("the store has another `{port}` for the same work; `pipeline verify` says more"))
                }));
            }
        }
        if below > 0
            && let Some(first) = faults.first_mut()
        {
            let stages = if below == 1 { "1 stage".to_owned() } else { format!("{below} stages") };
            first.message.push_str(&format!(" (and {stages} below)"));
        }
        faults
    }

    /// What a run that has ended would change. A run of some stages is compared with those alone.
    pub fn after(&self, now: &Self, complete: bool, file: &str) -> Vec<Fault> {
        let mut faults = Vec::new();
        if complete {
            faults.extend(self.gone(now.stages.keys().map(String::as_str), file));
        }
        for (name, stage) in &now.stages {
            let here = |reason: &str| {
                Fault::error(contract::code!("lock::changed"), format!("`{name}` would change `{file}`: {reason}"))
                    .help("run without `--locked` to accept it, and put the file under version control")
                    .at(Route::stage(name))
            };
            match self.stages.get(name) {
                None => faults.push(here("it is not in there")),
                Some(locked) if locked.key != stage.key => faults.push(here("what it works on is not what was locked")),
                Some(locked) => {
                    let other = stage.outputs.iter().find(|(port, digest)| locked.outputs.get(*port) != Some(digest));
                    faults.extend(other.map(|(port, _)| here(&format!("it gave other bytes as `{port}`"))));
                }
            }
        }
        faults
    }

    fn gone<'a>(&self, names: impl Iterator<Item = &'a str>, file: &str) -> Option<Fault> {
        let there: BTreeSet<&str> = names.collect();
        let gone = self.stages.keys().find(|name| !there.contains(name.as_str()))?;
        let message = format!("`{gone}` is in `{file}` and not in the pipeline any more");
        Some(Fault::error(contract::code!("lock::changed"), message).help("run without `--locked` to take it out"))
    }

    fn tools(&self, environment: &Environment, file: &str) -> Option<Fault> {
        let (tool, old, new) = TOOLS.iter().find_map(|tool| {
            let (old, new) = (self.toolchain.get(*tool), environment.toolchain.get(*tool));
            (old != new).then_some((tool, old, new))
        })?;
        let told = |version: Option<&String>| version.map_or_else(|| "none".to_owned(), Clone::clone);
        let message = format!("`{file}` was made with `{tool}` {}, here is {}", told(old), told(new));
        Some(
            Fault::error(contract::code!("lock::changed"), message)
                .help("install the same toolchain, or run without `--locked`"),
        )
    }

    /// Why a stage has another key than the locked one: from the record of that key, or else from
    /// what the lock knows.
    fn reasons(
        &self,
        plan: &Plan,
        store: &Store,
        stage: &PlannedStage,
        locked: &LockedStage,
        now: &Manifest,
    ) -> Vec<Told> {
        if let Some(then) = manifest(store, &locked.key) {
            let reasons = explain::compare(&then, now, &explain::source_of(plan, stage));
            let told = |reason: Reason| match reason {
                Reason::InputChanged { .. } => Told::Input(reason.to_string()),
                _ => Told::Own(reason.to_string()),
            };
            return reasons.into_iter().map(told).collect();
        }
        let written = written(stage);
        let mut reasons: Vec<Told> = Vec::new();
        for file in now.files.iter().filter(|file| !written.contains(file.shown.as_str())) {
            let shown = &file.shown;
            match self.files.get(shown) {
                None => reasons.push(Told::Own(format!("`{shown}` was not read when it was locked"))),
                Some(digest) if *digest != file.digest.to_string() => {
                    reasons.push(Told::Own(format!("`{shown}` has other content")));
                }
                Some(_) => {}
            }
        }
        if reasons.is_empty() {
            let text = "its kind, parameters, inputs, seed or environment are not those it was locked with";
            reasons.push(if now.inputs.is_empty() { Told::Own(text.into()) } else { Told::Input(text.into()) });
        }
        reasons
    }
}

/// A reason in words.
enum Told {
    /// Of the stage itself.
    Own(String),
    /// Of a stage above.
    Input(String),
}

fn manifest(store: &Store, key: &str) -> Option<Manifest> {
    let record = store.lookup(&key.parse().ok()?).ok()??;
    serde_json::from_value(record.manifest).ok()
}

/// The files of a stage that other stages write, as they are shown.
fn written(stage: &PlannedStage) -> BTreeSet<&str> {
    stage.written.iter().map(|written| stage.files[written.file as usize].path.as_str()).collect()
}
