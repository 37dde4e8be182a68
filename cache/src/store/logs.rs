//! The logs of work: the lines of each attempt.
//!
//! `logs-v1/<run>/<label>.log` is plain text, one file per run and label. It is made with the first
//! line and written line by line, so that killed work has its log, too. An attempt begins with `==
//! attempt N`; every other line is `SECONDS MARK TEXT`: the time since the attempt began, `i`, `w`
//! or `e`, and the text. For a very long attempt only the beginning and the end are kept.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::{Digest, Store};

/// Most bytes that are kept of the beginning of an attempt.
const MAX_HEAD_BYTES: usize = 1 << 20;
/// Most bytes that are kept of the end of a longer attempt.
const MAX_TAIL_BYTES: usize = 1 << 20;
/// Longest label in a file name, in bytes. A longer one is cut, and a digest of it is appended.
const MAX_NAME_BYTES: usize = 180;

/// Writes the log of one attempt. Nothing is made before the first line; the end is written when it
/// is dropped.
#[derive(Debug)]
pub struct LogWriter {
    path: PathBuf,
    attempt: u32,
    begun: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    file: Option<File>,
    /// Whether the file could not be made or written. The work goes on without its log.
    broken: bool,
    written: usize,
    tail: VecDeque<String>,
    held: usize,
    dropped: u64,
}

/// The log of one label in one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// The run.
    pub run: String,
    /// Its attempts, in the order they were begun.
    pub attempts: Vec<LogAttempt>,
}

/// The lines of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogAttempt {
    /// 1 for the first try.
    pub attempt: u32,
    /// Its lines.
    pub lines: Vec<LogLine>,
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Milliseconds since the attempt began.
    pub at: u64,
    /// `i` (info), `w` (warning) or `e` (error).
    pub mark: char,
    /// The words.
    pub text: String,
}

impl LogWriter {
    /// Adds text; several lines become several entries.
    pub fn line(&self, mark: char, text: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let at = self.begun.elapsed().as_secs_f64();
        for text in text.lines() {
            state.add(&self.path, self.attempt, format!("{at:.3} {mark} {text}\n"));
        }
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.state.get_mut().unwrap_or_else(PoisonError::into_inner).finish();
    }
}

impl State {
    fn add(&mut self, path: &PathBuf, attempt: u32, line: String) {
        if self.broken {
            return;
        }
        if self.file.is_none() {
            let open = || {
                if let Some(folder) = path.parent() {
                    fs::create_dir_all(folder)?;
                }
                let mut file = File::options().append(true).create(true).open(path)?;
                file.write_all(format!("== attempt {attempt}\n").as_bytes())?;
                Ok::<_, std::io::Error>(file)
            };
            self.file = open().ok();
            self.broken = self.file.is_none();
        }
        if self.written < MAX_HEAD_BYTES {
            self.written += line.len();
            self.write(line.as_bytes());
            return;
        }
        self.held += line.len();
        self.tail.push_back(line);
        while self.held > MAX_TAIL_BYTES
            && let Some(first) = self.tail.pop_front()
        {
            self.held -= first.len();
            self.dropped += 1;
        }
    }

    fn finish(&mut self) {
        let mut rest = String::new();
        if self.dropped > 0 {
            let _ = writeln!(rest, "0 w … {} lines are left out here …", self.dropped);
        }
        rest.extend(self.tail.drain(..));
        if !rest.is_empty() {
            self.write(rest.as_bytes());
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(file) = &mut self.file {
            self.broken |= file.write_all(bytes).is_err();
        }
    }
}

impl Store {
    /// The log of an attempt that begins now.
    pub fn log_writer(&self, run: &str, label: &str, attempt: u32) -> LogWriter {
        let path = self.log_path(run, label);
        LogWriter { path, attempt, begun: Instant::now(), state: Mutex::default() }
    }

    /// Where the log of a label in a run lies, whether or not there is one.
    pub fn log_path(&self, run: &str, label: &str) -> PathBuf {
        self.logs_folder().join(file_name(run)).join(format!("{}.log", file_name(label)))
    }

    /// The log of a label in a run; `None` when it has no line.
    pub fn log(&self, run: &str, label: &str) -> Option<LogFile> {
        let bytes = fs::read(self.log_path(run, label)).ok()?;
        Some(LogFile { run: run.to_owned(), attempts: parse(&String::from_utf8_lossy(&bytes)) })
    }

    /// The runs that have logs, newest first.
    pub fn logged_runs(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.logs_folder()) else { return Vec::new() };
        let mut runs: Vec<String> =
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        // Their names begin with the time.
        runs.sort_unstable_by(|a, b| b.cmp(a));
        runs
    }

