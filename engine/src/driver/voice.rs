//! How a running stage is heard: its lines become events of the run.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use crate::event::Event;
use crate::protocol::{Level, Progress, Sample};

/// One stage's way to whoever watches the run. Nobody has to watch.
#[derive(Debug, Clone)]
pub(crate) struct Voice {
    stage: Arc<str>,
    events: UnboundedSender<Event>,
}

impl Voice {
    pub(crate) fn new(stage: &str, events: &UnboundedSender<Event>) -> Self {
        Self { stage: stage.into(), events: events.clone() }
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
        self.send(Event::StageLog { stage: self.stage.to_string(), level, text: text.into() });
    }
}
