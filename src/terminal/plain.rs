//! One line for each thing that happened: for logs, pipes and terminals that cannot redraw. The lines the
//! progress display leaves behind are made here, too.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use contract::fault::Fault;
use contract::worker::protocol::Level;
use engine::event::{Event, Outcome};
use engine::key::explain::Reason;

use super::output;
use super::quantity::{duration, number};
use super::style::Styles;

/// Something that shows events.
pub trait Reporter {
    /// Shows one event.
    fn event(&mut self, event: &Event);
    /// Says something that is no event of the run, in between.
    fn say(&mut self, text: &str) {
        output::err(text);
    }
    /// Leaves the terminal as it was.
    fn close(&mut self) {}
}

/// How a fault looks: the language's diagnostics, with place and caret.
pub type FaultPrinter = Box<dyn Fn(&Fault) -> String + Send>;

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Volume {
    /// Failures alone.
    Failures,
    /// Failures and the last line.
    Quiet,
    /// What ran.
    Normal,
    /// Log lines of stages and reasons, too.
    Verbose,
}

/// Turns events into lines.
pub struct Lines {
    volume: Volume,
    faults: FaultPrinter,
    width: usize,
    hits: Vec<String>,
    skipped: BTreeMap<String, Vec<String>>,
}

impl Lines {
    /// Lines at a volume; `width` aligns stage names and is set when the run starts.
    pub fn new(volume: Volume, faults: FaultPrinter) -> Self {
        Self { volume, faults, width: 0, hits: Vec::new(), skipped: BTreeMap::new() }
    }

    /// How wide stage names are.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The lines an event leaves behind, for good.
    pub fn lines(&mut self, event: &Event) -> Vec<String> {
        let mut lines = Vec::new();
        if let Event::StageHit { stage, .. } = event {
            self.hits.push(stage.clone());
            return lines;
        }
        if !matches!(event, Event::StageProgress { .. } | Event::StageMetric { .. } | Event::RunStarted { .. }) {
            self.flush_hits(&mut lines);
        }
        match event {
            Event::RunStarted { stages, .. } => {
                self.width = stages.iter().map(|stage| stage.chars().count()).max().unwrap_or(0).min(32);
            }
            Event::StageStarted { stage, reasons, attempt, .. } if self.volume == Volume::Verbose => {
                let again = if *attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
                let reasons: Vec<String> = reasons.iter().map(Reason::to_string).collect();
                lines.push(format!(
                    "{} {} {}{again}",
                    Styles::busy().apply_to("▶"),
                    self.name(stage),
                    Styles::dim().apply_to(reasons.join("; "))
                ));
            }
            Event::StageLog { stage, level, text }
                if self.volume == Volume::Verbose || (*level != Level::Info && self.volume > Volume::Quiet) =>
            {
                let mark = match level {
                    Level::Info => Styles::dim().apply_to("│"),
                    Level::Warn => Styles::warn().apply_to("!"),
                    Level::Error => Styles::bad().apply_to("!"),
                };
                lines.push(format!("{mark} {} {text}", Styles::dim().apply_to(self.name(stage))));
            }
            Event::StageDone { stage, took, summary, unmet, warnings, unchanged, .. } => {
                if self.volume > Volume::Quiet {
                    let mark =
                        if unmet.is_empty() { Styles::good().apply_to("✓") } else { Styles::bad().apply_to("✗") };
                    let same = if *unchanged { "  same bytes as before".to_owned() } else { String::new() };
                    lines.push(
                        format!(
                            "{mark} {} {:>9}  {}{}",
                            self.name(stage),
                            duration(*took),
                            headline(summary),
                            Styles::dim().apply_to(same)
                        )
                        .trim_end()
                        .to_owned(),
                    );
                }
                for fault in warnings.iter().chain(unmet) {
                    lines.push((self.faults)(fault));
                }
            }
            Event::StageFailed { stage, faults, took, retrying } => {
                let again = if *retrying { "  trying again" } else { "" };
                lines.push(format!(
                    "{} {} {:>9}  failed{again}",
                    Styles::bad().apply_to("✗"),
                    self.name(stage),
                    duration(*took)
                ));
                lines.extend(faults.iter().map(|fault| (self.faults)(fault)));
            }
            // One that was at work is told of in the last line.
            Event::StageSkipped { stage, because } if stage == because => {}
            Event::StageSkipped { stage, because } => {
                self.skipped.entry(because.clone()).or_default().push(stage.clone());
            }
            Event::Warning { fault } => lines.push((self.faults)(fault)),
            Event::RunFinished { outcome, hit, ran, failed, skipped, took, lost } => {
                if self.volume > Volume::Quiet {
                    for (because, stages) in std::mem::take(&mut self.skipped) {
                        lines.push(format!(
                            "{} {}",
                            Styles::dim().apply_to("-"),
                            Styles::dim().apply_to(format!("not run because of `{because}`: {}", some(&stages)))
                        ));
                    }
                }
                if self.volume > Volume::Failures {
                    let lost = match lost.len() {
                        0 => String::new(),
                        1 => format!("; `{}` was at work and begins anew next time", lost[0]),
                        _ => format!("; {} were at work and begin anew next time", some(lost)),
                    };
                    lines.push(format!("{}{lost}", last_line(*outcome, [*hit, *ran, *failed, *skipped], *took)));
                }
            }
            _ => {}
        }
        lines
    }

    fn name(&self, stage: &str) -> String {
        console::pad_str(stage, self.width, console::Alignment::Left, None).into_owned()
    }

