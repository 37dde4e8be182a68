//! Children of one stage in a table: each by itself while they are few, one line for all when they are many.

use contract::name;
use engine::plan::Plan;
use engine::run::preview::{StagePreview, State};

use super::preview::mark;
use crate::terminal::quantity::{bytes, duration};

/// More children than this are one line.
const FEW: usize = 12;

/// Stages that are shown as one.
pub struct Family<'a> {
    /// The stage's name, or `model[*]`.
    pub name: String,
    /// In the plan's order; at least one.
    pub members: Vec<&'a StagePreview>,
}

/// The stages of a table, those with many siblings together, at the place of the first of them.
pub fn families<'a>(plan: &Plan, previews: impl IntoIterator<Item = &'a StagePreview>) -> Vec<Family<'a>> {
    let mut families: Vec<Family<'a>> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for preview in previews {
        let stage = plan.stage(preview.id);
        let child = plan.spec.stages[stage.document as usize].child.as_ref();
        let Some(child) = child else {
            families.push(Family { name: stage.name.clone(), members: vec![preview] });
            continue;
        };
        let at = *places.entry(child.of.as_str()).or_insert_with(|| {
            families.push(Family { name: format!("{}[*]", child.of), members: Vec::new() });
            families.len() - 1
        });
        families[at].members.push(preview);
    }
    let split = |family: Family<'a>| {
        let few = family.members.len() <= FEW && name::family(&family.name).is_some();
        let one =
            |preview: &'a StagePreview| Family { name: plan.stage(preview.id).name.clone(), members: vec![preview] };
        if few { family.members.into_iter().map(one).collect() } else { vec![family] }
    };
    families.into_iter().flat_map(split).collect()
}

impl Family<'_> {
    /// The cells every table begins with: mark and name, kind, state in the words of `word`, last duration, size.
    pub fn cells(&self, plan: &Plan, word: impl Fn(&State) -> &'static str) -> Vec<String> {
        let took = self.members.iter().filter_map(|preview| preview.took).reduce(|sum, took| sum + took);
        let size = self.members.iter().filter_map(|preview| preview.bytes).reduce(|sum, size| sum + size);
        vec![
            format!("{} {}", mark(self.worst()), self.name),
            plan.stage(self.members[0].id).kind.clone(),
            self.states(word),
            took.map_or_else(|| "-".into(), duration),
            size.map_or_else(|| "-".into(), bytes),
        ]
    }

    /// The state that is furthest from done.
    pub fn worst(&self) -> &State {
        let rank = |state: &State| match state {
            State::Hit => 0,
            State::Unknown { .. } => 1,
            State::Miss { .. } => 2,
        };
        let states = self.members.iter().map(|preview| &preview.state);
        states.max_by_key(|state| rank(state)).unwrap_or(&State::Hit)
    }

    /// How many are in which state: `12 reuse, 3 run`, in the words of `word`.
    fn states(&self, word: impl Fn(&State) -> &'static str) -> String {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for preview in &self.members {
            let word = word(&preview.state);
            match counts.iter_mut().find(|(known, _)| *known == word) {
                Some((_, count)) => *count += 1,
                None => counts.push((word, 1)),
            }
        }
        match counts.as_slice() {
            [(word, _)] => (*word).to_owned(),
            several => several.iter().map(|(word, count)| format!("{count} {word}")).collect::<Vec<_>>().join(", "),
        }
    }
}
