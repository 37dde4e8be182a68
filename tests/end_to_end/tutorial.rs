//! The tutorial really runs: every `$ ` line of its `console` blocks, in one shell session.

use std::process::Command;

use crate::house::{House, program, repository};

#[test]
fn every_command_of_the_tutorial_does_what_it_says() {
    let page = std::fs::read_to_string(repository().join("docs/tutorial.md")).expect("the tutorial");
    let mut script = String::from("set -u\n");
    let mut inside = false;
    let mut count = 0;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            inside = line.trim() == "```console";
        } else if inside && let Some(command) = line.trim_start().strip_prefix("$ ") {
            let (command, wanted) = match command.rsplit_once("# exit code ") {
                Some((command, code)) => (command.trim_end(), code.trim()),
                None => (command, "0"),
            };
            let shown = command.replace('\'', "'\\''");
            script.push_str(&format!(
                "{command}\ncode=$?\nif [ $code -ne {wanted} ]; then echo 'FAILED: {shown}' \"gave $code, not {wanted}\" >&2; exit 1; fi\n"
            ));
            count += 1;
        }
    }
    assert!(count >= 10, "the tutorial has only {count} commands");
    let house = House::empty();
    let path = std::env::join_paths(
        program()
            .parent()
            .map(std::path::Path::to_path_buf)
            .into_iter()
            .chain(std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect::<Vec<_>>()),
    )
    .expect("a PATH");
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).current_dir(house.path()).env("PATH", path).env("NO_COLOR", "1");
    let said = crate::house::said(shell);
    assert_eq!(said.code, 0, "{}\n{}", said.out, said.err);
}
