//! The demo: the digits pipeline from an empty store, its result, and the same run again.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::libtorch;
use crate::shell::{Done, cargo, failed, failure, run, target, workspace};

/// Runs the demo in a copy under the target folder: the checkout and its stores stay as they are.
pub fn demo() -> Done {
    let libtorch = libtorch::ready()?;
    run(cargo(Some(&libtorch.root)).arg("build"))?;
    let source = workspace().join("pipelines/digits");
    let folder = target().join("demo/digits");
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(failed("remove", &folder))?;
    }
    copy(&source, &folder)?;
    let pipeline = target().join("debug/pipeline");
    let timed = |arguments: &[&str]| -> Done<f64> {
        let started = Instant::now();
        run(Command::new(&pipeline).args(arguments).current_dir(&folder))?;
        Ok(started.elapsed().as_secs_f64())
    };
    println!("\nin `{}`, from an empty store:", folder.display());
    let first = timed(&["run"])?;
    timed(&["show", "verdict"])?;
    timed(&["show", "small.report"])?;
    println!("\nthe same again, from the store:");
    let again = timed(&["run"])?;
    println!(
        "\nfirst run {first:.1} s, second run {:.0} ms. Now edit `{}/pipeline.yaml` and run",
        again * 1000.0,
        folder.display()
    );
    println!("  cd {} && {} run", folder.display(), pipeline.display());
    Ok(())
}

/// Copies what belongs to a pipeline: no store, no results.
fn copy(from: &Path, to: &Path) -> Done {
    fs::create_dir_all(to).map_err(failed("create folder", to))?;
    for entry in fs::read_dir(from).map_err(failed("read", from))? {
        let entry = entry.map_err(failed("read", from))?;
        let (path, there) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name() == ".pipeline" || entry.file_name() == "out" {
            continue;
        }
        let kind = entry.file_type().map_err(failed("read", &path))?;
        if kind.is_dir() {
            copy(&path, &there)?;
        } else if fs::metadata(&path).is_ok() {
            fs::copy(&path, &there).map_err(failed("copy", &path))?;
        } else {
            return Err(failure(format!("`{}` leads nowhere", path.display())));
        }
    }
    Ok(())
}
