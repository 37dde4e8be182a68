//! Steps per second of the training loop that `train` runs: a 64-128-64-10 multilayer perceptron, batches of 64,
//! Adam, one thread, 1,797 rows. `bench/peers/training.py` is the same in PyTorch. Prints one JSON object.
//!
//! `cargo run --release -p stages-torch --example bench_training -- [--steps 3000] [--repeats 7] [--autograd]`
#![expect(clippy::print_stdout, reason = "a benchmark's result goes to its reader")]

use std::time::Instant;

use catalog::kinds::train::params::{Adam, Constant, Optimizer, Schedule};
use catalog::network::Network;
use catalog::params::network::{Mlp, Model};
use model::random::{Purpose, Random};
use stages_torch::fit::loss::Objective;
use stages_torch::fit::trainer::{Recipe, Trainer};
use stages_torch::network::Net;
use tch::{Device, Tensor};

const ROWS: usize = 1797;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: usize| {
        let place = arguments.iter().position(|argument| argument == name);
        place.and_then(|place| arguments.get(place + 1)?.parse().ok()).unwrap_or(default)
    };
    let (steps, repeats) = (number("--steps", 3000), number("--repeats", 7));
    tch::set_num_threads(1);

    let mut random = Random::new(0, Purpose::Weights);
    let mut values = vec![0f32; ROWS * 64];
    random.fill_uniform(&mut values, 1.7);
    let rows = Tensor::from_slice(&values).view([ROWS as i64, 64]);
    let labels: Vec<i64> = (0..ROWS).map(|_| i64::from(random.below(10))).collect();
    let targets = Tensor::from_slice(&labels);

    let network = Network::resolve(&Model::Mlp(Mlp::default()), &[64], 10).expect("a valid network");
    let net = Net::fresh(&network, &mut random, Device::Cpu).expect("weights");
    let recipe = Recipe {
        optimizer: Optimizer::Adam(Adam::default()),
        objective: Objective::CrossEntropy { smoothing: 0.0 },
        schedule: Schedule::Constant(Constant {}),
        epochs: 1,
        batch_size: 64,
        gradient_clip: None,
    };
    let mut trainer = Trainer::new(net, recipe, 0, ROWS).expect("a trainer");
    if arguments.iter().any(|argument| argument == "--autograd") {
        trainer = trainer.with_autograd();
    }

    let mut rates = Vec::new();
    for repeat in 0..=repeats {
        let start = Instant::now();
        let mut done = 0;
        while done < steps {
            trainer.epoch(&rows, &targets, |_, _| ()).expect("an epoch");
            done += trainer.steps();
        }
        // The first warms up.
        if repeat > 0 {
            rates.push(done as f64 / start.elapsed().as_secs_f64());
        }
    }
    rates.sort_by(f64::total_cmp);
    let best = rates.last().copied().unwrap_or(0.0);
    let median = rates.get(rates.len() / 2).copied().unwrap_or(0.0);
    println!(
        "{{\"steps_per_second\": {best:.1}, \"median\": {median:.1}, \"steps\": {steps}, \"repeats\": {repeats}}}"
    );
}
