//! How long a model takes: an observation, never part of an output's bytes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tch::Tensor;

use crate::fault::{During, Outcome};
use crate::predict::Predictor;

/// Rows of one call.
pub const BATCHES: [i64; 2] = [1, 64];
/// Calls before the clock counts.
const WARM_UP: usize = 5;
/// Calls timed, when they are quick.
const REPEATS: usize = 200;
/// No more calls are started after this.
const PATIENCE: Duration = Duration::from_millis(250);

/// The median time of one call in microseconds, by rows of the call.
///
/// # Errors
/// What the predictor fails with.
pub fn measure(predictor: &dyn Predictor, rows: &Tensor) -> Outcome<BTreeMap<String, f64>> {
    let mut out = BTreeMap::new();
    for batch in BATCHES {
        let copies = batch.div_euclid(rows.size()[0].max(1)) + 1;
        let mut repeats = vec![1i64; rows.dim()];
        repeats[0] = copies;
        let rows = rows
            .f_repeat(&repeats)
            .and_then(|rows| rows.f_narrow(0, 0, batch))
            .and_then(|rows| rows.f_contiguous())
            .during(|| "taking rows to measure with".to_owned())?;
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
