//! What `model[seed=1]`, `model[seed=1,*]` and `model[*]` mean.

use std::collections::HashMap;

use contract::fault::{Fault, suggest};
use contract::name::family;

use crate::graph::StageSpec;

/// One part of a selection.
#[derive(Debug, PartialEq, Eq)]
enum Term<'t> {
    /// `*`: the axes that are not named may be anything.
    Any,
    /// `axis=value`, or `axis=*`.
    Axis(&'t str, Option<&'t str>),
}

fn terms(inside: &str) -> Option<Vec<Term<'_>>> {
    inside
        .split(',')
        .map(|term| match term.trim() {
            "*" => Some(Term::Any),
            term => {
                let (axis, value) = term.split_once('=')?;
                let (axis, value) = (axis.trim(), value.trim());
                if axis.is_empty() || value.is_empty() {
                    return None;
                }
                Some(Term::Axis(axis, (value != "*").then_some(value)))
            }
        })
        .collect()
}

/// The stages that a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selected {
    /// A single stage.
    One(u32),
    /// Children of a stage, in order. Whether it is one or many follows from how it is written, not
    /// from how many there are.
    Many(Vec<u32>),
}

/// The children of one stage.
#[derive(Debug)]
struct Family<'a> {
    axes: Vec<&'a str>,
    /// With the value of every axis, in the order of the axes.
    children: Vec<(u32, Vec<&'a str>)>,
}

/// The stages of a pipeline by name, children by what their families are called.
#[derive(Debug)]
pub struct Names<'a> {
    names: HashMap<&'a str, u32>,
    families: HashMap<&'a str, Family<'a>>,
    /// All that can be called by name alone, in order.
    plain: Vec<&'a str>,
    /// A document with thousands of wrong references among thousands of stages has another problem
    /// than spelling.
    effort: usize,
}

/// How many names are searched for a nearest one before that is given up.
const NEAREST_EFFORT: usize = 2_000_000;

impl<'a> Names<'a> {
    /// The names of these stages; positions are theirs. Of two stages with one name, the later one
    /// counts.
    pub fn new(stages: impl IntoIterator<Item = &'a StageSpec>) -> Self {
        let mut all =
            Self { names: HashMap::new(), families: HashMap::new(), plain: Vec::new(), effort: NEAREST_EFFORT };
        for (position, stage) in stages.into_iter().enumerate() {
            all.names.insert(&stage.name, position as u32);
            match &stage.child {
                None => all.plain.push(&stage.name),
                Some(child) => {
                    let plain = &mut all.plain;
                    let family = all.families.entry(&child.of).or_insert_with(|| {
                        plain.push(&child.of);
                        let axes = child.values.iter().map(|(axis, _)| axis.as_str()).collect();
                        Family { axes, children: Vec::new() }
                    });
                    let values = child.values.iter().map(|(_, value)| value.as_str()).collect();
                    family.children.push((position as u32, values));
                }
            }
        }
        all
    }

    /// The stage that has exactly this name.
    pub fn exact(&self, name: &str) -> Option<u32> {
        self.names.get(name).copied()
    }

    /// The stages that a name or a selection means. `asking` is the stage that refers to it, for
    /// the message.
    ///
    /// # Errors
    /// What is wrong with it, without a place.
    pub fn resolve(&mut self, asking: Option<&str>, text: &str) -> Result<Selected, Fault> {
        if let Some(position) = self.exact(text) {
            return Ok(Selected::One(position));
        }
        if let Some(family) = self.families.get(text) {
            let (count, first) = (family.children.len(), family.example(text));
            return Err(Fault::error(
                contract::code!("matrix::which"),
                format!("`{text}` has a `matrix`: it is {count} stages, not one"),
            )
            .help(format!("write `{text}[*]` for all of them, or name one: `{first}`")));
        }
        let Some((of, inside)) = text.strip_suffix(']').and_then(|text| text.split_once('[')) else {
            return Err(self.unknown(asking, text));
        };
        let Some(family) = self.families.get(of) else {
            if self.exact(of).is_some() {
                return Err(Fault::error(
                    contract::code!("matrix::none"),
                    format!("`{of}` has no `matrix`, so there is no `{text}`"),
                )
                .help(format!("write `{of}`, or give that stage a `matrix`")));
            }
            return Err(self.unknown(asking, of));
        };
        family.select(of, inside)
    }

    fn unknown(&mut self, asking: Option<&str>, unknown: &str) -> Fault {
        let message = match asking {
            Some(stage) => format!("`{stage}` needs `{unknown}`, which no stage is called"),
            None => format!("no stage is called `{unknown}`"),
        };
        let mut fault = Fault::error(contract::code!("graph::unknown_stage"), message);
        if self.effort >= self.plain.len() {
            self.effort -= self.plain.len();
            let own = asking.map(|asking| family(asking).unwrap_or(asking));
            fault.help = suggest(unknown, self.plain.iter().copied().filter(|other| Some(*other) != own));
        }
        fault
    }
}

