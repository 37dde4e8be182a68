//! A kind whose worker finishes what its children gave, for tests.

use contract::artifact::{ArtifactKind, ArtifactType};
use contract::expansion::{Expansion, Next, Proposal, Round};
use contract::fault::Faults;
use contract::kind::{About, InferContext, Inference, InputPort, Kind, OutputPort, Program, Stage};
use serde_json::{Value, json};

/// Runs a `fake` child for each of `texts`; then its own worker joins what they gave, the last child first.
pub struct Gather;

struct GatherStage(Value);

impl Kind for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }
    fn version(&self) -> u32 {
        1
    }
    fn program(&self) -> Program {
        Program::Data
    }
    fn seeded(&self) -> bool {
        false
    }
    fn schema(&self, _: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::Schema::default()
    }
    fn about(&self) -> About {
        About { summary: "For tests.", inputs: &[], outputs: &[], example: "" }
    }
    fn stage(&self, params: Value) -> Result<Box<dyn Stage>, Faults> {
        Ok(Box::new(GatherStage(params)))
    }
}

impl Stage for GatherStage {
    fn params(&self) -> Value {
        self.0.clone()
    }
    fn inputs(&self, connected: &[&str]) -> Vec<InputPort> {
        let port = |name: &&str| InputPort { name: (*name).to_owned(), accepts: Vec::new(), required: false };
        connected.iter().map(port).collect()
    }
    fn outputs(&self) -> Vec<OutputPort> {
        vec![OutputPort::new("main", ArtifactKind::File)]
    }
    fn infer(&self, context: &InferContext<'_>) -> Inference {
        assert!(context.connected.iter().all(|port| !port.starts_with("child")), "the kind sees its own ports alone");
        let main = ("main".to_owned(), ArtifactType::Other(ArtifactKind::File));
        Inference { outputs: [main].into(), faults: Vec::new() }
    }
    fn expansion(&self) -> Option<&dyn Expansion> {
        Some(self)
    }
}

impl Expansion for GatherStage {
    fn next(&self, round: &dyn Round) -> Result<Next, Faults> {
        if !round.finished().is_empty() {
            let children = (0..round.finished().len()).rev();
            return Ok(Next::Finish { inputs: children.map(|child| (child, "main".to_owned())).collect() });
        }
        let texts = self.0["texts"].as_array().cloned().unwrap_or_default();
        let child = |(at, text): (usize, &Value)| Proposal {
            label: at.to_string(),
            kind: "fake".into(),
            params: json!({"do": "copy", "text": text, "log": "children.log"}),
            ..Proposal::default()
        };
        Ok(Next::Run(texts.iter().enumerate().map(child).collect()))
    }
}
