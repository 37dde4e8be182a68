//! `pipeline watch`: runs, waits for a change of the pipeline or of a file it reads, and runs again. Events of the file
//! system are hints; the content decides.
//!
//! A newer change cancels what it makes stale and only that: stages at work under a key that the changed pipeline has as well go
//! on, and the new run, which begins at once, waits for them and takes their results. Worker processes outlive the runs. What
//! did not change is not read again: after an edit of a file that only programs read, the plan stays.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cache::{Digest, Store};
use engine::driver::{self, CancelToken, RunOptions, Spare, Summary, Workers};
use engine::error::Fault;
use engine::event::{Event, Outcome};
use engine::kind::Executor;
use engine::plan::Plan;
use notify::{Config, EventKind, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher};
use schemas::Sources;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::ENGINE_FAILED;
use super::run::{options, reporter, runtime};
use crate::cli::Watch;
use crate::project::{Failure, Project, Proved, render};
use crate::report::plain::Reporter;
use crate::report::terminal::{self, Styles};

/// Quiet time after the last event before it counts: a save is several events within a millisecond or two.
const QUIET: Duration = Duration::from_millis(12);
/// The same in a burst (a checkout, a build) and while a file is empty that was not: the rest is on its way.
const QUIET_BURST: Duration = Duration::from_millis(50);
/// So many events are a burst.
const BURST: usize = 12;
/// A file that never rests (a log, a download) is looked at this often all the same.
const LONGEST: Duration = Duration::from_millis(500);

/// Watches until interrupted.
///
/// # Errors
/// When there is no pipeline, no store, or the system cannot watch files.
pub fn execute(args: &Watch) -> Result<u8, Failure> {
    let mut names = args.run.stages.clone();
    let project = Project::find_with(&args.run.file, &mut names)?;
    runtime()?.block_on(watch(args, &project, &names))
}

async fn watch(args: &Watch, project: &Project, names: &[String]) -> Result<u8, Failure> {
    let stop = CancelToken::new();
    tokio::spawn(super::run::cancel_on_signal(stop.clone()));
    let store = project.store()?;
    let (sender, mut hints) = mpsc::unbounded_channel();
    let mut folders = Folders::new(args.poll, sender)?;
    let mut known = Known::default();
    let mut workers: Option<Workers> = None;
    // Once is what was asked for; from then on a source elsewhere is as its server says.
    let mut refresh = args.run.refresh;
    let mut proved = read(args, project, &store, &mut folders, &mut known)?;
    loop {
        // A stage named on the command line may be gone after an edit.
        let ready = proved.as_ref().and_then(|proved| match options(&args.run, proved, names.to_vec()) {
            Ok(options) => Some((proved, options)),
            Err(failure) => {
                terminal::err(&failure.text);
                None
            }
        });
        let mut flight = ready.map(|(proved, options)| {
            let fitting = workers.take().filter(|of| of.fit(&proved.programs, &proved.environment, &proved.root));
            let of = fitting.unwrap_or_else(|| Workers::new(&proved.programs, &proved.environment, &proved.root));
            workers = Some(of.clone());
            let options = RunOptions { workers: Some(of), refresh: std::mem::take(&mut refresh), ..options };
            Flight::start(proved, options, reporter(&args.run, proved))
        });
        let count = known.files.len();
        let changed = {
            let mut changing = std::pin::pin!(change(&mut hints, &store, &project.root, &mut known));
            loop {
                let Some(running) = &mut flight else {
                    if !args.run.json {
                        let noun = if count == 1 { "file" } else { "files" };
                        let text = format!("watching {count} {noun} (Ctrl-C ends)");
                        terminal::err(&Styles::dim().apply_to(text).to_string());
                    }
                    tokio::select! {
                        () = stop.cancelled() => return Ok(130),
                        changed = &mut changing => break changed,
                    }
                };
                tokio::select! {
                    ended = running.until_it_ends() => {
                        ended?;
                        flight = None;
                    }
                    () = stop.cancelled() => {
                        running.cancel.cancel();
                        running.until_it_ends().await?;
                        return Ok(130);
                    }
                    changed = &mut changing => break changed,
                }
            }
        };
        if !proved.as_ref().is_some_and(|proved| changed.iter().all(|path| only_programs_read(&proved.plan, path))) {
            proved = read(args, project, &store, &mut folders, &mut known)?;
        }
        if let Some(running) = flight {
            running.retire(proved.as_ref()).await?;
        }
        if !args.run.json {
            let shown: Vec<String> = changed
                .iter()
                .take(3)
                .map(|path| path.strip_prefix(&project.root).unwrap_or(path).display().to_string())
                .collect();
            let more = if changed.len() > 3 { format!(" and {} more", changed.len() - 3) } else { String::new() };
            terminal::err(&format!("\n{} {}{more} changed", Styles::busy().apply_to("↻"), shown.join(", ")));
        }
    }
}

