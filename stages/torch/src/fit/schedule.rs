//! How the learning rate moves: a pure function of the step, so that there is nothing to save but the step.

use std::f64::consts::PI;

use catalog::kinds::train::params::Schedule;

/// A schedule laid over a training run.
#[derive(Debug, Clone, PartialEq)]
pub struct Timetable {
    schedule: Schedule,
    /// The optimiser's learning rate.
    rate: f64,
    /// Steps of one epoch.
    per_epoch: u64,
    /// Steps altogether.
    total: u64,
}

impl Timetable {
    /// Lays a schedule over `epochs` epochs of `per_epoch` steps.
    pub fn new(schedule: &Schedule, rate: f64, per_epoch: u64, epochs: u64) -> Self {
        Self { schedule: schedule.clone(), rate, per_epoch: per_epoch.max(1), total: (per_epoch * epochs).max(1) }
    }

    /// The learning rate of a step, from 0.
    ///
    /// * `step`: rate · gamma^⌊epoch / every⌋.
    /// * `cosine`: (t + 1) / w of the rate while t < w steps of warm-up, then
    ///   final + (1 − final) · ½ (1 + cos(π (t − w) / (T − w))) of it (Loshchilov and Hutter 2017, without restarts).
    /// * `one_cycle`: PyTorch's `OneCycleLR` with cosine annealing and two phases; t ≤ warmup · T − 1 goes up from
    ///   rate / start_divisor, the rest down to rate / start_divisor / final_divisor.
    pub fn rate(&self, step: u64) -> f64 {
        let (t, total) = (step as f64, self.total as f64);
        match &self.schedule {
            Schedule::Constant(_) => self.rate,
            Schedule::Step(options) => {
                let changes = step / self.per_epoch / u64::from(options.every.max(1));
                self.rate * options.gamma.powi(i32::try_from(changes).unwrap_or(i32::MAX))
            }
            Schedule::Cosine(options) => {
                let warmup = (options.warmup * self.per_epoch as f64).min(total);
                if t < warmup {
                    return self.rate * ((t + 1.0) / warmup).min(1.0);
                }
                let progress = ((t - warmup) / (total - warmup).max(1.0)).min(1.0);
                self.rate * (options.last + (1.0 - options.last) * 0.5 * (1.0 + (PI * progress).cos()))
            }
            Schedule::OneCycle(options) => {
                let first = self.rate / options.start_divisor;
                let last = first / options.final_divisor;
                let (turn, end) = (options.warmup * total - 1.0, total - 1.0);
                let t = t.min(end);
                if t <= turn && turn > 0.0 {
                    anneal(first, self.rate, t / turn)
                } else {
                    let turn = turn.max(0.0);
                    let share = if end > turn { (t - turn) / (end - turn) } else { 1.0 };
                    anneal(self.rate, last, share)
                }
            }
        }
    }

    /// Whether the rate of a step depends on how many epochs there are: training further is then another run.
    pub fn depends_on_total(schedule: &Schedule) -> bool {
        matches!(schedule, Schedule::Cosine(_) | Schedule::OneCycle(_))
    }
}

/// Half a cosine from `start` to `end`.
fn anneal(start: f64, end: f64, share: f64) -> f64 {
    end + (start - end) / 2.0 * (1.0 + (PI * share).cos())
}

#[cfg(test)]
mod tests {
    use catalog::kinds::train::params::{Constant, Cosine, OneCycle, StepSchedule};

    use super::*;

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() <= 1e-12 + 1e-9 * right.abs(), "{left} is not {right}");
    }

    #[test]
    fn constant_and_step() {
        let constant = Timetable::new(&Schedule::Constant(Constant {}), 0.1, 5, 4);
        close(constant.rate(0), 0.1);
        close(constant.rate(19), 0.1);
        let step = Timetable::new(&Schedule::Step(StepSchedule { every: 2, gamma: 0.1 }), 0.1, 5, 8);
        let rates: Vec<f64> = [0, 9, 10, 19, 20, 39].iter().map(|t| step.rate(*t)).collect();
        for (rate, wanted) in rates.iter().zip([0.1, 0.1, 0.01, 0.01, 0.001, 0.0001]) {
            close(*rate, wanted);
        }
    }

    #[test]
    fn cosine_with_warm_up() {
        let cosine = Timetable::new(&Schedule::Cosine(Cosine { warmup: 2.0, last: 0.1 }), 1.0, 5, 12);
        close(cosine.rate(0), 0.1);
        close(cosine.rate(9), 1.0);
        close(cosine.rate(10), 1.0);
        close(cosine.rate(35), 0.1 + 0.9 * 0.5);
        close(cosine.rate(59), 0.1 + 0.9 * 0.5 * (1.0 + (PI * 49.0 / 50.0).cos()));
        // A warm-up longer than the training never divides by zero.
        assert!(Timetable::new(&Schedule::Cosine(Cosine { warmup: 99.0, last: 0.0 }), 1.0, 5, 2).rate(9).is_finite());
    }

    /// From `torch.optim.lr_scheduler.OneCycleLR(max_lr=0.1, total_steps=10)` and `(…, total_steps=20, pct_start=0.25,
    /// div_factor=10, final_div_factor=100)` of PyTorch 2.13 (`testdata/one_cycle.py`).
    #[test]
    fn one_cycle_is_pytorchs() {
        let golden: serde_json::Value = serde_json::from_str(include_str!("../../testdata/one_cycle.json")).unwrap();
        for case in golden.as_array().unwrap() {
            let number = |key: &str| case[key].as_f64().unwrap();
            let options = OneCycle {
                warmup: number("warmup"),
                start_divisor: number("start_divisor"),
                final_divisor: number("final_divisor"),
            };
            let rates = case["rates"].as_array().unwrap();
            let timetable = Timetable::new(&Schedule::OneCycle(options), number("rate"), rates.len() as u64, 1);
            for (step, wanted) in rates.iter().enumerate() {
                close(timetable.rate(step as u64), wanted.as_f64().unwrap());
            }
        }
    }

    #[test]
    fn one_cycle_without_a_way_up_or_in_one_step() {
        let options = OneCycle { warmup: 0.0, ..OneCycle::default() };
        let down = Timetable::new(&Schedule::OneCycle(options), 1.0, 10, 1);
        close(down.rate(0), 1.0);
        close(down.rate(9), 1.0 / 25.0 / 1e4);
        assert!(Timetable::new(&Schedule::OneCycle(OneCycle::default()), 1.0, 1, 1).rate(0).is_finite());
    }
}
