//! The log of a running stage: its lines become events of the run.

use std::sync::Arc;

use cache::LogWriter;
use contract::worker::protocol::{Level, Progress, Sample};
use tokio::sync::mpsc::UnboundedSender;

use crate::event::Event;

/// The log of one stage. Events are dropped when the run has no reader.
#[derive(Debug, Clone)]
pub(crate) struct StageLog {
    stage: Arc<str>,
    events: UnboundedSender<Event>,
    /// The file in the store that keeps its lines.
    kept: Option<Arc<LogWriter>>,
}

impl StageLog {
    pub(crate) fn new(stage: &str, events: &UnboundedSender<Event>) -> Self {
        Self { stage: stage.into(), events: events.clone(), kept: None }
    }

    /// The same log, with its lines kept in the store as well.
    pub(crate) fn kept(mut self, log: LogWriter) -> Self {
        self.kept = Some(Arc::new(log));
        self
    }

    /// Keeps a line without an event, for facts that another event reports.
    pub(crate) fn keep(&self, level: Level, text: &str) {
        if let Some(kept) = &self.kept {
            let mark = match level {
                Level::Info => 'i',
                Level::Warn => 'w',
                Level::Error => 'e',
            };
            kept.line(mark, text);
        }
    }

    /// The stage's name.
    pub(crate) fn stage(&self) -> &str {
        &self.stage
    }

    pub(crate) fn send(&self, event: Event) {
        let _ = self.events.send(event);
    }

    pub(crate) fn progress(&self, progress: Progress) {
        self.send(Event::StageProgress { stage: self.stage.to_string(), progress });
    }

    pub(crate) fn metric(&self, sample: Sample) {
        self.send(Event::StageMetric { stage: self.stage.to_string(), sample });
    }

    pub(crate) fn log(&self, level: Level, text: impl Into<String>) {
        let text = text.into();
        self.keep(level, &text);
        self.send(Event::StageLog { stage: self.stage.to_string(), level, text });
    }
}
