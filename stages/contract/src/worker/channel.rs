//! How a running stage talks: progress, metrics, log lines.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::stdout;
use crate::worker::protocol::{Level, Progress, Response, Sample};

/// Progress lines are at least this far apart (about 20 a second); the last one always goes out.
const INTERVAL: Duration = Duration::from_millis(50);

/// Where a running stage reports to. Cheap to clone; may be used from several threads.
#[derive(Clone)]
pub struct Channel {
    line: Line,
    id: u64,
    pace: Arc<Mutex<Pace>>,
}

#[derive(Default)]
struct Pace {
    last: Option<Instant>,
    held: Option<Progress>,
}

impl Channel {
    pub(super) fn new(line: Line, id: u64) -> Self {
        Self { line, id, pace: Arc::default() }
    }

    /// A channel nobody listens to, for tests of stages.
    pub fn silent() -> Self {
        Self::to(io::sink())
    }

    /// A channel that writes its lines ([`Response`] as JSON, id 0) somewhere else, for tests of stages.
    pub fn to(writer: impl Write + Send + 'static) -> Self {
        Self::new(Line::new(writer), 0)
    }

    /// Says how far the stage is. May be called as often as is convenient: lines are thinned out here.
    pub fn progress(&self, mut progress: Progress) {
        if progress.rate.as_ref().is_some_and(|(rate, _)| !rate.is_finite()) {
            progress.rate = None;
        }
        let Ok(mut pace) = self.pace.lock() else { return };
        let due = pace.last.is_none_or(|last| last.elapsed() >= INTERVAL);
        if due || progress.total == Some(progress.done) {
            pace.last = Some(Instant::now());
            pace.held = None;
            self.line.send(&Response::Progress { id: self.id, progress });
        } else {
            pace.held = Some(progress);
        }
    }

    /// A point of a curve. A value that is no number (NaN, infinite) cannot be drawn and is left out.
    pub fn metric(&self, name: impl Into<String>, step: u64, value: f64) {
        if value.is_finite() {
            let sample = Sample { name: name.into(), step, value };
            self.line.send(&Response::Metric { id: self.id, sample });
        }
    }

    /// A line for the stage's log; text of several lines becomes several.
    pub fn log(&self, level: Level, text: impl AsRef<str>) {
        for text in text.as_ref().lines() {
            self.line.send(&Response::Log { id: self.id, level, text: text.to_owned() });
        }
    }

    /// A line for the curious.
    pub fn info(&self, text: impl AsRef<str>) {
        self.log(Level::Info, text);
    }

    /// A line worth a look.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.log(Level::Warn, text);
    }

    /// Sends progress that was held back.
    pub(super) fn flush(&self) {
        if let Ok(mut pace) = self.pace.lock()
            && let Some(progress) = pace.held.take()
        {
            self.line.send(&Response::Progress { id: self.id, progress });
        }
    }
}

/// The protocol's way out: whole lines, one writer at a time.
#[derive(Clone)]
pub(super) struct Line(Arc<Mutex<dyn Write + Send>>);

impl Line {
    pub(super) fn new(writer: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(writer)))
    }

    /// Stdout, taken away from everybody else.
    pub(super) fn stdout() -> io::Result<Self> {
        Ok(Self::new(stdout::take()?))
    }

    pub(super) fn send(&self, response: &Response) {
        match serde_json::to_string(response) {
            Ok(text) => self.text(&text),
            // Only a map with keys that are no strings cannot be written, and the protocol has none.
            Err(error) => self.text(&format!("{{\"unwritable\":{:?}}}", error.to_string())),
        }
    }

    pub(super) fn text(&self, text: &str) {
        let Ok(mut writer) = self.0.lock() else { return };
        let mut bytes = Vec::with_capacity(text.len() + 1);
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(b'\n');
        // A reader that is gone is noticed on stdin.
        let _ = writer.write_all(&bytes).and_then(|()| writer.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Kept {
        fn responses(&self) -> Vec<Response> {
            let bytes = self.0.lock().unwrap().clone();
            String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        }
    }

    fn progress(done: u64) -> Progress {
        Progress { done, total: Some(1000), unit: "row".into(), message: String::new(), rate: None }
    }

    #[test]
    fn progress_is_thinned_out_and_its_end_is_never_lost() {
        let kept = Kept::default();
        let channel = Channel::to(kept.clone());
        for done in 0..=1000 {
            channel.progress(progress(done));
        }
        channel.flush();
        let responses = kept.responses();
        assert!(responses.len() < 900, "{} lines", responses.len());
        assert_eq!(responses.last(), Some(&Response::Progress { id: 0, progress: progress(1000) }));
    }

    #[test]
    fn held_progress_goes_out_at_the_end() {
        let kept = Kept::default();
        let channel = Channel::to(kept.clone());
        channel.progress(progress(1));
        channel.progress(progress(2));
        channel.flush();
        assert_eq!(kept.responses().last(), Some(&Response::Progress { id: 0, progress: progress(2) }));
    }

    #[test]
    fn numbers_that_are_none_do_not_break_the_protocol() {
        let kept = Kept::default();
        let channel = Channel::to(kept.clone());
        channel.metric("loss", 1, f64::NAN);
        channel.metric("loss", 2, 0.5);
        channel.progress(Progress { rate: Some((f64::INFINITY, "rows/s".into())), ..progress(1) });
        channel.info("two\nlines");
        let responses = kept.responses();
        assert_eq!(responses.len(), 4);
        assert_eq!(
            responses[0],
            Response::Metric { id: 0, sample: Sample { name: "loss".into(), step: 2, value: 0.5 } }
        );
    }
}