/// Reads and proves the pipeline, and watches what it reads. `None` when it is not valid, which has been told then.
fn read(
    args: &Watch,
    project: &Project,
    store: &Store,
    folders: &mut Folders,
    known: &mut Known,
) -> Result<Option<Proved>, Failure> {
    let checked = project.prove(&args.run.file.set)?;
    if checked.proved.is_none() {
        terminal::err(&crate::project::render_all(&checked.faults, &checked.sources));
    }
    let files = watched(project, checked.proved.as_ref(), &checked.files);
    folders.watch(&files)?;
    known.keep(store, files);
    Ok(checked.proved)
}

/// A run that is going on.
struct Flight {
    handle: JoinHandle<Result<Summary, Fault>>,
    events: mpsc::UnboundedReceiver<Event>,
    reporter: Box<dyn Reporter>,
    cancel: CancelToken,
    spare: Spare,
    /// Stages at work, and under which key.
    at_work: BTreeMap<String, String>,
    /// Hits, stages that ran, that failed, that were skipped.
    counts: [usize; 4],
    stages: usize,
    begun: Instant,
    sources: Arc<Sources>,
}

impl Flight {
    fn start(proved: &Proved, options: RunOptions, reporter: Box<dyn Reporter>) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let (cancel, spare) = (CancelToken::new(), options.spare.clone());
        let run = driver::run(Arc::clone(&proved.plan), Arc::clone(&proved.store), options, sender, cancel.clone());
        Self {
            handle: tokio::spawn(run),
            events,
            reporter,
            cancel,
            spare,
            at_work: BTreeMap::new(),
            counts: [0; 4],
            stages: 0,
            begun: Instant::now(),
            sources: Arc::clone(&proved.sources),
        }
    }

    /// Shows what happens until nothing does. May be dropped and called again.
    async fn until_it_ends(&mut self) -> Result<(), Failure> {
        let ended = loop {
            tokio::select! {
                biased;
                Some(event) = self.events.recv() => self.on_event(&event),
                ended = &mut self.handle => break ended,
            }
        };
        while let Ok(event) = self.events.try_recv() {
            self.on_event(&event);
        }
        self.reporter.close();
        match ended {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(fault)) => Err(Failure { text: render(&fault, &self.sources), exit_code: ENGINE_FAILED }),
            Err(_) => {
                let fault = Fault::error("run::panic", "the engine made a mistake while it ran");
                Err(Failure::fault(&fault.help("please report this"), ENGINE_FAILED))
            }
        }
    }

    fn on_event(&mut self, event: &Event) {
        match event {
            Event::RunStarted { stages, .. } => self.stages = stages.len(),
            Event::StageStarted { stage, key, .. } => drop(self.at_work.insert(stage.clone(), key.clone())),
            Event::StageDone { stage, .. } => {
                self.at_work.remove(stage);
                self.counts[1] += 1;
            }
            Event::StageFailed { stage, retrying, .. } => {
                self.at_work.remove(stage);
                self.counts[2] += usize::from(!retrying);
            }
            Event::StageSkipped { stage, .. } => drop(self.at_work.remove(stage)),
            Event::StageHit { .. } => self.counts[0] += 1,
            _ => {}
        }
        self.reporter.event(event);
    }

    /// Ends what the changed pipeline has no use for. What it wants as well goes on, without being shown: the new run waits for it
    /// and tells of its end.
    async fn retire(mut self, proved: Option<&Proved>) -> Result<(), Failure> {
        while let Ok(event) = self.events.try_recv() {
            self.on_event(&event);
        }
        let mut wanted = BTreeMap::new();
        if let Some(proved) = proved.filter(|_| !self.at_work.is_empty()) {
            let expected =
                engine::preview::expect(&proved.plan, &proved.store, &proved.environment, &proved.root, &|_, _| None);
            for (stage, expected) in proved.plan.stages.iter().zip(expected) {
                if let Some(expected) = expected.filter(|_| self.at_work.contains_key(&stage.name)) {
                    wanted.insert(stage.name.clone(), expected.key);
                }
            }
        }
        let spared = self.at_work.iter().any(|(stage, key)| wanted.get(stage).is_some_and(|of| of.to_string() == *key));
        self.spare.set(wanted);
        self.cancel.cancel();
        if !spared {
            return self.until_it_ends().await;
        }
        let [hit, ran, failed, _] = self.counts;
        let skipped = self.stages.saturating_sub(hit + ran + failed);
        let took = self.begun.elapsed();
        self.reporter.event(&Event::RunFinished { outcome: Outcome::Cancelled, hit, ran, failed, skipped, took });
        self.reporter.close();
        let (mut events, handle) = (self.events, self.handle);
        tokio::spawn(async move {
            while events.recv().await.is_some() {}
            // What it came to is in the store; an engine failure is the new run's, too.
            let _ = handle.await;
        });
        Ok(())
    }
}

