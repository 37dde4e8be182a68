//! How long a model takes: an observation, never part of an output's bytes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use model::fault::Outcome;
use model::predict::Predictor;

/// Rows of one call.
pub const BATCHES: [usize; 2] = [1, 64];
/// Calls before the clock counts.
const WARM_UP: usize = 5;
/// Calls timed, when they are quick.
const REPEATS: usize = 200;
/// No more calls are started after this.
const PATIENCE: Duration = Duration::from_millis(250);

/// The median time of one call in microseconds, by rows of the call. `rows` are encoded, at least one.
///
/// # Errors
/// What the predictor fails with.
pub fn measure(predictor: &dyn Predictor, rows: &[f32]) -> Outcome<BTreeMap<String, f64>> {
    let mut out = BTreeMap::new();
    for batch in BATCHES {
        let rows: Vec<f32> = rows.iter().copied().cycle().take(batch * predictor.width()).collect();
        let started = Instant::now();
        for _ in 0..WARM_UP {
            let _outputs = predictor.outputs(&rows)?;
            if started.elapsed() > PATIENCE {
                break;
            }
        }
        let started = Instant::now();
        let mut times = Vec::with_capacity(REPEATS);
        while times.len() < REPEATS && (times.len() < 3 || started.elapsed() < PATIENCE) {
            let call = Instant::now();
            let _outputs = predictor.outputs(&rows)?;
            times.push(call.elapsed().as_secs_f64() * 1e6);
        }
        times.sort_by(f64::total_cmp);
        out.insert(batch.to_string(), times[times.len() / 2]);
    }
    Ok(out)
}
