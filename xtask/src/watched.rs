//! From a saved file to the first stage that starts, under `pipeline watch`.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::shell::{Done, failed, failure};

/// A `pipeline watch` that is ended with its measurement, however that ends.
struct Watcher {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watcher {
    fn start(program: &Path, folder: &Path, jobs: &str) -> Done<Self> {
        let mut child = Command::new(program)
            .args(["watch", "--json", "--jobs", jobs])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed("start", program))?;
        let Some(stdout) = child.stdout.take() else { return Err(failure("no output to read".to_owned())) };
        Ok(Self { child, lines: BufReader::new(stdout).lines() })
    }

    /// Waits for an event.
    fn until(&mut self, event: &str) -> Done {
        for line in &mut self.lines {
            let line = line.map_err(|error| failure(format!("`pipeline watch` cannot be read: {error}")))?;
            if serde_json::from_str::<Value>(&line).is_ok_and(|value| value["event"] == event) {
                return Ok(());
            }
        }
        Err(failure(format!("`pipeline watch` ended before `{event}`")))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The seconds of each of so many edits of the leaf `in/0`, sorted: from the return of the write to the arrival of
/// the first `stage_started`. Every one waits for the run before it.
pub fn delays(program: &Path, folder: &Path, jobs: &str, edits: usize) -> Done<Vec<f64>> {
    let mut watcher = Watcher::start(program, folder, jobs)?;
    watcher.until("run_finished")?;
    let leaf = folder.join("in/0");
    let mut delays = Vec::with_capacity(edits);
    for edit in 0..edits {
        // As an editor does it: a person does not save within milliseconds of the end of a run.
        std::thread::sleep(std::time::Duration::from_millis(200));
        fs::write(&leaf, format!("watched edit {edit} of {}\n", std::process::id())).map_err(failed("write", &leaf))?;
        let saved = Instant::now();
        watcher.until("stage_started")?;
        delays.push(saved.elapsed().as_secs_f64());
        watcher.until("run_finished")?;
    }
    delays.sort_by(f64::total_cmp);
    Ok(delays)
}
