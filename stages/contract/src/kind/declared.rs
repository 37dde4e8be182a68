//! The ports of a kind, declared once: the reference and editors show them, and stages make their ports of them.

use super::{InputPort, OutputPort};
use crate::artifact::ArtifactKind;

/// The name of a declaration that stands for ports with names of the user's own.
pub const ANY_NAME: &str = "…";

/// An input port as its kind declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeclaredInput {
    /// The name under `inputs:`, or [`ANY_NAME`].
    pub name: &'static str,
    /// What may be connected; empty means anything.
    pub accepts: &'static [ArtifactKind],
    /// Whether it must be connected.
    pub required: bool,
    /// What it is for, in one or two sentences.
    pub summary: &'static str,
}

impl DeclaredInput {
    /// A port that must be connected.
    pub const fn required(name: &'static str, accepts: &'static [ArtifactKind], summary: &'static str) -> Self {
        Self { name, accepts, required: true, summary }
    }

    /// A port that may stay open.
    pub const fn optional(name: &'static str, accepts: &'static [ArtifactKind], summary: &'static str) -> Self {
        Self { name, accepts, required: false, summary }
    }

    /// What may be connected, in words: `dataset`, `dataset or profile`, `any`.
    pub fn artifacts(&self) -> String {
        if self.accepts.is_empty() {
            return "any".to_owned();
        }
        self.accepts.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" or ")
    }

    /// The port of a stage. `name` is the declared name, or one of the user's own.
    pub fn port(&self, name: &str) -> InputPort {
        InputPort { name: name.to_owned(), accepts: self.accepts.to_vec(), required: self.required }
    }
}

/// The input ports of a stage: the declared ones, and for [`ANY_NAME`] one for each connected name that is not declared.
pub fn input_ports(declared: &[DeclaredInput], connected: &[&str]) -> Vec<InputPort> {
    let own = |name: &&&str| declared.iter().all(|port| port.name != **name);
    declared
        .iter()
        .flat_map(|port| match port.name {
            ANY_NAME => connected.iter().filter(own).map(|name| port.port(name)).collect(),
            name => vec![port.port(name)],
        })
        .collect()
}

/// An output port as its kind declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeclaredOutput {
    /// The name after the dot in `stage.port`, or [`ANY_NAME`].
    pub name: &'static str,
    /// What comes out; `None` where the parameters of a stage say so.
    pub kind: Option<ArtifactKind>,
    /// What it holds, in one or two sentences.
    pub summary: &'static str,
}

impl DeclaredOutput {
    /// A port with an artifact of one kind.
    pub const fn new(name: &'static str, kind: ArtifactKind, summary: &'static str) -> Self {
        Self { name, kind: Some(kind), summary }
    }

    /// What comes out, in words: `dataset`, `as said`.
    pub fn artifact(&self) -> &'static str {
        self.kind.map_or("as said", ArtifactKind::name)
    }

    /// The port of a stage: one file that stays in the store. `name` is the declared name, or one of the user's own.
    pub fn port(&self, name: &str) -> OutputPort {
        OutputPort::new(name, self.kind.unwrap_or(ArtifactKind::File))
    }
}

/// The output ports of a stage whose kind has a fixed list.
pub fn output_ports(declared: &[DeclaredOutput]) -> Vec<OutputPort> {
    declared.iter().map(|port| port.port(port.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUTS: &[DeclaredInput] = &[
        DeclaredInput::required("data", &[ArtifactKind::Dataset], "The rows."),
        DeclaredInput::optional(ANY_NAME, &[ArtifactKind::Dataset, ArtifactKind::Profile], "Others."),
    ];

    #[test]
    fn names_of_the_users_own_become_ports_in_their_order() {
        let names = |connected: &[&str]| -> Vec<(String, bool)> {
            input_ports(INPUTS, connected).into_iter().map(|port| (port.name, port.required)).collect()
        };
        let port = |name: &str, required| (name.to_owned(), required);
        assert_eq!(names(&[]), [port("data", true)]);
        assert_eq!(names(&["b", "data", "a"]), [port("data", true), port("b", false), port("a", false)]);
    }

    #[test]
    fn artifacts_in_words() {
        assert_eq!(INPUTS[0].artifacts(), "dataset");
        assert_eq!(INPUTS[1].artifacts(), "dataset or profile");
        assert_eq!(DeclaredInput::required("x", &[], "").artifacts(), "any");
        assert_eq!(DeclaredOutput { name: ANY_NAME, kind: None, summary: "" }.artifact(), "as said");
    }
}