/// The pipeline's file, those it includes, and everything outside that its stages read and that no stage writes.
fn watched(project: &Project, proved: Option<&Proved>, included: &[PathBuf]) -> Vec<PathBuf> {
    let mut files = proved.map_or_else(Vec::new, |proved| proved.plan.sources());
    files.push(std::path::absolute(&project.file).unwrap_or_else(|_| project.file.clone()));
    files.extend(included.iter().map(|file| std::path::absolute(file).unwrap_or_else(|_| file.clone())));
    files.sort();
    files.dedup();
    files
}

/// Whether a change of this path cannot change the plan: programs read it, nothing is inferred from it, and it is there.
fn only_programs_read(plan: &Plan, path: &Path) -> bool {
    let mut read = false;
    for stage in &plan.stages {
        for file in &stage.files {
            let named = plan.root().join(engine::paths::normalise(&file.path, plan.root()));
            let fixed =
                if file.glob { plan.root().join(engine::pattern::Pattern::new(&file.path).fixed()) } else { named };
            if path.starts_with(&fixed) || fixed.starts_with(path) {
                if stage.executor != Executor::Command {
                    return false;
                }
                read = true;
            }
        }
    }
    read && path.exists()
}

/// What the watched paths held when they were last looked at.
#[derive(Default)]
struct Known {
    files: BTreeMap<PathBuf, Held>,
}

#[derive(Clone, PartialEq)]
struct Held {
    /// A path that cannot be read has none.
    digest: Option<Digest>,
    empty: bool,
}

impl Held {
    fn of(store: &Store, path: &Path) -> Self {
        let digest = store.file_digest(path).ok().map(|known| known.digest);
        Self { digest, empty: is_empty(path) }
    }
}

fn is_empty(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.len() == 0)
}

impl Known {
    /// Watches these paths; what was known of them stays.
    fn keep(&mut self, store: &Store, files: Vec<PathBuf>) {
        let mut before = std::mem::take(&mut self.files);
        self.files = files
            .into_iter()
            .map(|path| {
                let held = before.remove(&path).unwrap_or_else(|| Held::of(store, &path));
                (path, held)
            })
            .collect();
    }

    /// The watched paths that something at `path` is a part of, or that are below it.
    fn touched<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a PathBuf> {
        let above =
            path.ancestors().skip(1).filter_map(|folder| self.files.get_key_value(folder)).map(|(path, _)| path);
        let below = self.files.range(path.to_path_buf()..).map(|(path, _)| path);
        above.chain(below.take_while(move |file| file.starts_with(path)))
    }
}

