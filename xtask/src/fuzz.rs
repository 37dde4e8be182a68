//! The fuzzer over the language and every format on disk, from the kept corpus on.

use std::process::Command;

use crate::shell::{Done, cargo, failure, output, run, workspace};

/// The targets of `tests/fuzz`.
const TARGETS: [&str; 10] =
    ["language", "store", "formats", "lock", "dvc", "include", "digests", "snapshot", "runs", "logs"];

/// Fuzzes one target, or each in turn, for so many seconds. What it finds lies in `tests/fuzz/artifacts` afterwards.
pub fn fuzz(target: Option<&str>, seconds: u64) -> Done {
    if let Some(target) = target.filter(|target| !TARGETS.contains(target)) {
        return Err(failure(format!("there is no target `{target}`")).help(format!("known: {}", TARGETS.join(", "))));
    }
    let nightly = || {
        let ours = cargo(None);
        // By rustup's name: the cargo that runs this program is one toolchain's own.
        let mut command = Command::new("cargo");
        command.current_dir(workspace()).env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").env_remove("RUSTC");
        for (name, value) in ours.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.arg("+nightly");
        command
    };
    output(nightly().args(["fuzz", "--version"])).map_err(|_| {
        failure("the fuzzer is not installed")
            .help("rustup toolchain install nightly --profile minimal\ncargo install cargo-fuzz --locked")
    })?;
    for target in TARGETS.iter().filter(|name| target.is_none_or(|target| target == **name)) {
        let mut command = nightly();
        // Our own code has no unsafe block worth the sanitizer's price; without it the search is several times as fast.
        command.args(["fuzz", "run", "--sanitizer", "none", "--fuzz-dir", "tests/fuzz", target, "--"]);
        command.arg(format!("-max_total_time={}", seconds));
        command.args([
            format!("-max_len={}", if ["store", "digests"].contains(target) { 192 } else { 4096 }),
            "-timeout=60".to_owned(),
        ]);
        run(&mut command)?;
    }
    Ok(())
}
