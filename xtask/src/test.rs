//! Every test of the workspace.

use crate::data;
use crate::libtorch;
use crate::servers;
use crate::shell::{Done, cargo, output, run};

/// Builds the programs (tests start them) and runs the tests, with nextest where it is installed.
pub fn test(arguments: &[String]) -> Done {
    let libtorch = libtorch::ready()?;
    servers::ready();
    data::ready();
    let cargo = || cargo(Some(&libtorch.root));
    run(cargo().args(["build", "--workspace"]))?;
    // Before the others, so that their summary is the last thing one reads.
    run(cargo().args(["test", "--workspace", "--doc", "--quiet"]))?;
    if output(cargo().args(["nextest", "--version"])).is_ok() {
        run(cargo().args(["nextest", "run", "--workspace", "--no-fail-fast"]).args(arguments))
    } else {
        run(cargo().args(["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"]).args(arguments))
    }
}
