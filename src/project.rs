//! The pipeline at hand: its file, its folder, its store, the programs beside this one.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use cache::{Store, StoreError};
use contract::fault::Fault;
use contract::kind::{Kinds, Program};
use engine::execute::Programs;
use engine::execute::WorkerOracle;
use engine::key::Environment;
use engine::plan::Plan;
use miette::{GraphicalReportHandler, GraphicalTheme};
use schemas::{LoadOptions, Loaded, Sources};

use crate::cli::FileArgs;
use crate::commands::{ENGINE_FAILED, INVALID};
use crate::report::terminal;

/// Why the program ends early, in words, with its exit code.
#[derive(Debug)]
pub struct Failure {
    /// What to print.
    pub text: String,
    /// The exit code.
    pub exit_code: u8,
}

impl Failure {
    /// A mistake on the command line or around the pipeline (exit code 2).
    pub fn user(code: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::fault(&Fault::error(code, message).help(help), INVALID)
    }

    /// A fault that has no place in the pipeline's text.
    pub fn fault(fault: &Fault, exit_code: u8) -> Self {
        Self { text: render(fault, &Sources::default()), exit_code }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::fault(&engine::store_fault(&error), ENGINE_FAILED)
    }
}

/// A pipeline file and its surroundings.
pub struct Project {
    /// The file, as found.
    pub file: PathBuf,
    /// The folder it stands in: relative paths start here.
    pub root: PathBuf,
    profile: Option<String>,
    registry: Arc<Kinds>,
}

/// A pipeline that was proved.
pub struct Proved {
    /// The plan.
    pub plan: Arc<Plan>,
    /// For placing faults.
    pub sources: Arc<Sources>,
    /// Warnings.
    pub warnings: Vec<Fault>,
    /// The folder relative paths start from.
    pub root: PathBuf,
    /// The store.
    pub store: Arc<Store>,
    /// Worker programs.
    pub programs: Programs,
    /// What of this machine enters keys.
    pub environment: Environment,
    /// The kinds.
    pub registry: Arc<Kinds>,
    /// The files it includes, under every name they are included by.
    pub files: Vec<PathBuf>,
}

impl Project {
    /// The pipeline named by `--file`, or the nearest one from here upwards.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(args: &FileArgs) -> Result<Self, Failure> {
        let file = match &args.file {
            Some(path) if path.is_dir() => in_folder(path).unwrap_or_else(|| path.join("pipeline.yaml")),
            Some(path) => path.clone(),
            None => nearest_file().ok_or_else(|| {
                Failure::user(
                    "cli::no_pipeline",
                    "there is no `pipeline.yaml` here or in any folder above",
                    "start one with `pipeline init`, or name a file with `--file`",
                )
            })?,
        };
        let absolute = std::path::absolute(&file).unwrap_or_else(|_| file.clone());
        let mut root = absolute.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf);
        // Paths of a document that begin with the project's own are told by it, from wherever it is called.
        if root.components().any(|part| part == Component::ParentDir)
            && let Ok(real) = root.canonicalize()
        {
            root = real;
        }
        Ok(Self { file, root, profile: args.profile.clone(), registry: Arc::new(catalog::kinds()) })
    }

    /// As [`Project::find`], where the first positional argument may be the pipeline's file
    /// (`pipeline run pipeline.yaml`); it is then taken out of `names`.
    ///
    /// # Errors
    /// When there is no pipeline.
    pub fn find_with(args: &FileArgs, names: &mut Vec<String>) -> Result<Self, Failure> {
        if args.file.is_none()
            && let Some(first) = names.first()
            && (first.ends_with(".yaml") || first.ends_with(".yml") || Path::new(first).is_dir())
        {
            let file = PathBuf::from(names.remove(0));
            return Self::find(&FileArgs { file: Some(file), ..args.clone() });
        }
        Self::find(args)
    }

    /// Reads the file; faults are inside.
    pub fn read(&self, set: &[String]) -> Loaded {
        let options = LoadOptions { profile: self.profile.clone(), set: set.to_vec(), ..LoadOptions::default() };
        schemas::load(&self.file, &options, &self.registry)
    }

    /// Where the store is.
    pub fn store_folder(&self) -> PathBuf {
        self.root.join(".pipeline")
    }

    /// Opens the store.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub fn store(&self) -> Result<Arc<Store>, Failure> {
        Ok(Arc::new(Store::open(&self.store_folder())?))
    }

    /// Reads and proves the pipeline.
    ///
    /// # Errors
    /// Only what stands in the way of looking (the store); faults of the pipeline are in the result.
    pub fn prove(&self, set: &[String]) -> Result<Checked, Failure> {
        let loaded = self.read(set);
        let sources = Arc::new(loaded.sources);
        let files = loaded.files;
        let mut faults = loaded.faults;
        let Some(spec) = loaded.spec else {
            return Ok(Checked { proved: None, sources, faults, files, reads: Vec::new() });
        };
        let store = self.store()?;
        let programs = find_programs();
        let oracle = WorkerOracle::new(Arc::clone(&store), &programs, &self.root);
        let planned = engine::plan::plan(spec, &self.registry, &oracle);
        faults.extend(planned.faults);
        let reads = planned.sources;
        faults.extend(oracle.faults());
        // Only what the hello of a worker says of its tool and devices needs the worker to be asked.
        let asks =
            |program: Program| program.worker().is_some_and(|worker| worker.keyed_tool.is_some() || worker.uses_device);
        let asks = |plan: &Plan| plan.stages.iter().any(|stage| asks(stage.program));
        let proved = match planned.plan {
            Some(plan) if !faults.iter().any(Fault::is_error) => {
                let environment = if asks(&plan) {
                    let (environment, found) = engine::execute::discover(&store, &programs);
                    faults.extend(found);
                    faults.extend(environment.check_devices(&plan));
                    environment
                } else {
                    Environment::default()
                };
                faults.extend(engine::run::capacity::beyond(&plan, &environment));
                (!faults.iter().any(Fault::is_error)).then(|| Proved {
                    plan: Arc::new(plan),
                    sources: Arc::clone(&sources),
                    warnings: faults.iter().filter(|fault| !fault.is_error()).cloned().collect(),
                    root: self.root.clone(),
                    store,
                    programs,
                    environment,
                    registry: Arc::clone(&self.registry),
                    files: files.clone(),
                })
            }
            _ => None,
        };
        Ok(Checked { proved, sources, faults, files, reads })
    }

    /// Reads and proves, and turns faults into the end of the program. For a verb that needs one pipeline: it is there
    /// [until the end](Proved::until_the_end).
    ///
    /// # Errors
    /// All faults of the pipeline, in words (exit code 2).
    pub fn proved(&self, set: &[String]) -> Result<Proved, Failure> {
        let checked = self.prove(set)?;
        let (sources, faults) = (checked.sources, checked.faults);
        let proved =
            checked.proved.ok_or_else(|| Failure { text: render_all(&faults, &sources), exit_code: INVALID })?;
        proved.until_the_end();
        Ok(proved)
    }
}

