//! A source that has not changed is not read again: no page of it comes into the page cache.

use std::fs::{self, File};
use std::io::IoSliceMut;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{Advice, fadvise};
use rustix::io::{ReadWriteFlags, preadv2};

use crate::house::House;

/// Drops a file's pages.
fn evict(path: &Path) {
    let file = File::options().read(true).write(true).open(path).expect("the file");
    file.sync_all().expect("it is written");
    fadvise(&file, 0, None, Advice::DontNeed).expect("advice is taken");
}

/// Whether the file's first or last byte can be had without its disk. Asking may bring them in: ask once.
fn in_memory(path: &Path) -> bool {
    let file = File::open(path).expect("the file");
    let end = file.metadata().expect("its size").len() - 1;
    [end, 0].into_iter().any(|at| {
        let mut byte = [0];
        preadv2(file.as_fd(), &mut [IoSliceMut::new(&mut byte)], at, ReadWriteFlags::NOWAIT).is_ok()
    })
}

#[test]
fn an_unchanged_source_is_not_read_again() {
    let house = House::of(
        "pipeline: rereading\nstages:\n  raw: { kind: collect, from: { csv: data.csv } }\n  clean: { kind: preprocess, \
         inputs: { data: raw }, steps: [{ filter: \"a > 1\" }] }\n",
    );
    let rows: String = (0..200_000).map(|row| format!("{row},{}\n", row % 7)).collect();
    house.write("data.csv", format!("a,b\n{rows}"));
    let source = house.path().join("data.csv");
    let probe = house.path().join("probe");
    fs::copy(&source, &probe).expect("a copy");
    evict(&probe);
    if in_memory(&probe) {
        eprintln!("skipped: this file system keeps files in memory, or cannot say whether it does");
        return;
    }
    house.run().ran(["raw", "clean"]);
    // What was written a moment ago is hashed once more.
    house.run().nothing_ran();

    evict(&source);
    house.run().nothing_ran();
    assert!(!in_memory(&source), "nothing to do");

    house.edit("pipeline.yaml", "a > 1", "a > 2");
    evict(&source);
    house.run().ran(["clean"]).hit(["raw"]);
    assert!(!in_memory(&source), "something else to do");

    house.edit("pipeline.yaml", "csv: data.csv", "csv: { path: data.csv, missing: [x] }");
    evict(&source);
    house.run().ran(["raw"]);
    assert!(in_memory(&source), "this is how it looks when it is read");
}
