//! Kinds that propose children, for tests.

use contract::artifact::{ArtifactKind, ArtifactType};
use contract::expansion::{Expansion, Next, Output, Outputs, Proposal, Round, Source};
use contract::fault::Faults;
use contract::kind::{About, InferContext, Inference, InputPort, Kind, OutputPort, Program, Stage};
use serde_json::{Value, json};

/// Finds the largest whole number of `0..high` whose square is at most `target`, `ways` tries a round, each a program.
pub struct Bisect;

struct BisectStage(Value);

impl Kind for Bisect {
    fn name(&self) -> &'static str {
        "bisect"
    }
    fn version(&self) -> u32 {
        1
    }
    fn program(&self) -> Program {
        Program::Data
    }
    fn seeded(&self) -> bool {
        true
    }
    fn schema(&self, _: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::Schema::default()
    }
    fn about(&self) -> About {
        About { summary: "For tests.", inputs: &[], outputs: &[], example: "" }
    }
    fn stage(&self, params: Value) -> Result<Box<dyn Stage>, Faults> {
        Ok(Box::new(BisectStage(params)))
    }
}

impl BisectStage {
    fn number(&self, name: &str) -> u64 {
        self.0[name].as_u64().unwrap_or(0)
    }

    fn try_out(&self, x: u64, parent: bool) -> Proposal {
        let fail = self.0["fail"].as_u64() == Some(x);
        let end = if fail { "exit 3" } else { "echo ran >> tries.log" };
        let path = format!("out/{x}.txt");
        let kind = self.0["kind"].as_str().unwrap_or("shell");
        Proposal {
            label: x.to_string(),
            kind: kind.into(),
            params: json!({"run": format!("echo $(({x} * {x})) > {path}; {end}"), "deps": [], "outs": [path]}),
            inputs: if parent { vec![("data".into(), Source::Parent("data".into()))] } else { Vec::new() },
            ..Proposal::default()
        }
    }
}

impl Expansion for BisectStage {
    fn next(&self, round: &dyn Round) -> Result<Next, Faults> {
        let (mut low, mut high) = (0, self.number("high"));
        for (at, child) in round.finished().iter().enumerate() {
            let bytes = round.bytes(at, "main")?;
            let square: u64 = String::from_utf8_lossy(&bytes).trim().parse().unwrap();
            let x: u64 = child.label.parse().unwrap();
            if square <= self.number("target") { low = low.max(x) } else { high = high.min(x) }
        }
        let parent = round.input("data").is_ok();
        let gap = high - low;
        if gap > 1 {
            let ways = self.number("ways").max(1).min(gap - 1);
            let tries = (1..=ways).map(|way| self.try_out(low + gap * way / (ways + 1), parent));
            let mut tries: Vec<Proposal> = tries.filter(|child| child.label != low.to_string()).collect();
            tries.dedup_by(|a, b| a.label == b.label);
            return Ok(Next::Run(tries));
        }
        let best = round.finished().iter().find(|child| child.label == low.to_string());
        let best = best.map_or(Output::Bytes(b"0\n".to_vec()), |best| Output::Child {
            label: best.label.clone(),
            port: "main".into(),
        });
        let told = format!("{low} after {} (seed {})\n", round.finished().len(), round.seed());
        Ok(Next::Done(Outputs {
            outputs: vec![("main".into(), best), ("told".into(), Output::Bytes(told.into_bytes()))],
            ..Outputs::default()
        }))
    }
}

impl Stage for BisectStage {
    fn params(&self) -> Value {
        self.0.clone()
    }
    fn inputs(&self, connected: &[&str]) -> Vec<InputPort> {
        let port = |name: &&str| InputPort { name: (*name).to_owned(), accepts: Vec::new(), required: false };
        connected.iter().map(port).collect()
    }
    fn outputs(&self) -> Vec<OutputPort> {
        vec![OutputPort::new("main", ArtifactKind::File), OutputPort::new("told", ArtifactKind::File)]
    }
    fn infer(&self, _: &InferContext<'_>) -> Inference {
        let outputs = self.outputs().into_iter().map(|port| (port.name, ArtifactType::Other(ArtifactKind::File)));
        Inference { outputs: outputs.collect(), faults: Vec::new() }
    }
    fn expansion(&self) -> Option<&dyn Expansion> {
        Some(self)
    }
}