impl Proved {
    /// Leaves the plan and the texts to the end of the process, which gives their memory back at once; piece by piece takes a tenth
    /// of the time of planning.
    pub fn until_the_end(&self) {
        std::mem::forget((Arc::clone(&self.plan), Arc::clone(&self.sources)));
    }
}

/// What `prove` found.
pub struct Checked {
    /// The pipeline, when there is no error.
    pub proved: Option<Proved>,
    /// For placing faults.
    pub sources: Arc<Sources>,
    /// Errors and warnings.
    pub faults: Vec<Fault>,
    /// The files it includes.
    pub files: Vec<PathBuf>,
    /// What its stages read, as far as that is known: also of a pipeline with errors.
    pub reads: Vec<PathBuf>,
}

/// A fault as people read it: code, message, place with a caret, help.
pub fn render(fault: &Fault, sources: &Sources) -> String {
    let theme =
        if console::colors_enabled_stderr() { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(terminal::width().min(120))
        .with_context_lines(1)
        .with_links(false);
    let diagnostic = sources.diagnostic(fault);
    let mut text = String::new();
    match handler.render_report(&mut text, &diagnostic) {
        Ok(()) => text.trim_start_matches('\n').trim_end().to_owned(),
        // Formatting into a string does not fail; were it to, the line form says the same.
        Err(_) => diagnostic.line(),
    }
}

/// How many faults are shown in full.
const SHOWN: usize = 100;

/// All faults (the first hundred in full), errors first, and a last line that counts them.
pub fn render_all(faults: &[Fault], sources: &Sources) -> String {
    let mut text = String::new();
    let (errors, warnings): (Vec<&Fault>, Vec<&Fault>) = faults.iter().partition(|fault| fault.is_error());
    for fault in errors.iter().chain(&warnings).take(SHOWN) {
        text.push_str(&render(fault, sources));
        text.push('\n');
    }
    if faults.len() > SHOWN {
        let more = faults.len() - SHOWN;
        text.push_str(&format!("… and {more} more; `pipeline check --short` shows every one on a line\n"));
    }
    let counted = |count: usize, word: &str| match count {
        0 => None,
        1 => Some(format!("1 {word}")),
        count => Some(format!("{count} {word}s")),
    };
    let parts: Vec<String> =
        [counted(errors.len(), "error"), counted(warnings.len(), "warning")].into_iter().flatten().collect();
    text.push_str(&parts.join(", "));
    text
}

/// The workers: in the folder `PIPELINE_WORKERS` names, beside this program, or on the PATH.
pub fn find_programs() -> Programs {
    let mut folders: Vec<PathBuf> = Vec::new();
    if let Some(folder) = std::env::var_os("PIPELINE_WORKERS") {
        folders.push(folder.into());
    } else {
        if let Ok(this) = std::env::current_exe() {
            folders.extend(this.canonicalize().unwrap_or(this).parent().map(Path::to_path_buf));
        }
        if let Some(path) = std::env::var_os("PATH") {
            folders.extend(std::env::split_paths(&path));
        }
    }
    let find = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    Programs::find(|worker| find(worker.name))
}

fn in_folder(folder: &Path) -> Option<PathBuf> {
    ["pipeline.yaml", "pipeline.yml"].into_iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

fn nearest_file() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    let found = here.ancestors().find_map(in_folder)?;
    // Shown as people would type it, where that is simple.
    Some(found.strip_prefix(&here).map(Path::to_path_buf).unwrap_or(found))
}
