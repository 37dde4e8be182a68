//! `pipeline cache du`: what the store holds, by stage and by age, and what `gc` would free.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use cache::{Swept, Usage};
use serde_json::{Value, json};

use super::pins::pins;
use crate::session::{Failure, FileArgs, Project};
use crate::terminal::quantity::{bytes, count};
use crate::terminal::{self, result};

const HOUR: u64 = 3_600_000;
/// Names of ages and their limits in milliseconds.
const AGES: [(&str, u64); 4] =
    [("today", 24 * HOUR), ("this week", 7 * 24 * HOUR), ("this month", 30 * 24 * HOUR), ("older", u64::MAX)];

/// Look into the store.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What `cache` can do.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Say what the store holds, by stage and by age, and what `gc` would free.
    Du(Du),
}

/// Options of `cache du`.
#[derive(Debug, clap::Args)]
pub struct Du {
    #[command(flatten)]
    pub file: FileArgs,
    /// As for `gc`.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub keep_runs: usize,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Carries out one of the verbs of `cache`.
///
/// # Errors
/// When there is no pipeline, or the store cannot be used.
pub fn execute(args: &Args) -> Result<u8, Failure> {
    match &args.verb {
        Verb::Du(args) => du(args),
    }
}

/// Some records together.
#[derive(Debug, Default)]
struct Sum {
    records: u64,
    bytes: u64,
    pinned: u64,
    used: u64,
}

impl Sum {
    fn add(&mut self, usage: &Usage, pinned: bool) {
        self.records += 1;
        self.bytes += usage.bytes;
        self.pinned += if pinned { usage.bytes } else { 0 };
        self.used = self.used.max(usage.used);
    }

    fn json(&self) -> Value {
        json!({ "results": self.records, "bytes": self.bytes, "pinned": self.pinned, "last_used": self.used })
    }
}

fn du(args: &Du) -> Result<u8, Failure> {
    let project = Project::find(&args.file)?;
    let store = project.store()?;
    let pins = pins(&project, &store, args.keep_runs)?;
    let (all, unnamed) = store.usage()?;
    // Everything but the pins: what there is to win at most.
    let most: Swept = store.collect(0, &pins, true)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    let mut stages: BTreeMap<&str, Sum> = BTreeMap::new();
    let mut ages: Vec<Sum> = AGES.iter().map(|_| Sum::default()).collect();
    for usage in &all {
        let pinned = pins.contains(&usage.key);
        stages.entry(&usage.label).or_default().add(usage, pinned);
        let age = now.saturating_sub(usage.used);
        let index = AGES.iter().position(|(_, limit)| age < *limit).unwrap_or(AGES.len() - 1);
        ages[index].add(usage, pinned);
    }
    let total: u64 = all.iter().map(|usage| usage.bytes).sum();
    if args.json {
        let by_stage: serde_json::Map<String, Value> =
            stages.iter().map(|(name, sum)| ((*name).to_owned(), sum.json())).collect();
        let by_age: Vec<Value> = AGES
            .iter()
            .zip(&ages)
            .map(|((name, _), sum)| {
                let mut value = sum.json();
                value["age"] = (*name).into();
                value
            })
            .collect();
        let report = json!({
            "results": all.len(), "bytes": total, "unnamed": unnamed, "stages": by_stage, "ages": by_age,
            "gc": { "frees": unnamed, "frees_at_most": most.freed + most.waiting, "waiting": most.waiting, "keeps_at_least": most.kept - most.waiting.min(most.kept) },
        });
        terminal::out(&format!("{report:#}"));
        return Ok(0);
    }
    if all.is_empty() && unnamed == 0 {
        terminal::err("the store is empty");
        return Ok(0);
    }
    let row = |name: String, sum: &Sum| vec![name, count(sum.records), bytes(sum.bytes), bytes(sum.pinned)];
    let mut sorted: Vec<_> = stages.iter().collect();
    sorted.sort_by_key(|(name, sum)| (std::cmp::Reverse(sum.bytes), **name));
    let rows = sorted.iter().map(|(name, sum)| {
        let mut row = row((**name).to_owned(), sum);
        row.push(age(now.saturating_sub(sum.used)));
        row
    });
    terminal::out(&result::table(&["stage", "results", "size", "pinned", "last used"], rows, &[1, 2, 3]));
    let rows = AGES.iter().zip(&ages).filter(|(_, sum)| sum.records > 0);
    let rows = rows.map(|((name, _), sum)| row((*name).to_owned(), sum));
    terminal::out(&result::table(&["last used", "results", "size", "pinned"], rows, &[1, 2, 3]));
    let results = if all.len() == 1 { "1 result".to_owned() } else { format!("{} results", count(all.len() as u64)) };
    let mut lines = vec![format!("{results}, {}, and {} that no result names", bytes(total), bytes(unnamed))];
    lines.push(format!(
        "`pipeline gc` frees {}, `pipeline gc --keep 0` frees {}; pinned are what lock files and the last {} runs name",
        bytes(unnamed),
        bytes(most.freed + most.waiting),
        args.keep_runs
    ));
    terminal::out(&lines.join("\n"));
    Ok(0)
}

/// `3 min ago`, `2 days ago`.
fn age(milliseconds: u64) -> String {
    let minutes = milliseconds / 60_000;
    let said = |number: u64, unit: &str| {
        let plural = if number == 1 || unit == "min" || unit == "h" { "" } else { "s" };
        format!("{number} {unit}{plural} ago")
    };
    match minutes {
        0 => "just now".into(),
        1..60 => said(minutes, "min"),
        60..1440 => said(minutes / 60, "h"),
        _ => said(minutes / 1440, "day"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_rounded_down() {
        let shown = [0, 59_999, 60_000, 3_599_999, 7_200_000, 86_400_000, 200_000_000].map(age);
        assert_eq!(shown, ["just now", "just now", "1 min ago", "59 min ago", "2 h ago", "1 day ago", "2 days ago"]);
    }
}