    fn flush_hits(&mut self, lines: &mut Vec<String>) {
        let hits = std::mem::take(&mut self.hits);
        if hits.is_empty() || self.volume <= Volume::Quiet {
            return;
        }
        lines.push(hits_line(&some(&hits)));
    }
}

fn hits_line(names: &str) -> String {
    format!("{} {}", Styles::dim().apply_to("="), Styles::dim().apply_to(format!("up to date: {names}")))
}

/// What is left of a run of hits only, known by its `first` names and how many there are.
pub fn up_to_date(volume: Volume, first: &[String], count: usize, took: Duration) -> Vec<String> {
    let mut lines = Vec::new();
    if volume > Volume::Quiet && count > 0 {
        lines.push(hits_line(&some_of(first, count)));
    }
    lines.push(last_line(Outcome::Success, [count, 0, 0, 0], took));
    lines
}

/// A list of names, cut where it gets long.
fn some(names: &[String]) -> String {
    some_of(names, names.len())
}

/// The same of `count` names, of which the first are known.
fn some_of(first: &[String], count: usize) -> String {
    const SHOWN: usize = 12;
    let head = first.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if count > SHOWN { format!("{head} and {} more", count - SHOWN) } else { head }
}

/// The numbers that matter most of a stage's summary, in one line.
pub fn headline(summary: &BTreeMap<String, f64>) -> String {
    const SHOWN: usize = 4;
    // Per-class numbers are for `show`.
    let mut shown: Vec<(&String, &f64)> = summary.iter().filter(|(name, _)| !name.contains(".class.")).collect();
    shown.sort_by_key(|(name, _)| (rank(name), (*name).clone()));
    shown.iter().take(SHOWN).map(|(name, value)| format!("{name} {}", number(**value))).collect::<Vec<_>>().join("  ")
}

/// Whether this is one of the numbers people compare models by.
pub fn is_main(name: &str) -> bool {
    !matches!(name, "rows" | "bytes") && rank(name) < usize::MAX
}

fn rank(name: &str) -> usize {
    const ORDER: [&str; 9] =
        ["accuracy", "r2", "rmse", "f1.macro", "auroc", "log_loss", "rows", "bytes", "validation.accuracy"];
    ORDER.iter().position(|known| *known == name).unwrap_or(usize::MAX)
}

fn last_line(outcome: Outcome, [hit, ran, failed, skipped]: [usize; 4], took: Duration) -> String {
    let mut parts = Vec::new();
    for (count, word) in [(ran, "ran"), (hit, "up to date"), (failed, "failed"), (skipped, "not run")] {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    let parts = if parts.is_empty() { "nothing to do".to_owned() } else { parts.join(", ") };
    let (style, word) = match outcome {
        Outcome::Success => (Styles::good().bold(), "done"),
        Outcome::Failed => (Styles::bad(), "failed"),
        Outcome::GateNotMet => (Styles::bad(), "a gate was not met"),
        Outcome::EngineFailed => (Styles::bad(), "the engine failed"),
        Outcome::Cancelled => (Styles::warn().bold(), "interrupted"),
    };
    format!("{} in {}: {parts}", style.apply_to(word), duration(took))
}

/// Lines only; progress is told every few seconds.
pub struct Plain {
    lines: Lines,
    told: BTreeMap<String, Instant>,
}

impl Plain {
    /// A reporter for logs and pipes.
    pub fn new(lines: Lines) -> Self {
        Self { lines, told: BTreeMap::new() }
    }
}

impl Reporter for Plain {
    fn event(&mut self, event: &Event) {
        const EVERY: Duration = Duration::from_secs(5);
        if let Event::StageProgress { stage, progress } = event
            && self.lines.volume > Volume::Quiet
        {
            let now = Instant::now();
            let last = self.told.entry(stage.clone()).or_insert(now);
            if now.duration_since(*last) >= EVERY {
                *last = now;
                let total = progress.total.map_or(String::new(), |total| format!("/{total}"));
                output::err(&format!(
                    "… {} {} {}{total}  {}",
                    self.lines.name(stage),
                    progress.unit,
                    progress.done,
                    progress.message
                ));
            }
            return;
        }
        for line in self.lines.lines(event) {
            output::err(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Lines {
        console::set_colors_enabled_stderr(false);
        Lines::new(Volume::Normal, Box::new(|fault| fault.to_string()))
    }

    #[test]
    fn hits_are_gathered_into_one_line() {
        let mut lines = lines();
        for stage in ["raw", "clean"] {
            let hit = Event::StageHit {
                stage: stage.into(),
                key: String::new(),
                outputs: BTreeMap::new(),
                summary: BTreeMap::new(),
            };
            assert!(lines.lines(&hit).is_empty());
        }
        let end = Event::RunFinished {
            outcome: Outcome::Success,
            hit: 2,
            ran: 0,
            failed: 0,
            skipped: 0,
            took: Duration::from_millis(12),
            lost: Vec::new(),
        };
        assert_eq!(lines.lines(&end), ["= up to date: raw, clean", "done in 12 ms: 2 up to date"]);
    }

    #[test]
    fn the_headline_leads_with_what_people_ask_for() {
        let summary = [("recall.macro", 0.5), ("accuracy", 0.98), ("f1.macro", 0.97), ("precision.class.3", 1.0)];
        let summary = summary.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        assert_eq!(headline(&summary), "accuracy 0.98  f1.macro 0.97  recall.macro 0.5");
    }
}
