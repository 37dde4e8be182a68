//! `pipeline watch`: runs, waits for a change of the pipeline or of a file it reads, and runs again. A newer change
//! cancels the run in flight. Events of the file system are hints; the content decides.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cache::{Digest, Store};
use engine::driver::CancelToken;
use notify::{Config, EventKind, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use super::run::{drive, options, reporter, runtime};
use crate::cli::Watch;
use crate::project::{Failure, Project, Proved};
use crate::report::terminal::{self, Styles};

/// Quiet time after an event before it counts: editors write in several steps.
const QUIET: Duration = Duration::from_millis(30);
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
    loop {
        // The watched files are noted before the run, so that an edit during it is seen as one.
        let checked = project.prove(&args.run.file.set)?;
        let files = watched(project, checked.proved.as_ref());
        folders.watch(&files)?;
        let mut known = digests(&store, &files);
        let ready = match checked.proved {
            // A stage named on the command line may be gone after an edit.
            Some(proved) => match options(&args.run, &proved, names.to_vec()) {
                Ok(options) => Some((proved, options)),
                Err(failure) => {
                    terminal::err(&failure.text);
                    None
                }
            },
            None => {
                terminal::err(&crate::project::render_all(&checked.faults, &checked.sources));
                None
            }
        };
        let changed = match ready {
            Some((proved, options)) => {
                let cancel = CancelToken::new();
                let mut reporter = reporter(&args.run, &proved);
                let run = drive(&proved, options, &mut *reporter, cancel.clone());
                let mut run = std::pin::pin!(run);
                tokio::select! {
                    ended = &mut run => { ended?; None }
                    () = stop.cancelled() => { cancel.cancel(); run.await?; return Ok(130) }
                    changed = change(&mut hints, &store, &files, &mut known) => {
                        cancel.cancel();
                        run.await?;
                        Some(changed)
                    }
                }
            }
            None => None,
        };
        let changed = match changed {
            Some(changed) => changed,
            None => {
                if !args.run.json {
                    let count = files.len();
                    let noun = if count == 1 { "file" } else { "files" };
                    terminal::err(
                        &Styles::dim().apply_to(format!("watching {count} {noun} (Ctrl-C ends)")).to_string(),
                    );
                }
                tokio::select! {
                    () = stop.cancelled() => return Ok(130),
                    changed = change(&mut hints, &store, &files, &mut known) => changed,
                }
            }
        };
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

/// The pipeline's file and everything outside that its stages read and that no stage writes.
fn watched(project: &Project, proved: Option<&Proved>) -> Vec<PathBuf> {
    let mut files = proved.map_or_else(Vec::new, |proved| proved.plan.sources());
    files.push(std::path::absolute(&project.file).unwrap_or_else(|_| project.file.clone()));
    files.sort();
    files.dedup();
    files
}

/// What the watched paths hold now; a path that cannot be read has no digest.
fn digests(store: &Store, files: &[PathBuf]) -> BTreeMap<PathBuf, Option<Digest>> {
    files.iter().map(|path| (path.clone(), digest(store, path))).collect()
}

fn digest(store: &Store, path: &Path) -> Option<Digest> {
    store.file_digest(path).ok().map(|known| known.digest)
}

/// Waits until the content of a watched path is another one, and says which.
async fn change(
    hints: &mut mpsc::UnboundedReceiver<PathBuf>,
    store: &Store,
    files: &[PathBuf],
    known: &mut BTreeMap<PathBuf, Option<Digest>>,
) -> Vec<PathBuf> {
    loop {
        let Some(first) = hints.recv().await else { return std::future::pending().await };
        let mut touched = vec![first];
        let deadline = tokio::time::Instant::now() + LONGEST;
        loop {
            let quiet = tokio::time::Instant::now() + QUIET;
            match tokio::time::timeout_at(quiet.min(deadline), hints.recv()).await {
                Ok(Some(path)) => touched.push(path),
                _ => break,
            }
        }
        let mut changed = Vec::new();
        for file in
            files.iter().filter(|file| touched.iter().any(|path| path.starts_with(file) || file.starts_with(path)))
        {
            let now = digest(store, file);
            if known.get(file) != Some(&now) {
                known.insert(file.clone(), now);
                changed.push(file.clone());
            }
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