    /// Removes the logs of all runs but the newest `keep` of those that have any.
    pub fn prune_logs(&self, keep: usize) {
        for run in self.logged_runs().into_iter().skip(keep) {
            // What cannot be removed is tried again by the next run.
            let _ = fs::remove_dir_all(self.logs_folder().join(run));
        }
    }

    fn logs_folder(&self) -> PathBuf {
        self.layout.root.join("logs-v1")
    }
}

fn parse(text: &str) -> Vec<LogAttempt> {
    let mut attempts: Vec<LogAttempt> = Vec::new();
    for line in text.lines() {
        if let Some(number) = line.strip_prefix("== attempt ") {
            attempts.push(LogAttempt { attempt: number.parse().unwrap_or(0), lines: Vec::new() });
            continue;
        }
        let Some(attempt) = attempts.last_mut() else { continue };
        let mut parts = line.splitn(3, ' ');
        let (Some(at), Some(mark)) = (parts.next(), parts.next()) else { continue };
        let (Ok(at), Some(mark)) = (at.parse::<f64>(), mark.chars().next()) else { continue };
        let text = parts.next().unwrap_or_default().to_owned();
        attempt.lines.push(LogLine { at: (at * 1000.0).round() as u64, mark, text });
    }
    attempts
}

/// A name as a file's: what could mean something to a file system is written `%XX`.
fn file_name(name: &str) -> String {
    let mut safe = String::with_capacity(name.len());
    for (position, byte) in name.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'=' | b'[' | b']' | b',' => {
                safe.push(byte as char)
            }
            b'.' if position > 0 => safe.push('.'),
            _ => {
                let _ = write!(safe, "%{byte:02X}");
            }
        }
    }
    if safe.len() > MAX_NAME_BYTES {
        let digest = Digest::of(name.as_bytes()).to_string();
        safe.truncate(MAX_NAME_BYTES - 17);
        safe.push('~');
        safe.push_str(&digest[..16]);
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join(".pipeline")).unwrap();
        (folder, store)
    }

    #[test]
    fn attempts_are_kept_apart_and_silence_leaves_no_file() {
        let (_folder, store) = store();
        drop(store.log_writer("r1", "train", 1));
        assert_eq!(store.log("r1", "train"), None);
        store.log_writer("r1", "train", 1).line('i', "one\n\ntwo  spaces");
        store.log_writer("r1", "train", 2).line('e', "== attempt 9 is a line");
        let log = store.log("r1", "train").unwrap();
        let told: Vec<(u32, Vec<(char, &str)>)> = log
            .attempts
            .iter()
            .map(|a| (a.attempt, a.lines.iter().map(|line| (line.mark, line.text.as_str())).collect()))
            .collect();
        let first = vec![('i', "one"), ('i', ""), ('i', "two  spaces")];
        assert_eq!(told, [(1, first), (2, vec![('e', "== attempt 9 is a line")])]);
        // The lines are there while the work goes on.
        let writer = store.log_writer("r2", "train", 1);
        writer.line('w', "half");
        assert_eq!(store.log("r2", "train").unwrap().attempts[0].lines[0].text, "half");
        assert_eq!(store.logged_runs(), ["r2", "r1"]);
        store.prune_logs(1);
        assert_eq!(store.logged_runs(), ["r2"]);
    }

    #[test]
    fn names_cannot_leave_the_folder() {
        assert_eq!(file_name("model[seed=1]"), "model[seed=1]");
        assert_eq!(file_name("../x/y"), "%2E.%2Fx%2Fy");
        assert_eq!(file_name("ä"), "%C3%A4");
        let (a, b) = (file_name(&"x".repeat(500)), file_name(&"x".repeat(501)));
        assert!(a.len() <= MAX_NAME_BYTES && a != b);
    }

    #[test]
    fn of_a_flood_the_beginning_and_the_end_are_kept() {
        let (_folder, store) = store();
        let writer = store.log_writer("r", "s", 1);
        let long = "x".repeat(1000);
        for number in 0..5000 {
            writer.line('i', &format!("{number} {long}"));
        }
        drop(writer);
        let size = fs::metadata(store.log_path("r", "s")).unwrap().len() as usize;
        assert!(size <= MAX_HEAD_BYTES + MAX_TAIL_BYTES + 4096, "{size}");
        let lines = store.log("r", "s").unwrap().attempts.remove(0).lines;
        assert!(lines[0].text.starts_with("0 x") && lines.last().unwrap().text.starts_with("4999 x"));
        assert!(lines.iter().any(|line| line.text.ends_with("lines are left out here …")));
    }
}