impl Family<'_> {
    fn example(&self, of: &str) -> String {
        let values = self.children.first().map(|(_, values)| values.as_slice()).unwrap_or_default();
        super::matrix::name(of, self.axes.iter().copied().zip(values.iter().copied()))
    }

    fn select(&self, of: &str, inside: &str) -> Result<Selected, Fault> {
        let Some(terms) = terms(inside) else {
            return Err(Fault::error(contract::code!("matrix::selection"), format!("`{of}[{inside}]` cannot be read"))
                .help(format!(
                    "between the brackets stand `axis=value` and `*`: `{}` or `{of}[*]`",
                    self.example(of)
                )));
        };
        let mut wanted: Vec<Option<Option<&str>>> = vec![None; self.axes.len()];
        let mut any = false;
        for term in terms {
            let Term::Axis(axis, value) = term else {
                any = true;
                continue;
            };
            let Some(at) = self.axes.iter().position(|known| *known == axis) else {
                let mut fault = Fault::error(
                    contract::code!("matrix::unknown_axis"),
                    format!("the `matrix` of `{of}` has no axis `{axis}`"),
                );
                fault.help = suggest(axis, self.axes.iter().copied());
                return Err(fault);
            };
            if let Some(value) = value
                && !self.children.iter().any(|(_, values)| values[at] == value)
            {
                let mut labels: Vec<&str> = Vec::new();
                for (_, values) in &self.children {
                    if labels.len() < 200 && !labels.contains(&values[at]) {
                        labels.push(values[at]);
                    }
                }
                let mut fault = Fault::error(
                    contract::code!("matrix::unknown_value"),
                    format!("no child of `{of}` has `{axis}` at `{value}`"),
                );
                fault.help = suggest(value, labels);
                return Err(fault);
            }
            wanted[at] = Some(value);
        }
        if let Some(open) = wanted.iter().position(Option::is_none).filter(|_| !any) {
            return Err(Fault::error(
                contract::code!("matrix::open_axis"),
                format!("`{of}[{inside}]` does not say which `{}`", self.axes[open]),
            )
            .help(format!("write `{of}[{inside},*]` for all, or add `{}=…`", self.axes[open])));
        }
        let fits = |values: &[&str]| {
            wanted.iter().zip(values).all(|(wanted, value)| match wanted {
                Some(Some(wanted)) => wanted == value,
                Some(None) | None => true,
            })
        };
        let found: Vec<u32> =
            self.children.iter().filter(|(_, values)| fits(values)).map(|(position, _)| *position).collect();
        let single = wanted.iter().all(|wanted| matches!(wanted, Some(Some(_))));
        match found.as_slice() {
            [] => Err(Fault::error(
                contract::code!("matrix::no_child"),
                format!("`{of}[{inside}]` is none of the children of `{of}`"),
            )
            .help(format!("that combination was excluded; there is, for example, `{}`", self.example(of)))),
            [only] if single => Ok(Selected::One(*only)),
            _ => Ok(Selected::Many(found)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Child;

    fn child(of: &str, values: &[(&str, &str)]) -> StageSpec {
        let name = super::super::matrix::name(of, values.iter().copied());
        let values = values.iter().map(|(axis, value)| ((*axis).to_owned(), (*value).to_owned())).collect();
        StageSpec { name, child: Some(Child { of: of.into(), values }), ..StageSpec::default() }
    }

    fn stages() -> Vec<StageSpec> {
        let mut stages = vec![StageSpec { name: "raw".into(), ..StageSpec::default() }];
        for seed in ["1", "2"] {
            for lr in ["0.1", "1e-3"] {
                if (seed, lr) != ("2", "1e-3") {
                    stages.push(child("model", &[("seed", seed), ("lr", lr)]));
                }
            }
        }
        stages
    }

    #[test]
    fn selections() {
        let stages = stages();
        let mut names = Names::new(&stages);
        let mut resolve =
            |text: &str| names.resolve(None, text).map_err(|fault| (fault.code, fault.help.unwrap_or_default()));
        assert_eq!(resolve("raw"), Ok(Selected::One(0)));
        assert_eq!(resolve("model[seed=1,lr=1e-3]"), Ok(Selected::One(2)));
        assert_eq!(resolve("model[lr=1e-3, seed=1]"), Ok(Selected::One(2)));
        assert_eq!(resolve("model[*]"), Ok(Selected::Many(vec![1, 2, 3])));
        assert_eq!(resolve("model[seed=1,*]"), Ok(Selected::Many(vec![1, 2])));
        assert_eq!(resolve("model[seed=*,lr=0.1]"), Ok(Selected::Many(vec![1, 3])));
        // One that was found by a selection is still a list of one.
        assert_eq!(resolve("model[seed=2,*]"), Ok(Selected::Many(vec![3])));
        let code = |text: &str, names: &mut Names<'_>| names.resolve(None, text).unwrap_err().code;
        assert_eq!(code("model", &mut names), "matrix::which");
        assert_eq!(code("raw[*]", &mut names), "matrix::none");
        assert_eq!(code("mdel[*]", &mut names), "graph::unknown_stage");
        assert_eq!(code("model[sed=1,*]", &mut names), "matrix::unknown_axis");
        assert_eq!(code("model[seed=3,*]", &mut names), "matrix::unknown_value");
        assert_eq!(code("model[seed=2,lr=1e-3]", &mut names), "matrix::no_child");
        assert_eq!(code("model[seed=2]", &mut names), "matrix::open_axis");
        assert_eq!(code("model[seed]", &mut names), "matrix::selection");
        assert_eq!(code("model[]", &mut names), "matrix::selection");
        let fault = names.resolve(Some("x"), "mdel[*]").unwrap_err();
        assert_eq!(fault.help.as_deref(), Some("did you mean `model`?"));
    }
}
