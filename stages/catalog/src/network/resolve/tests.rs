use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::params::network::{Activation, Model};

fn model(value: Value) -> Model {
    serde_json::from_value(value).unwrap()
}

fn faults(value: Value, input: &[u64]) -> Vec<(String, String, String)> {
    Network::resolve(&model(value), input, 10)
        .unwrap_err()
        .into_iter()
        .map(|fault| {
            assert!(fault.help.is_some(), "{} has no help", fault.code);
            (fault.code, fault.route.unwrap().to_string(), fault.message)
        })
        .collect()
}

#[test]
fn linear_is_one_layer() {
    let network = Network::resolve(&model(json!({ "linear": {} })), &[64], 10).unwrap();
    assert_eq!(network.nodes.len(), 1);
    assert_eq!(network.parameters(), 650);
    assert_eq!(network.operations(), 640);
    assert_eq!(network.output(), [10]);
}

#[test]
fn an_mlp_flattens_an_image() {
    let network = Network::resolve(&model(json!({ "mlp": { "hidden": [32] } })), &[1, 8, 8], 10).unwrap();
    let ops: Vec<&Op> = network.nodes.iter().map(|node| &node.op).collect();
    assert_eq!(
        ops,
        [
            &Op::Flatten,
            &Op::Linear(Linear { inputs: 64, outputs: 32, bias: true }),
            &Op::Activation(Activation::Relu),
            &Op::Linear(Linear { inputs: 32, outputs: 10, bias: true }),
        ]
    );
    assert_eq!(network.parameters(), 64 * 32 + 32 + 32 * 10 + 10);
}

#[test]
fn a_cnn_has_blocks_and_pools_while_it_can() {
    let network = Network::resolve(
        &model(json!({ "cnn": { "channels": [4, 6, 8], "hidden": [5], "dropout": 0.1 } })),
        &[1, 8, 8],
        10,
    )
    .unwrap();
    let shapes: Vec<Vec<u64>> = network.nodes.iter().map(|node| node.output.clone()).collect();
    let expected: Vec<Vec<u64>> = vec![
        vec![4, 8, 8],
        vec![4, 8, 8],
        vec![4, 8, 8],
        vec![4, 4, 4],
        vec![6, 4, 4],
        vec![6, 4, 4],
        vec![6, 4, 4],
        vec![6, 2, 2],
        vec![8, 2, 2],
        vec![8, 2, 2],
        vec![8, 2, 2],
        vec![32],
        vec![32],
        vec![5],
        vec![5],
        vec![5],
        vec![10],
    ];
    assert_eq!(shapes, expected);
    // Convolutions without bias, two parameters a channel for batch normalisation.
    let conv = 9 * (4 + 4 * 6 + 6 * 8) + 2 * (4 + 6 + 8);
    assert_eq!(network.parameters(), conv + (32 * 5 + 5) + (5 * 10 + 10));
    assert_eq!(network.operations(), 9 * (4 * 64 + 4 * 6 * 16 + 6 * 8 * 4) + 32 * 5 + 5 * 10);
}

#[test]
fn an_output_layer_is_added_only_where_the_last_does_not_fit() {
    let fits = Network::resolve(&model(json!({ "layers": [{ "linear": { "units": 10 } }] })), &[4], 10).unwrap();
    assert_eq!(fits.nodes.len(), 1);
    let other = Network::resolve(&model(json!({ "layers": [{ "linear": { "units": 9 } }] })), &[4], 10).unwrap();
    assert_eq!(other.nodes.len(), 2);
    let activated =
        Network::resolve(&model(json!({ "layers": [{ "linear": { "units": 10 } }, "relu"] })), &[4], 10).unwrap();
    assert_eq!(activated.nodes.len(), 3);
    let none = Network::resolve(&model(json!({ "layers": [] })), &[4], 10).unwrap();
    assert_eq!(none.output(), [10]);
}

#[test]
fn a_residual_keeps_the_shape_and_names_are_unique() {
    let layers = json!({ "layers": [
        { "conv2d": { "channels": 4 } },
        { "residual": [{ "conv2d": { "channels": 4 } }, "relu", { "residual": ["tanh"] }] },
        "global_avg_pool",
    ] });
    let network = Network::resolve(&model(layers), &[1, 8, 8], 10).unwrap();
    let names: Vec<&str> = network.walk().iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["0", "1", "1.0", "1.1", "1.2", "1.2.0", "2", "3"]);
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    assert_eq!(network.parameters(), (9 * 4 + 4) + (9 * 16 + 4) + (4 * 10 + 10));
    let json = serde_json::to_value(&network).unwrap();
    assert_eq!(serde_json::from_value::<Network>(json).unwrap(), network);
}

