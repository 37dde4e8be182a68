//! A folded network against the network it was folded from.

use catalog::network::Op;
use model::fold::fold;
use serde_json::json;

use crate::network::layer::Pass;
use crate::tests::sample;

#[test]
fn a_folded_network_computes_the_same() {
    let model = json!({ "layers": [
        { "conv2d": { "channels": 6, "bias": false } }, { "batch_norm": {} }, "relu",
        { "residual": [{ "conv2d": { "channels": 6 } }, { "dropout": {} }, { "batch_norm": {} }, "silu", { "batch_norm": {} }] },
        { "max_pool2d": {} }, "flatten", { "batch_norm": {} }, { "dropout": {} },
        { "linear": { "units": 5, "bias": false } }, { "batch_norm": {} }, "tanh"
    ]});
    let network = sample::network(model, &[2, 6, 6], 3);
    let weights = sample::weights(&network, 1);
    let folded = fold(&network, &weights).unwrap();
    let norms = folded.network.walk().iter().filter(|node| matches!(node.op, Op::BatchNorm(_))).count();
    assert_eq!(norms, 2, "those after `silu` and `flatten`");
    let rows = sample::rows(&network, 7, 2);
    let before = sample::net(&network, &weights).forward(&rows, &mut Pass::Eval).unwrap();
    let after = sample::net(&folded.network, &folded.weights).forward(&rows, &mut Pass::Eval).unwrap();
    assert!((before - after).abs().max().double_value(&[]) < 1e-5);
}
