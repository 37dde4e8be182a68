//! Calibration and the 8-bit runtime against each other, and against the exact network.

use catalog::kinds::compress::params::Int8;
use catalog::network::Network;
use model::fold::fold;
use model::int8::runtime::Runtime;
use serde_json::{Value, json};
use tch::Tensor;

use crate::network::layer::Pass;
use crate::raw;
use crate::shrink::quantize::{quantize, simulated};
use crate::tests::sample;

fn every_layer() -> Value {
    json!({ "layers": [
        { "conv2d": { "channels": 12, "bias": false } }, { "batch_norm": {} }, "relu",
        { "residual": [{ "conv2d": { "channels": 5, "kernel": 1 } }, "gelu", { "conv2d": { "channels": 12 } }] }, "relu",
        { "max_pool2d": { "size": 3, "stride": 2 } },
        { "conv2d": { "channels": 7, "stride": 2, "padding": 3, "kernel": 5 } }, "silu", { "batch_norm": {} },
        { "avg_pool2d": { "size": 2, "stride": 1 } }, { "dropout": {} }, "gelu", "flatten",
        { "linear": { "units": 19 } }, "tanh"
    ]})
}

fn models() -> Vec<Network> {
    vec![
        sample::network(every_layer(), &[3, 11, 9], 4),
        sample::network(json!({ "cnn": { "channels": [8, 16] } }), &[1, 8, 8], 10),
        sample::network(json!({ "mlp": { "hidden": [33, 20], "batch_norm": true } }), &[13], 3),
        sample::network(
            json!({ "layers": [{ "conv2d": { "channels": 6 } }, "relu", "global_avg_pool"] }),
            &[2, 5, 5],
            6,
        ),
        sample::network(json!({ "linear": {} }), &[4], 1),
        sample::embedded(json!({ "mlp": { "hidden": [33, 20] } }), 5, &sample::tables(), 3),
        sample::embedded(json!({ "layers": ["tanh"] }), 5, &sample::tables(), 3),
    ]
}

/// Signal-to-noise ratio of the rounded network's outputs, in decibels.
fn quality(network: &Network, mode: Int8) -> f64 {
    let weights = sample::weights(network, 3);
    let folded = fold(network, &weights).unwrap();
    let quantized = quantize(&folded, &sample::rows(network, 300, 4), mode).unwrap();
    let rows = sample::rows(network, 100, 5);
    let exact = sample::net(network, &weights).forward(&rows, &mut Pass::Eval).unwrap();
    let mut runtime = Runtime::new(&quantized).unwrap();
    let found = runtime.forward(raw::floats(&rows));
    let found = Tensor::from_slice(&found).reshape(exact.size());
    let centred = &exact - exact.mean_dim(&[0i64][..], true, None);
    let (signal, noise) = (centred.square().mean(None), (&exact - found).square().mean(None));
    10.0 * (signal.double_value(&[]) / noise.double_value(&[])).log10()
}

#[test]
fn rounded_networks_stay_near_the_exact_ones() {
    for network in models() {
        for mode in [Int8::Static, Int8::Dynamic] {
            let quality = quality(&network, mode);
            assert!(quality > 18.0, "{mode:?}: {quality:.1} dB for {} layers", network.nodes.len());
        }
    }
}

/// What calibration foresaw with rounded real numbers is what whole numbers give, but for values that lie on
/// the edge between two steps.
#[test]
fn whole_numbers_do_what_was_calibrated() {
    for network in models() {
        let folded = fold(&network, &sample::weights(&network, 3)).unwrap();
        let rows = sample::rows(&network, 200, 4);
        let (quantized, foreseen) = simulated(&folded, &rows, Int8::Static).unwrap();
        let found = Runtime::new(&quantized).unwrap().forward(raw::floats(&rows));
        let found = Tensor::from_slice(&found).reshape(foreseen.size());
        let same = (&found - &foreseen).abs().less(1e-4).to_kind(tch::Kind::Float).mean(None).double_value(&[]);
        assert!(same > 0.95, "{same} of the outputs for {} layers", network.nodes.len());
    }
}

#[test]
fn a_row_s_answer_depends_on_nothing_else() {
    for network in models() {
        let folded = fold(&network, &sample::weights(&network, 3)).unwrap();
        for mode in [Int8::Static, Int8::Dynamic] {
            let quantized = quantize(&folded, &sample::rows(&network, 50, 4), mode).unwrap();
            let rows = sample::rows(&network, 70, 5);
            let rows = raw::floats(&rows);
            let mut runtime = Runtime::new(&quantized).unwrap();
            let together = runtime.forward(rows);
            let one_by_one: Vec<f32> = rows.chunks(runtime.width()).flat_map(|row| runtime.forward(row)).collect();
            assert_eq!(together, one_by_one);
            assert_eq!(together, Runtime::new(&quantized).unwrap().plain().forward(rows), "without vectors");
        }
    }
}

#[test]
fn a_convolution_by_hand() {
    // 3 × 3 of ones over a 3 × 3 image with padding 1: the sums of each neighbourhood.
    let network = sample::network(json!({ "layers": [{ "conv2d": { "channels": 1 } }, "flatten"] }), &[1, 3, 3], 9);
    let mut weights = sample::weights(&network, 1);
    weights.get_mut("0.weight").unwrap().values.fill(1.0);
    weights.get_mut("0.bias").unwrap().values.fill(0.0);
    let last = weights.get_mut("2.weight").unwrap();
    for (index, value) in last.values.iter_mut().enumerate() {
        *value = if index / 9 == index % 9 { 1.0 } else { 0.0 };
    }
    weights.get_mut("2.bias").unwrap().values.fill(0.0);
    let rows = Tensor::from_slice(&[1f32, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]).reshape([1, 1, 3, 3]);
    let quantized = quantize(&fold(&network, &weights).unwrap(), &rows, Int8::Static).unwrap();
    let found = Runtime::new(&quantized).unwrap().forward(raw::floats(&rows));
    for (found, wanted) in found.iter().zip([12.0, 21.0, 16.0, 27.0, 45.0, 33.0, 24.0, 39.0, 28.0]) {
        assert!((found - wanted).abs() < 0.3, "{found} for {wanted}");
    }
}

#[test]
fn missing_tensors_are_a_fault() {
    let network = sample::network(json!({ "mlp": { "hidden": [4] } }), &[3], 2);
    let folded = fold(&network, &sample::weights(&network, 1)).unwrap();
    let mut quantized = quantize(&folded, &sample::rows(&network, 10, 1), Int8::Static).unwrap();
    quantized.points.pop();
    assert_eq!(Runtime::new(&quantized).unwrap_err().code, "model::damaged");
    quantized.layers.clear();
    quantized.mode = Int8::Dynamic;
    assert_eq!(Runtime::new(&quantized).unwrap_err().code, "model::damaged");
}
