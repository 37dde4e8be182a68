//! The shortcut of `run`: nothing has moved since the last time, so there is nothing to read, plan or do.

use std::path::PathBuf;

use cache::{Digest, Store};
use engine::run::driver::Summary;
use engine::run::snapshot::{self, Unmoved};

use super::lock::lock_file;
use super::options::RunArgs;
use crate::session::{FileArgs, Project, Proved, find_programs};

/// Where the snapshot of a run would be, and under which name.
pub struct Shortcut {
    folder: PathBuf,
    root: PathBuf,
    name: Digest,
    /// The lock file, where a run writes it.
    lock: Option<PathBuf>,
}

impl Shortcut {
    /// `None` where a run always goes the long way: every event is wanted, something is to run in any case, only some stages are
    /// asked for, or the lock file is to be compared.
    pub fn of(args: &RunArgs, project: &Project, targets: &[String]) -> Option<Self> {
        // Without `..`: an option that is added later must decide here what it means for a run with nothing to do.
        let RunArgs { file, stages: _, force, refresh, keep_going, jobs, json, verbose: _, quiet: _ } = args;
        let FileArgs { file: _, profile, set } = file;
        if *json || *refresh || !force.is_empty() || !targets.is_empty() {
            return None;
        }
        let jobs = jobs.map_or_else(String::new, |jobs| jobs.to_string());
        let mut options = vec![("jobs", jobs.as_str()), ("keep_going", if *keep_going { "yes" } else { "no" })];
        options.extend(profile.iter().map(|profile| ("profile", profile.as_str())));
        options.extend(set.iter().map(|set| ("set", set.as_str())));
        let name = snapshot::name(&project.file, &options, &find_programs())?;
        let lock = (set.is_empty() && profile.is_none()).then(|| lock_file(project));
        Some(Self { folder: project.store_folder(), root: project.root.clone(), name, lock })
    }

    /// What the last run has left, when nothing of it has moved.
    pub fn unmoved(&self) -> Option<Unmoved> {
        // A store is made by the long way only.
        if !self.folder.join("snapshots-v1").is_dir() {
            return None;
        }
        let store = Store::glance(&self.folder).ok()?;
        snapshot::unmoved(&store, &self.name, &self.root)
    }

    /// Keeps what the next run needs. A snapshot that cannot be kept costs the next run its shortcut, no more.
    pub fn keep(&self, proved: &Proved, summary: &Summary) {
        let texts: Vec<(PathBuf, &str)> = proved.sources.files().map(|(name, text)| (name.into(), text)).collect();
        let others = proved.files.iter().filter(|path| !texts.iter().any(|(read, _)| read == *path));
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let written: Vec<PathBuf> = self.lock.iter().chain(others).map(absolute).collect();
        let _ = snapshot::take(&proved.plan, &proved.store, &proved.environment, summary, &texts, &written, &self.name);
    }
}
