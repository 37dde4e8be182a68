//! `pipeline watch`: runs, waits for a change of the pipeline or of a file it reads, and runs again. Events of the file
//! system are hints; the content decides.
//!
//! A newer change cancels what it makes stale and only that: stages at work under a key that the changed pipeline has as well go
//! on, and the new run, which begins at once, waits for them and takes their results. While the pipeline cannot be read, or
//! something it reads is missing, that is said and what runs goes on. Worker processes outlive the runs. What
//! did not change is not read again: after an edit of a file that only programs read, the plan stays.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cache::{Digest, DigestSet, Store};
use contract::fault::Fault;
use contract::kind::Program;
use engine::event::{Event, Outcome};
use engine::plan::Plan;
use engine::run::driver::{self, CancellationToken, RunOptions, Spare, Summary, Workers};
use notify::event::ModifyKind;
use notify::{Config, EventKind, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher};
use schemas::Sources;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::drive::{cancel_on_signal, reporter, runtime};
use super::options::RunArgs;
use crate::session::{Checked, ENGINE_FAILED, Failure, Project, Proved};
use crate::terminal::fault::{render, render_all};
use crate::terminal::plain::Reporter;
use crate::terminal::{self, Styles};

/// Quiet time after the last event before it counts: a save is several events within a millisecond or two.
const QUIET: Duration = Duration::from_millis(12);
/// The same in a burst (a checkout, a build) and while a file is empty that was not: the rest is on its way.
const QUIET_BURST: Duration = Duration::from_millis(50);
/// So many events are a burst.
const BURST: usize = 12;
/// A file that never rests (a log, a download) is looked at this often all the same.
const LONGEST: Duration = Duration::from_millis(500);
/// While git writes a checkout it holds a lock; one that stays longer than this was left behind.
const CHECKOUT: Duration = Duration::from_secs(10);

/// Run, then run again whenever the pipeline or a file it reads changes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub run: RunArgs,
    /// Look at files every so often in place of waiting for the system to tell (for network file systems).
    #[arg(long)]
    pub poll: bool,
}

/// Watches until interrupted.
///
/// # Errors
/// When there is no pipeline, no store, or the system cannot watch files.
pub fn execute(args: &Args) -> Result<u8, Failure> {
    let mut names = args.run.stages.clone();
    let project = Project::find_with(&args.run.file, &mut names)?;
    runtime()?.block_on(watch(args, &project, &names))
}

