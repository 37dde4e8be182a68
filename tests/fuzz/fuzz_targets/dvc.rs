#![no_main]

#[path = "../targets.rs"]
#[expect(dead_code, reason = "every target is a program of its own")]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::dvc(data));
