//! Live bars, one for each running stage, above them the lines of what is done.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use contract::worker::protocol::Progress;
use engine::event::Event;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::plain::{Lines, Reporter};
use super::quantity::{count, duration};

/// Draws bars on stderr.
pub struct Bars {
    lines: Lines,
    multi: MultiProgress,
    running: BTreeMap<String, Running>,
}

struct Running {
    bar: ProgressBar,
    first: Option<(Instant, u64)>,
}

impl Bars {
    /// A reporter for a terminal that can redraw.
    pub fn new(lines: Lines) -> Self {
        let multi = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(15));
        Self { lines, multi, running: BTreeMap::new() }
    }
}

impl Reporter for Bars {
    fn event(&mut self, event: &Event) {
        match event {
            Event::StageStarted { stage, .. } => {
                let bar = self.multi.add(ProgressBar::no_length());
                bar.set_style(style("{spinner:.cyan} {prefix} {elapsed:>9.dim}  {msg:.dim}"));
                bar.set_prefix(pad(stage, self.lines.width()));
                bar.enable_steady_tick(Duration::from_millis(120));
                self.running.insert(stage.clone(), Running { bar, first: None });
            }
            Event::StageProgress { stage, progress } => {
                if let Some(running) = self.running.get_mut(stage) {
                    running.show(progress);
                }
            }
            Event::StageDone { stage, .. } | Event::StageFailed { stage, .. } | Event::StageSkipped { stage, .. } => {
                if let Some(running) = self.running.remove(stage) {
                    running.bar.finish_and_clear();
                    self.multi.remove(&running.bar);
                }
            }
            Event::RunFinished { .. } => self.close(),
            _ => {}
        }
        for line in self.lines.lines(event) {
            self.multi.suspend(|| super::output::err(&line));
        }
    }

    fn say(&mut self, text: &str) {
        self.multi.suspend(|| super::output::err(text));
    }

    fn close(&mut self) {
        for running in std::mem::take(&mut self.running).into_values() {
            running.bar.finish_and_clear();
        }
        let _ = self.multi.clear();
    }
}

impl Running {
    fn show(&mut self, progress: &Progress) {
        let now = Instant::now();
        let (started, from) = *self.first.get_or_insert((now, progress.done));
        let mut message = progress.message.clone();
        if let Some((rate, unit)) = &progress.rate {
            message.push_str(&format!("  {} {unit}/s", count(rate.round().max(0.0) as u64)));
        }
        if let Some(total) = progress.total {
            if self.bar.length() != Some(total) {
                self.bar.set_length(total);
                self.bar.set_style(
                    style("{spinner:.cyan} {prefix} {bar:24.cyan/dim} {pos}/{len} {msg}").progress_chars("━╸─"),
                );
            }
            let done = progress.done.saturating_sub(from);
            let elapsed = now.duration_since(started);
            if done > 0 && total > progress.done && elapsed > Duration::from_millis(300) {
                let left = elapsed.mul_f64((total - progress.done) as f64 / done as f64);
                message.push_str(&format!("  {} left", duration(left)));
            }
            message = format!("{}  {message}", plural(&progress.unit));
        } else {
            message = format!("{} {}  {message}", count(progress.done), plural(&progress.unit));
        }
        self.bar.set_position(progress.done);
        self.bar.set_message(message);
    }
}

fn plural(unit: &str) -> String {
    if unit.is_empty() || unit.ends_with('s') { unit.to_owned() } else { format!("{unit}s") }
}

fn pad(name: &str, width: usize) -> String {
    console::pad_str(name, width, console::Alignment::Left, None).into_owned()
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
