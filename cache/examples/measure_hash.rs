//! The digest of a large file as the store takes it, every time anew: `measure_hash FILE`. Prints the seconds of the
//! fastest of five, for `cargo xtask bench engine`.
#![expect(clippy::print_stdout, reason = "a measuring program")]

use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args_os().nth(1).ok_or("usage: measure_hash FILE")?;
    let file = Path::new(&file);
    let mut best = f64::INFINITY;
    let mut digest = None;
    for _ in 0..5 {
        // A store of its own each time: nothing is remembered.
        let folder = tempfile::tempdir()?;
        let store = cache::Store::open(&folder.path().join("store"))?;
        let begun = Instant::now();
        digest = Some(store.file_digest(file)?.digest);
        best = best.min(begun.elapsed().as_secs_f64());
    }
    let digest = digest.map_or_else(String::new, |digest| digest.to_string());
    println!("{{\"seconds\": {best}, \"digest\": \"{digest}\"}}");
    Ok(())
}
