//! Which stages a command line means.
//!
//! | written | the targets |
//! |---|---|
//! | `model` | the stage `model` |
//! | `model+` | it and everything below it |
//! | `+model` | the same as `model`: what a target needs always takes part |
//! | `feat*`, `f?t` | every stage whose name matches; `[` and `]` are ordinary characters |
//! | `tag:nightly` | every stage with the tag; `tag:night*` works, too |
//!
//! Whatever is named takes part with everything above it ([`Plan::select`]).

use contract::fault::{Fault, Faults, nearest, suggest};

use crate::plan::{Plan, StageId};

impl Plan {
    /// The stages that the words of a command line name, in topological order, each once.
    ///
    /// # Errors
    /// `graph::unknown_stage`, `graph::unknown_tag`, `graph::no_match`, `graph::stage_off`, for every word; without a
    /// place, for they come from a command line.
    pub fn targets(&self, words: &[String]) -> Result<Vec<StageId>, Faults> {
        let mut chosen = vec![false; self.stages.len()];
        let mut below = Vec::new();
        let mut faults = Vec::new();
        for word in words {
            let (name, and_below) = match word.strip_suffix('+') {
                Some(name) => (name, true),
                None => (word.as_str(), false),
            };
            match self.meant(name.strip_prefix('+').unwrap_or(name)) {
                Ok(found) => {
                    found.iter().for_each(|id| chosen[id.0 as usize] = true);
                    below.extend(found.into_iter().filter(|_| and_below).map(|id| id.0));
                }
                Err(fault) => faults.push(*fault),
            }
        }
        if !faults.is_empty() {
            return Err(Faults::from(faults));
        }
        if !below.is_empty() {
            let reached = self.dag().reached_from(below);
            chosen.iter_mut().zip(reached).for_each(|(chosen, reached)| *chosen |= reached);
        }
        Ok(self.stages.iter().map(|stage| stage.id).filter(|id| chosen[id.0 as usize]).collect())
    }

    /// The stages of a name, a pattern or a tag.
    fn meant(&self, word: &str) -> Result<Vec<StageId>, Box<Fault>> {
        if let Some(tag) = word.strip_prefix("tag:") {
            return self.tagged(tag);
        }
        if let Some(stage) = self.find(word) {
            return Ok(vec![stage.id]);
        }
        if let Some(off) = self.off.iter().find(|off| off.stage == word) {
            let fault = match &off.because {
                None => Fault::error(
                    contract::code!("graph::stage_off"),
                    format!("`{word}` is off: its `when` does not hold"),
                )
                .help("choose another profile, or set what its `when` asks for: `--set vars.…=…`"),
                Some(other) => Fault::error(
                    contract::code!("graph::stage_off"),
                    format!("`{word}` is off: it reads from `{other}`"),
                )
                .help(format!("see why `{other}` is off: `pipeline plan`")),
            };
            return Err(Box::new(fault));
        }
        if word.contains(['*', '?']) {
            let found: Vec<StageId> =
                self.stages.iter().filter(|stage| matches(word, &stage.name)).map(|stage| stage.id).collect();
            if !found.is_empty() {
                return Ok(found);
            }
            let mut fault =
                Fault::error(contract::code!("graph::no_match"), format!("no stage's name matches `{word}`"));
            let plain = word.replace(['*', '?'], "");
            fault.help = suggest(&plain, self.stages.iter().map(|stage| stage.name.as_str()));
            return Err(Box::new(fault));
        }
        let mut fault = match self.named(word) {
            Ok(found) if !found.is_empty() => return Ok(found),
            Err(fault) => fault,
            Ok(_) => Fault::error(contract::code!("graph::stage_off"), format!("all of `{word}` are off"))
                .help("`pipeline plan` says why"),
        };
        if fault.code != contract::code!("graph::unknown_stage") {
            return Err(Box::new(fault));
        }
        let tags = || self.tags();
        fault.help = match tags().any(|tag| tag == word) {
            true => Some(format!("there is a tag of that name: write `tag:{word}`")),
            false => suggest(word, self.stages.iter().map(|stage| stage.name.as_str())),
        };
        Err(Box::new(fault))
    }

    fn tagged(&self, tag: &str) -> Result<Vec<StageId>, Box<Fault>> {
        let has = |at: u32| self.spec.stages[at as usize].tags.iter().any(|own| own == tag || matches(tag, own));
        let found: Vec<StageId> =
            self.stages.iter().filter(|stage| has(stage.document)).map(|stage| stage.id).collect();
        if !found.is_empty() {
            return Ok(found);
        }
        let mut fault = Fault::error(contract::code!("graph::unknown_tag"), format!("no stage has the tag `{tag}`"));
        fault.help = Some(match nearest(tag, self.tags()) {
            Some(near) => format!("did you mean `tag:{near}`?"),
            None if self.tags().next().is_none() => "give stages `tags: [nightly]`".to_owned(),
            None => {
                let known: std::collections::BTreeSet<&str> = self.tags().collect();
                let shown: Vec<String> = known.iter().take(10).map(|tag| format!("`{tag}`")).collect();
                format!("the tags are {}", shown.join(", "))
            }
        });
        Err(Box::new(fault))
    }

    fn tags(&self) -> impl Iterator<Item = &str> {
        let of = |at: u32| self.spec.stages[at as usize].tags.iter().map(String::as_str);
        self.stages.iter().flat_map(move |stage| of(stage.document))
    }
}

/// Whether a name matches a pattern: `*` is any characters, `?` one, everything else is itself.
pub fn matches(pattern: &str, name: &str) -> bool {
    // Greedy with one way back, linear in space: <https://research.swtch.com/glob>.
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                back = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match back {
                Some((star, from)) => {
                    (p, n) = (star + 1, from + 1);
                    back = Some((star, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn brackets_are_ordinary() {
        for (pattern, name, expected) in [
            ("feat*", "features", true),
            ("feat*", "a_features", false),
            ("*", "", true),
            ("m?del", "model", true),
            ("m?del", "mdel", false),
            ("model[*]", "model[seed=1]", true),
            ("model[*]", "modelx", false),
            ("model[seed=?]", "model[seed=1]", true),
            ("model[sd]", "models", false),
            ("*a*b", "xaxxbxb", true),
            ("*a*b", "xaxxbxc", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
