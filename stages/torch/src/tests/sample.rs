//! Small networks with weights, for tests.

use std::collections::BTreeMap;

use catalog::network::{Network, Table};
use catalog::params::network::Model;
use model::array::Weights;
use model::random::{Purpose, Random};
use serde_json::Value;
use tch::{Device, Tensor};

use crate::network::{Net, tensor_specs};
use crate::weights::weights_of;

/// A network as a document would write it.
pub fn network(model: Value, input: &[u64], outputs: u64) -> Network {
    let model: Model = serde_json::from_value(model).unwrap();
    Network::resolve(&model, input, outputs).unwrap()
}

/// The same for rows with indices in them.
pub fn embedded(model: Value, input: u64, tables: &[Table], outputs: u64) -> Network {
    let model: Model = serde_json::from_value(model).unwrap();
    Network::resolve_embedded(&model, &[input], tables, outputs).unwrap()
}

/// Tables of two columns in rows of five numbers or more: the first and the fourth.
pub fn tables() -> Vec<Table> {
    vec![Table { position: 0, values: 6, dimensions: 3 }, Table { position: 3, values: 4, dimensions: 2 }]
}

/// Weights that look trained: running statistics are not those of a fresh network.
pub fn weights(network: &Network, seed: u64) -> Weights {
    let mut random = Random::new(seed, Purpose::Weights);
    let mut weights = weights_of(&Net::fresh(network, &mut random, Device::Cpu).unwrap().state().unwrap()).unwrap();
    for spec in tensor_specs(network) {
        let norm = weights.contains_key(&spec.name.replace(".weight", ".running_var"));
        let values = &mut weights.get_mut(&spec.name).unwrap().values;
        if spec.name.ends_with("running_var") || (norm && spec.name.ends_with(".weight")) {
            values.iter_mut().for_each(|value| *value = 0.5 + random.unit());
        } else if spec.name.ends_with("running_mean") {
            values.iter_mut().for_each(|value| *value = random.unit() - 0.5);
        }
    }
    weights
}

/// A net of given weights.
pub fn net(network: &Network, weights: &Weights) -> Net {
    let tensors: BTreeMap<String, Tensor> = crate::weights::tensors_of(weights).unwrap();
    Net::from_tensors(network, tensors, Device::Cpu).unwrap()
}

/// Rows of numbers between −2 and 2, and of indices where the network looks vectors up.
pub fn rows(network: &Network, count: usize, seed: u64) -> Tensor {
    let width: u64 = network.input.iter().product();
    let mut values = vec![0f32; count * width as usize];
    let mut random = Random::new(seed, Purpose::Compress);
    random.fill_uniform(&mut values, 2.0);
    for row in values.chunks_exact_mut(width as usize) {
        for table in network.tables() {
            row[table.position as usize] = random.below(table.values as u32) as f32;
        }
    }
    let mut size = vec![count as i64];
    size.extend(network.input.iter().map(|side| *side as i64));
    Tensor::from_slice(&values).reshape(size)
}
