//! A worker program spoken to one line at a time, without async: for questions asked while planning.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use contract::fault::Fault;
use contract::worker::protocol::{Hello, Request, Response};

/// No line of a worker is longer; what is, is no answer.
const LONGEST_LINE: u64 = 64 << 20;
/// How much of what a worker wrote to stderr is kept for its epitaph.
const LAST_WORDS: usize = 4096;

/// A running worker. It is killed when this is dropped.
pub(crate) struct Conversation {
    name: String,
    child: Mutex<Child>,
    requests: Sender<Vec<u8>>,
    lines: Receiver<Vec<u8>>,
    last_words: Arc<Mutex<Vec<u8>>>,
    listener: thread::JoinHandle<()>,
}

impl Conversation {
    /// Starts a program. Pipes are served by threads, so that neither side can block the other for good.
    pub fn start(program: &Path, arguments: &[&str]) -> Result<Self, Fault> {
        let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
        let failed = |error: std::io::Error| {
            Fault::error("worker::start", format!("`{}` cannot be started: {}", program.display(), error.kind()))
                .help("`pipeline doctor` checks the installation")
        };
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        let (Some(mut stdin), Some(stdout), Some(mut stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(failed(std::io::ErrorKind::BrokenPipe.into()));
        };
        let (requests, to_write) = channel::<Vec<u8>>();
        thread::spawn(move || {
            for line in to_write {
                if stdin.write_all(&line).and_then(|()| stdin.flush()).is_err() {
                    break;
                }
            }
        });
        let (read, lines) = channel::<Vec<u8>>();
        thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            loop {
                let mut line = Vec::new();
                match (&mut stdout).take(LONGEST_LINE).read_until(b'\n', &mut line) {
                    Ok(count) if count > 0 && read.send(line).is_ok() => {}
                    _ => break,
                }
            }
        });
        let last_words = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&last_words);
        let listener = thread::spawn(move || {
            let mut buffer = [0; 1024];
            while let Ok(count @ 1..) = stderr.read(&mut buffer) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(&buffer[..count]);
                let surplus = kept.len().saturating_sub(LAST_WORDS);
                kept.drain(..surplus);
            }
        });
        Ok(Self { name, child: Mutex::new(child), requests, lines, last_words, listener })
    }

    /// The first line of a worker.
    pub fn hello(&self, deadline: Instant) -> Result<Hello, Fault> {
        match self.receive(deadline)? {
            Response::Hello(hello) => Ok(hello),
            _ => Err(self.garbled()),
        }
    }

    /// Sends a request; whether it arrived shows in the answer.
    pub fn send(&self, request: &Request) {
        if let Ok(mut line) = serde_json::to_vec(request) {
            line.push(b'\n');
            let _ = self.requests.send(line);
        }
    }

    /// The next line.
    pub fn receive(&self, deadline: Instant) -> Result<Response, Fault> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => serde_json::from_slice(&line).map_err(|_| self.garbled()),
            Err(RecvTimeoutError::Timeout) => Err(Fault::error(
                "worker::silent",
                format!("`{}` does not answer", self.name),
            )
            .help(
                "if the files are very large or far away, try again; otherwise `pipeline doctor` checks the program",
            )),
            Err(RecvTimeoutError::Disconnected) => Err(self.crashed()),
        }
    }

    fn garbled(&self) -> Fault {
        Fault::error("worker::protocol", format!("`{}` says something that is no answer", self.name))
            .help("install the three programs together; `pipeline doctor` checks them")
    }

    fn crashed(&self) -> Fault {
        // Its output is closed: it is gone or about to be. A child of its own may keep stderr open, so neither the
        // end of the process nor that of its last words is waited for without a limit.
        let mut status = None;
        for _ in 0..200 {
            let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
            status = child.try_wait().ok().flatten();
            drop(child);
            if status.is_some() && self.listener.is_finished() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let how = status.map_or_else(|| "closed its output".to_owned(), ending);
        let words = self.last_words.lock().unwrap_or_else(PoisonError::into_inner);
        let words = String::from_utf8_lossy(&words);
        let last = words.lines().rev().map(str::trim).find(|line| !line.is_empty());
        let fault = Fault::error("worker::crashed", format!("`{}` {how} before it answered", self.name));
        match last {
            Some(line) => fault.help(format!("its last words were: {}", line.chars().take(300).collect::<String>())),
            None => fault.help("`pipeline doctor` checks the program; was memory short?"),
        }
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        // It may be gone already; either way it is waited for, so that no zombie stays.
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// How a process ended, in words.
fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".into(),
    }
}