async fn watch(args: &Args, project: &Project, names: &[String]) -> Result<u8, Failure> {
    let stop = CancellationToken::new();
    tokio::spawn(cancel_on_signal(stop.clone()));
    let store = project.store()?;
    let (sender, mut hints) = mpsc::unbounded_channel();
    let mut folders = Folders::new(&project.root, args.poll, sender)?;
    let mut known = Known::default();
    let mut workers: Option<Workers> = None;
    // Once is what was asked for; from then on a source elsewhere is as its server says.
    let mut refresh = args.run.refresh;
    let mut launch = |proved: &Proved| -> Result<Flight, Failure> {
        let options = args.run.options(proved, names.to_vec())?;
        let fitting = workers.take().filter(|of| of.fit(&proved.programs, &proved.environment, &proved.root));
        let of = fitting.unwrap_or_else(|| Workers::new(&proved.programs, &proved.environment, &proved.root));
        workers = Some(of.clone());
        let options = RunOptions { workers: Some(of), refresh: std::mem::take(&mut refresh), ..options };
        Ok(Flight::start(proved, options, reporter(&args.run, proved)))
    };
    // The pipeline as it was last read without a fault; whether that is what it is now.
    let (mut proved, mut valid) = (None, false);
    let mut flight: Option<Flight> = None;
    match read(args, project, names, &store, &mut folders, &mut known)? {
        Ok(fresh) => {
            flight = Some(launch(&fresh)?);
            (proved, valid) = (Some(fresh), true);
        }
        Err(faults) => terminal::err(&faults),
    }
    loop {
        let count = known.files.len();
        let changed = {
            let mut changing = std::pin::pin!(change(&mut hints, &store, &project.root, &mut known, &mut folders));
            loop {
                let Some(running) = &mut flight else {
                    if !args.run.json {
                        let noun = if count == 1 { "file" } else { "files" };
                        let text = format!("watching {count} {noun} (Ctrl-C ends)");
                        terminal::err(&Styles::dim().apply_to(text).to_string());
                    }
                    tokio::select! {
                        () = stop.cancelled() => return Ok(130),
                        changed = &mut changing => break changed?,
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
                    changed = &mut changing => break changed?,
                }
            }
        };
        let same = |proved: &Proved| changed.iter().all(|path| only_programs_read(&proved.plan, path));
        if !(valid && proved.as_ref().is_some_and(same)) {
            match read(args, project, names, &store, &mut folders, &mut known)? {
                Ok(fresh) => (proved, valid) = (Some(fresh), true),
                Err(faults) => {
                    valid = false;
                    let text = match args.run.json {
                        true => faults,
                        false => format!("{}\n{faults}", told(&changed, &project.root)),
                    };
                    match &mut flight {
                        Some(running) => running.reporter.say(&text),
                        None => terminal::err(&text),
                    }
                    continue;
                }
            }
        }
        let Some(proved) = &proved else { continue };
        if let Some(running) = flight.take() {
            running.retire(proved).await?;
        }
        if !args.run.json {
            terminal::err(&told(&changed, &project.root));
        }
        flight = Some(launch(proved)?);
    }
}

/// What changed, in a line.
fn told(changed: &[PathBuf], root: &Path) -> String {
    let shown = changed.iter().take(3).map(|path| path.strip_prefix(root).unwrap_or(path).display().to_string());
    let shown: Vec<String> = shown.collect();
    let more = if changed.len() > 3 { format!(" and {} more", changed.len() - 3) } else { String::new() };
    format!("\n{} {}{more} changed", Styles::busy().apply_to("↻"), shown.join(", "))
}

/// Reads and proves the pipeline, and watches what it reads. The inner error are its faults in words: what was watched before is
/// then watched as well, and so is what is missing, for any of it may be what mends them.
fn read(
    args: &Args,
    project: &Project,
    names: &[String],
    store: &Store,
    folders: &mut Folders,
    known: &mut Known,
) -> Result<Result<Proved, String>, Failure> {
    loop {
        let checked = project.prove(&args.run.file.set)?;
        let mut files = watched(project, &checked);
        let proved = match checked.proved {
            Some(proved) => match args.run.options(&proved, names.to_vec()) {
                Ok(_) => Ok(proved),
                // A stage named on the command line may be gone after an edit; one that never was is a slip.
                Err(failure) if known.files.is_empty() => return Err(failure),
                Err(failure) => Err(failure.text),
            },
            None => Err(render_all(&checked.faults, &checked.sources)),
        };
        if proved.is_err() {
            files.extend(known.files.keys().cloned());
            files.sort();
            files.dedup();
        }
        folders.watch(&files)?;
        let more = known.keep(store, files);
        // What was missing may have come before anybody watched for it.
        if proved.is_ok() || !more {
            return Ok(proved);
        }
    }
}

/// A run that is going on.
struct Flight {
    handle: JoinHandle<Result<Summary, Fault>>,
    events: mpsc::UnboundedReceiver<Event>,
    reporter: Box<dyn Reporter>,
    cancel: CancellationToken,
    spare: Spare,
    /// Stages at work, and under which key.
    at_work: BTreeMap<String, String>,
    /// Stages that were told of and whose end was not.
    open: BTreeSet<String>,
    /// Hits, stages that ran, that failed, that were skipped.
    counts: [usize; 4],
    stages: usize,
    begun: Instant,
    sources: Arc<Sources>,
}

impl Flight {
    fn start(proved: &Proved, options: RunOptions, reporter: Box<dyn Reporter>) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let (cancel, spare) = (CancellationToken::new(), options.spare.clone());
        let run = driver::run(Arc::clone(&proved.plan), Arc::clone(&proved.store), options, sender, cancel.clone());
        Self {
            handle: tokio::spawn(run),
            events,
            reporter,
            cancel,
            spare,
            at_work: BTreeMap::new(),
            open: BTreeSet::new(),
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
                let fault = Fault::error(contract::code!("run::panic"), "the engine made a mistake while it ran");
                Err(Failure::fault(&fault.help("please report this"), ENGINE_FAILED))
            }
        }
    }

    fn on_event(&mut self, event: &Event) {
        match event {
            Event::RunStarted { stages, .. } => {
                self.stages = stages.len();
                self.open.extend(stages.iter().cloned());
            }
            Event::StageExpanded { children, .. } => self.open.extend(children.iter().cloned()),
            Event::StageStarted { stage, key, .. } => drop(self.at_work.insert(stage.clone(), key.clone())),
            Event::StageDone { stage, .. } => {
                self.at_work.remove(stage);
                self.open.remove(stage);
                self.counts[1] += 1;
            }
            Event::StageFailed { stage, retrying, .. } => {
                self.at_work.remove(stage);
                if !retrying {
                    self.open.remove(stage);
                    self.counts[2] += 1;
                }
            }
            Event::StageSkipped { stage, .. } => {
                self.at_work.remove(stage);
                self.open.remove(stage);
            }
            Event::StageHit { stage, .. } => {
                self.open.remove(stage);
                self.counts[0] += 1;
            }
            _ => {}
        }
        self.reporter.event(event);
    }

    /// Ends what the changed pipeline has no use for. What it wants as well goes on, without being shown: the new run waits for it
    /// and tells of its end.
    async fn retire(mut self, proved: &Proved) -> Result<(), Failure> {
        while let Ok(event) = self.events.try_recv() {
            self.on_event(&event);
        }
        let mut wanted = DigestSet::default();
        if !self.at_work.is_empty() {
            let expected = engine::run::preview::expect(
                &proved.plan,
                &proved.store,
                &proved.environment,
                &proved.root,
                &|_, _| None,
            );
            // What is never reused would run again in any case.
            let cached = proved.plan.stages.iter().zip(expected).filter(|(stage, _)| stage.cache);
            wanted.extend(cached.filter_map(|(_, expected)| expected.map(|expected| expected.key)));
        }
        let spared = |key: &str| key.parse().is_ok_and(|key: Digest| wanted.contains(&key));
        let (kept, lost): (Vec<_>, Vec<_>) = self.at_work.iter().partition(|(_, key)| spared(key));
        let kept = !kept.is_empty();
        let lost: Vec<String> = lost.into_iter().map(|(stage, _)| stage.clone()).collect();
        self.spare.set(wanted);
        self.cancel.cancel();
        if !kept {
            return self.until_it_ends().await;
        }
        // Of this run every stage has ended: what is kept is told by the next one from its beginning.
        for stage in std::mem::take(&mut self.open) {
            self.reporter.event(&Event::StageSkipped { stage: stage.clone(), because: stage });
        }
        let [hit, ran, failed, _] = self.counts;
        let skipped = self.stages.saturating_sub(hit + ran + failed);
        let (outcome, took) = (Outcome::Cancelled, self.begun.elapsed());
        self.reporter.event(&Event::RunFinished { outcome, hit, ran, failed, skipped, took, lost });
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
fn watched(project: &Project, checked: &Checked) -> Vec<PathBuf> {
    let mut files = checked.reads.clone();
    files.push(std::path::absolute(&project.file).unwrap_or_else(|_| project.file.clone()));
    files.extend(checked.files.iter().map(|file| std::path::absolute(file).unwrap_or_else(|_| file.clone())));
    files.sort();
    files.dedup();
    files
}

/// Whether a change of this path cannot change the plan: programs read it, nothing is inferred from it, and it is there.
fn only_programs_read(plan: &Plan, path: &Path) -> bool {
    let mut read = false;
    for stage in &plan.stages {
        for file in &stage.files {
            let named = plan.root().join(engine::plan::paths::normalise(&file.path, plan.root()));
            let fixed =
                if file.glob { plan.root().join(contract::pattern::Pattern::new(&file.path).fixed()) } else { named };
            if path.starts_with(&fixed) || fixed.starts_with(path) {
                if stage.program != Program::Command {
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
    /// Watches these paths; what was known of them stays. Whether there is one among them that was not known.
    fn keep(&mut self, store: &Store, files: Vec<PathBuf>) -> bool {
        let mut before = std::mem::take(&mut self.files);
        let mut more = false;
        let held = files.into_iter().map(|path| {
            let held = before.remove(&path).unwrap_or_else(|| {
                more = true;
                Held::of(store, &path)
            });
            (path, held)
        });
        self.files = held.collect();
        more
    }

    /// The watched paths that something at `path` is a part of, or that are below it.
    fn touched<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a PathBuf> {
        let above =
            path.ancestors().skip(1).filter_map(|folder| self.files.get_key_value(folder)).map(|(path, _)| path);
        let below = self.files.range(path.to_path_buf()..).map(|(path, _)| path);
        above.chain(below.take_while(move |file| file.starts_with(path)))
    }
}

/// What the system says of a path.
struct Hint {
    path: PathBuf,
    /// Whether something came, went or was renamed.
    moved: bool,
}

/// Waits until the content of a watched path is another one, and says which.
async fn change(
    hints: &mut mpsc::UnboundedReceiver<Hint>,
    store: &Store,
    root: &Path,
    known: &mut Known,
    folders: &mut Folders,
) -> Result<Vec<PathBuf>, Failure> {
    let git = git_lock(root);
    loop {
        let mut touched: BTreeSet<PathBuf> = BTreeSet::new();
        let mut moved = false;
        while touched.is_empty() {
            let Some(hint) = hints.recv().await else { return std::future::pending().await };
            touched.extend(known.touched(&hint.path).cloned());
            moved = hint.moved && !touched.is_empty();
            folders.note(&hint);
        }
        let mut events = 1;
        let now = tokio::time::Instant::now;
        let begun = now();
        let mut deadline = begun + LONGEST;
        let mut quiet = begun + QUIET;
        let mut waited = false;
        loop {
            match tokio::time::timeout_at(quiet.min(deadline), hints.recv()).await {
                Ok(Some(hint)) => {
                    let before = touched.len();
                    let mut relevant = false;
                    for path in known.touched(&hint.path) {
                        relevant = true;
                        touched.insert(path.clone());
                    }
                    moved |= hint.moved && relevant;
                    folders.note(&hint);
                    events += usize::from(relevant);
                    if relevant {
                        let burst = events > BURST || touched.len() > before.max(2);
                        quiet = now() + if burst { QUIET_BURST } else { QUIET };
                    }
                }
                Ok(None) => break,
                Err(_) if git.as_ref().is_some_and(|lock| lock.exists()) && now() < begun + CHECKOUT => {
                    quiet = now() + QUIET_BURST;
                    deadline = deadline.max(quiet);
                }
                Err(_) if now() >= deadline => break,
                Err(_) if !waited && touched.iter().any(|path| is_empty(path) && !known.files[path].empty) => {
                    waited = true;
                    quiet = now() + QUIET_BURST;
                }
                Err(_) => break,
            }
        }
        if moved {
            // A folder that came is watched before the files are looked at, so that nothing comes in between.
            folders.watch(known.files.keys())?;
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
            return Ok(changed);
        }
    }
}

/// The lock that git holds while it changes the files of a checkout this folder lies in.
fn git_lock(root: &Path) -> Option<PathBuf> {
    let git = root.ancestors().map(|folder| folder.join(".git")).find(|git| git.exists())?;
    if git.is_dir() {
        return Some(git.join("index.lock"));
    }
    // A worktree of its own has a file that names the folder.
    let text = std::fs::read_to_string(&git).ok()?;
    let folder = text.strip_prefix("gitdir:")?.trim();
    Some(git.with_file_name(folder).join("index.lock"))
}

/// The folders the system watches for us. Editors replace files by renaming, so the nearest folder around a file is watched that
/// is there, and those around it up to the pipeline's, for they come and go as well.
struct Folders {
    watcher: Box<dyn Watcher + Send>,
    /// The pipeline's folder.
    root: PathBuf,
    watched: BTreeMap<PathBuf, Watching>,
}

/// How a folder is watched, and which one it was: device and inode.
#[derive(Clone, Copy, PartialEq)]
struct Watching {
    mode: RecursiveMode,
    of: (u64, u64),
}

impl Folders {
    fn new(root: &Path, poll: bool, sender: mpsc::UnboundedSender<Hint>) -> Result<Self, Failure> {
        let handler = move |event: notify::Result<notify::Event>| {
            if let Ok(event) = event
                && !matches!(event.kind, EventKind::Access(_))
            {
                let moved = !matches!(event.kind, EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_)));
                for path in event.paths {
                    let _ = sender.send(Hint { path, moved });
                }
            }
        };
        let watcher: Box<dyn Watcher + Send> = if poll {
            let config = Config::default().with_poll_interval(Duration::from_millis(500));
            Box::new(PollWatcher::new(handler, config).map_err(|error| cannot_watch(&error))?)
        } else {
            Box::new(RecommendedWatcher::new(handler, Config::default()).map_err(|error| cannot_watch(&error))?)
        };
        Ok(Self { watcher, root: root.to_owned(), watched: BTreeMap::new() })
    }

    /// Takes note of a hint: a folder that came or went is not the one that is watched any more, even where its successor got
    /// its inode. [`Folders::watch`] then watches what is there.
    fn note(&mut self, hint: &Hint) {
        if !hint.moved {
            return;
        }
        let gone: Vec<PathBuf> = (self.watched.range(hint.path.clone()..).map(|(folder, _)| folder))
            .take_while(|folder| folder.starts_with(&hint.path))
            .cloned()
            .collect();
        for folder in gone {
            let _ = self.watcher.unwatch(&folder);
            self.watched.remove(&folder);
        }
    }

    /// Watches what is around these files, and nothing else.
    fn watch<'a>(&mut self, files: impl IntoIterator<Item = &'a PathBuf>) -> Result<(), Failure> {
        let mut wanted: BTreeMap<PathBuf, RecursiveMode> = BTreeMap::new();
        for file in files {
            if file.is_dir() {
                wanted.insert(file.clone(), RecursiveMode::Recursive);
            }
            let mut nearest = true;
            for folder in file.ancestors().skip(1) {
                let above = folder.parent().is_none() || folder != self.root && self.root.starts_with(folder);
                if wanted.contains_key(folder) || above && !nearest {
                    break;
                }
                if folder.is_dir() {
                    wanted.insert(folder.to_path_buf(), RecursiveMode::NonRecursive);
                    nearest = false;
                }
            }
        }
        // What lies in a folder that is watched with all it holds is watched already.
        let whole: Vec<PathBuf> = wanted
            .iter()
            .filter(|(_, mode)| **mode == RecursiveMode::Recursive)
            .map(|(path, _)| path.clone())
            .collect();
        wanted.retain(|folder, _| !whole.iter().any(|above| folder != above && folder.starts_with(above)));
        for folder in self.watched.keys().filter(|folder| !wanted.contains_key(*folder)) {
            let _ = self.watcher.unwatch(folder);
        }
        let mut watched = BTreeMap::new();
        for (folder, mode) in wanted {
            // One that goes just now is no longer around anything; its parent tells when it comes back.
            let Ok(meta) = folder.metadata() else { continue };
            let now = Watching { mode, of: (meta.dev(), meta.ino()) };
            if self.watched.get(&folder) != Some(&now) {
                if self.watched.contains_key(&folder) {
                    let _ = self.watcher.unwatch(&folder);
                }
                match self.watcher.watch(&folder, mode) {
                    Ok(()) => {}
                    Err(_) if !folder.is_dir() => continue,
                    Err(error) => return Err(cannot_watch(&error)),
                }
            }
            watched.insert(folder, now);
        }
        self.watched = watched;
        Ok(())
    }
}

fn cannot_watch(error: &notify::Error) -> Failure {
    Failure::user(
        contract::code!("watch::unavailable"),
        format!("files cannot be watched: {error}"),
        "raise `fs.inotify.max_user_watches`, or look at files every half second with `--poll`",
    )
}