/// Waits until the content of a watched path is another one, and says which.
async fn change(
    hints: &mut mpsc::UnboundedReceiver<PathBuf>,
    store: &Store,
    root: &Path,
    known: &mut Known,
) -> Vec<PathBuf> {
    loop {
        let mut touched: BTreeSet<PathBuf> = BTreeSet::new();
        while touched.is_empty() {
            let Some(hint) = hints.recv().await else { return std::future::pending().await };
            touched.extend(known.touched(&hint).cloned());
        }
        let mut events = 1;
        let now = tokio::time::Instant::now;
        let deadline = now() + LONGEST;
        let mut quiet = now() + QUIET;
        let mut waited = false;
        loop {
            match tokio::time::timeout_at(quiet.min(deadline), hints.recv()).await {
                Ok(Some(hint)) => {
                    let before = touched.len();
                    let mut relevant = false;
                    for path in known.touched(&hint) {
                        relevant = true;
                        touched.insert(path.clone());
                    }
                    events += usize::from(relevant);
                    if relevant {
                        let burst = events > BURST || touched.len() > before.max(2);
                        quiet = now() + if burst { QUIET_BURST } else { QUIET };
                    }
                }
                Ok(None) => break,
                Err(_) if now() >= deadline => break,
                Err(_) if root.join(".git/index.lock").exists() => quiet = now() + QUIET_BURST,
                Err(_) if !waited && touched.iter().any(|path| is_empty(path) && !known.files[path].empty) => {
                    waited = true;
                    quiet = now() + QUIET_BURST;
                }
                Err(_) => break,
            }
        }
        let mut changed = Vec::new();
        for path in touched {
            let held = Held::of(store, &path);
            if known.files.get(&path).map(|before| &before.digest) != Some(&held.digest) {
                changed.push(path.clone());
            }
            known.files.insert(path, held);
        }
        if !changed.is_empty() {
            return changed;
        }
    }
}

/// The folders the system watches for us. Editors replace files by renaming, so the folder around a file is watched.
struct Folders {
    watcher: Box<dyn Watcher + Send>,
    watched: BTreeMap<PathBuf, RecursiveMode>,
}

impl Folders {
    fn new(poll: bool, sender: mpsc::UnboundedSender<PathBuf>) -> Result<Self, Failure> {
        let handler = move |event: notify::Result<notify::Event>| {
            if let Ok(event) = event
                && !matches!(event.kind, EventKind::Access(_))
            {
                for path in event.paths {
                    let _ = sender.send(path);
                }
            }
        };
        let watcher: Box<dyn Watcher + Send> = if poll {
            let config = Config::default().with_poll_interval(Duration::from_millis(500));
            Box::new(PollWatcher::new(handler, config).map_err(|error| cannot_watch(&error))?)
        } else {
            Box::new(RecommendedWatcher::new(handler, Config::default()).map_err(|error| cannot_watch(&error))?)
        };
        Ok(Self { watcher, watched: BTreeMap::new() })
    }

    fn watch(&mut self, files: &[PathBuf]) -> Result<(), Failure> {
        let mut wanted = BTreeMap::new();
        for file in files {
            if file.is_dir() {
                wanted.insert(file.clone(), RecursiveMode::Recursive);
            }
            if let Some(parent) = file.ancestors().skip(1).find(|folder| folder.is_dir()) {
                wanted.entry(parent.to_path_buf()).or_insert(RecursiveMode::NonRecursive);
            }
        }
        for folder in self.watched.keys().filter(|folder| !wanted.contains_key(*folder)) {
            let _ = self.watcher.unwatch(folder);
        }
        for (folder, mode) in &wanted {
            if self.watched.get(folder) != Some(mode) {
                self.watcher.watch(folder, *mode).map_err(|error| cannot_watch(&error))?;
            }
        }
        self.watched = wanted;
        Ok(())
    }
}

fn cannot_watch(error: &notify::Error) -> Failure {
    Failure::user(
        "watch::unavailable",
        format!("files cannot be watched: {error}"),
        "raise `fs.inotify.max_user_watches`, or look at files every half second with `--poll`",
    )
}