#[test]
fn strides_and_padding() {
    let layers = json!({ "layers": [
        { "conv2d": { "channels": 2, "kernel": 5, "stride": 2, "padding": 0 } },
        { "avg_pool2d": { "size": 3, "stride": 2 } },
    ] });
    let network = Network::resolve(&model(layers), &[3, 28, 20], 10).unwrap();
    assert_eq!(network.nodes[0].output, [2, 12, 8]);
    assert_eq!(network.nodes[1].output, [2, 5, 3]);
}

#[test]
fn every_misfit_has_its_fault() {
    let image: &[u64] = &[1, 8, 8];
    let cases: Vec<(Value, &[u64], &str, &str, &str)> = vec![
        (json!({ "cnn": {} }), &[64], "model::not_an_image", "model.cnn", "[64]"),
        (json!({ "cnn": { "kernel": 4 } }), image, "model::even_kernel", "model.cnn.kernel", "kernel of 4"),
        (
            json!({ "layers": ["flatten", { "conv2d": { "channels": 2 } }] }),
            image,
            "model::shape",
            "model.layers[1]",
            "`conv2d` wants `[channels, height, width]` and meets [64]",
        ),
        (
            json!({ "layers": [{ "conv2d": { "channels": 2, "kernel": 11, "padding": 1 } }] }),
            image,
            "model::window_too_large",
            "model.layers[0].conv2d.kernel",
            "[1, 8, 8]",
        ),
        (
            json!({ "layers": [{ "max_pool2d": { "size": 9 } }] }),
            image,
            "model::window_too_large",
            "model.layers[0].max_pool2d.size",
            "window of 9",
        ),
        (
            json!({ "layers": ["relu", { "residual": [{ "conv2d": { "channels": 2 } }] }] }),
            image,
            "model::residual_shape",
            "model.layers[1].residual",
            "adds [2, 8, 8] to [1, 8, 8]",
        ),
        (
            json!({ "layers": [{ "residual": [] }] }),
            image,
            "model::empty_residual",
            "model.layers[0].residual",
            "no layers",
        ),
        (
            json!({ "mlp": { "hidden": [65536, 65536, 65536, 65536, 65536] } }),
            &[4],
            "model::too_large",
            "model",
            "parameters",
        ),
    ];
    for (value, input, code, route, message) in cases {
        let found = faults(value.clone(), input);
        assert_eq!(found.len(), 1, "{value}");
        assert_eq!((found[0].0.as_str(), found[0].1.as_str()), (code, route), "{value}");
        assert!(found[0].2.contains(message), "{}", found[0].2);
    }
}

#[test]
fn faults_inside_and_after_a_residual_are_found_together() {
    let found = faults(
        json!({ "layers": [
            { "residual": ["flatten", { "conv2d": { "channels": 2 } }] },
            "flatten",
            "global_avg_pool",
        ] }),
        &[1, 8, 8],
    );
    let routes: Vec<&str> = found.iter().map(|(_, route, _)| route.as_str()).collect();
    assert_eq!(routes, ["model.layers[0].residual[1]", "model.layers[2]"]);
}

#[test]
fn vectors_are_looked_up_before_the_first_layer() {
    let tables = [Table { position: 1, values: 41, dimensions: 13 }, Table { position: 2, values: 3, dimensions: 2 }];
    let mlp = model(json!({ "mlp": { "hidden": [8] } }));
    let network = Network::resolve_embedded(&mlp, &[4], &tables, 3).unwrap();
    assert_eq!(network.nodes[0].op, Op::Embed(tables.to_vec()));
    assert_eq!((network.input.as_slice(), network.nodes[0].output.as_slice()), ([4].as_slice(), [17].as_slice()));
    assert_eq!(network.nodes[1].name, "1");
    assert_eq!(network.nodes[1].op, Op::Linear(Linear { inputs: 17, outputs: 8, bias: true }));
    assert_eq!(network.tables(), tables);
    assert_eq!(network.parameters(), 41 * 13 + 3 * 2 + (17 * 8 + 8) + (8 * 3 + 3));
    assert_eq!(network.operations(), 17 * 8 + 8 * 3);
    let text = serde_json::to_string(&network).unwrap();
    assert_eq!(serde_json::from_str::<Network>(&text).unwrap(), network);
    let large = [Table { position: 0, values: 1 << 24, dimensions: 4096 }];
    let faults = Network::resolve_embedded(&mlp, &[1], &large, 3).unwrap_err();
    assert_eq!(faults[0].code, "model::too_large");
    let pooled = model(json!({ "layers": ["global_avg_pool"] }));
    let faults = Network::resolve_embedded(&pooled, &[4], &tables, 3).unwrap_err();
    assert!(faults[0].help.as_ref().unwrap().contains("the only feature"), "nothing of the document stands before it");
}
