//! Finished runs by the names people give them: `latest`, `latest~1`, `@1`, a run's name or the beginning of it.

use cache::Store;
use engine::run::driver::Summary;

use crate::session::{Failure, Project};

/// More runs than anybody looks back at.
const LOOKED_AT: usize = 10_000;

/// The runs of a store; those of one pipeline where they are counted.
pub struct History {
    /// Every run that can be read, newest first. (What an older version wrote in another way is left out.)
    pub runs: Vec<Summary>,
    pipeline: Option<String>,
}

impl History {
    /// The runs of the pipeline at hand, or with `all` those of every pipeline of its folder.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn of(project: &Project, store: &Store, all: bool) -> Result<Self, Failure> {
        let pipeline = if all { None } else { pipeline(project) };
        Ok(Self { runs: runs(store)?, pipeline })
    }

    /// The run that is meant: counted among those of the pipeline, named among all.
    ///
    /// # Errors
    /// As [`resolve`].
    pub fn find(&self, text: &str) -> Result<&Summary, Failure> {
        let ours = |run: &&Summary| self.pipeline.as_ref().is_none_or(|name| run.pipeline == *name);
        let counted: Vec<&str> = self.runs.iter().filter(ours).map(|run| run.run.as_str()).collect();
        let named: Vec<&str> = self.runs.iter().map(|run| run.run.as_str()).collect();
        let name = resolve(if counts(text) { &counted } else { &named }, text)?;
        self.runs.iter().find(|run| run.run == name).ok_or_else(|| unknown(text))
    }
}

fn unknown(text: &str) -> Failure {
    Failure::user(
        contract::code!("cli::unknown_run"),
        format!("no run is called `{text}`"),
        "`pipeline runs` lists them; `latest` is the newest, `latest~1` (or `@1`) the one before",
    )
}

/// The name of the pipeline at hand; `None` when its file cannot be read.
pub fn pipeline(project: &Project) -> Option<String> {
    project.read(&[]).spec.map(|spec| spec.name)
}

/// Every run that can be read, newest first.
///
/// # Errors
/// When the store cannot be read.
pub fn runs(store: &Store) -> Result<Vec<Summary>, Failure> {
    let runs = store.runs(LOOKED_AT)?;
    Ok(runs.into_iter().filter_map(|(_, run)| serde_json::from_value(run).ok()).collect())
}

/// Whether a run is meant by counting back, not by its name.
fn counts(text: &str) -> bool {
    back(text).is_some() || text.starts_with(['~', '@'])
}

/// How many runs a text counts back from the newest: `latest`, `~1`, `latest~1`, `last~1`, `@1`. (A shell may take a bare `~1` for something of
/// its own.)
fn back(text: &str) -> Option<usize> {
    if matches!(text, "latest" | "last") {
        return Some(0);
    }
    ["~", "latest~", "last~", "@"].iter().find_map(|before| text.strip_prefix(before)?.parse().ok())
}

/// The name of the run that is meant, among names that go from the newest to the oldest.
///
/// # Errors
/// When there is none, or the beginning fits several.
pub fn resolve<'a>(names: &[&'a str], text: &str) -> Result<&'a str, Failure> {
    if let Some(back) = back(text) {
        let count = names.len();
        return names.get::<usize>(back).copied().ok_or_else(|| {
            let runs = if count == 1 { "is 1 run".to_owned() } else { format!("are {count} runs") };
            Failure::user(
                contract::code!("cli::unknown_run"),
                format!("there is no run `{text}`"),
                format!("there {runs} here"),
            )
        });
    }
    let fitting: Vec<&str> = names.iter().copied().filter(|name| name.starts_with(text)).collect();
    match fitting[..] {
        _ if names.contains(&text) => Ok(names.iter().copied().find(|name| *name == text).unwrap_or_default()),
        [only] => Ok(only),
        [] => Err(unknown(text)),
        _ => Err(Failure::user(
            contract::code!("cli::unknown_run"),
            format!("{} runs begin with `{text}`", fitting.len()),
            format!("write more of the name: `{}`", fitting[0]),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn runs_are_found_by_their_names_and_by_counting_back() {
        let names = ["20261123-2", "20261123-1", "20261122-9"];
        let found = |text: &str| resolve(&names, text).ok();
        assert_eq!(found("latest"), Some("20261123-2"));
        assert_eq!(found("~1"), Some("20261123-1"));
        assert_eq!(found("latest~2"), Some("20261122-9"));
        assert_eq!(found("last~1"), Some("20261123-1"));
        assert_eq!(found("@0"), Some("20261123-2"));
        assert_eq!(found("@2"), Some("20261122-9"));
        assert_eq!(found("@x"), None);
        assert_eq!(found("20261122"), Some("20261122-9"));
        assert_eq!(found("20261123-1"), Some("20261123-1"));
        assert_eq!(found("20261123"), None, "two begin so");
        assert_eq!(found("~3"), None);
        assert_eq!(found("x"), None);
    }
}
