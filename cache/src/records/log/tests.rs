use super::*;

fn key(number: u64) -> Digest {
    Digest::of(&number.to_le_bytes())
}

fn log(folder: &tempfile::TempDir) -> Log {
    Log::new(folder.path().join("records-v1"))
}

fn put(log: &Log, number: u64, label: &str, payload: &[u8]) {
    log.put(&key(number), label, payload, |_| true).unwrap();
}

fn get(log: &Log, number: u64) -> Option<Vec<u8>> {
    log.get(&key(number)).unwrap()
}

/// Five entries of different lengths, and where each ends.
fn filled() -> (tempfile::TempDir, Vec<u8>, Vec<usize>) {
    let folder = tempfile::tempdir().unwrap();
    let log = log(&folder);
    let mut ends = Vec::new();
    for number in 0..5 {
        put(&log, number, "stage", &vec![number as u8; 7 * number as usize]);
        ends.push(fs::metadata(&log.path).unwrap().len() as usize);
    }
    let bytes = fs::read(&log.path).unwrap();
    (folder, bytes, ends)
}

#[test]
fn entries_are_found_by_key_and_label() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (log(&folder), log(&folder));
    assert_eq!(get(&two, 1), None);
    put(&one, 1, "a", b"first");
    put(&one, 2, "b", b"second");
    put(&one, 1, "a", b"third");
    // Written by another instance after this one had looked: found all the same.
    assert_eq!(get(&two, 1).unwrap(), b"third");
    assert_eq!(two.versions(&key(1)).unwrap(), [b"third".to_vec(), b"first".to_vec()]);
    assert_eq!(two.last("a").unwrap(), Some(key(1)));
    assert_eq!(two.last("c").unwrap(), None);
    put(&two, 3, "a", b"");
    two.touch("a", &key(1), 0).unwrap();
    assert_eq!(two.last("a").unwrap(), Some(key(1)));
    two.flush().unwrap();
    assert_eq!(one.last("a").unwrap(), Some(key(1)));
    assert_eq!(one.history("a", 9).unwrap(), [key(1), key(3)]);
    assert_eq!(one.history("a", 1).unwrap(), [key(1)]);
}

#[test]
fn an_unneeded_touch_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(&folder);
    put(&log, 1, "a", b"x");
    let size = fs::metadata(&log.path).unwrap().len();
    log.touch("a", &key(1), 1_000_000).unwrap();
    log.flush().unwrap();
    assert_eq!(fs::metadata(&log.path).unwrap().len(), size);
    log.touch("b", &key(1), 1_000_000).unwrap();
    log.flush().unwrap();
    assert!(fs::metadata(&log.path).unwrap().len() > size);
}

#[test]
fn a_tail_torn_anywhere_is_ignored_and_then_cut_off() {
    let (folder, bytes, ends) = filled();
    for length in 0..bytes.len() {
        fs::write(folder.path().join("records-v1/log"), &bytes[..length]).unwrap();
        let whole = ends.iter().filter(|end| **end <= length).count() as u64;
        let reader = log(&folder);
        for number in 0..5 {
            assert_eq!(get(&reader, number).is_some(), number < whole, "entry {number} of {length} bytes");
        }
        let writer = log(&folder);
        put(&writer, 9, "stage", b"after");
        for log in [reader, log(&folder)] {
            assert_eq!(get(&log, 9).unwrap(), b"after", "after {length} bytes");
            for number in 0..whole {
                assert_eq!(get(&log, number).unwrap(), vec![number as u8; 7 * number as usize]);
            }
        }
        let kept = ends.iter().rev().find(|end| **end <= length).copied().unwrap_or(0);
        let after = fs::metadata(folder.path().join("records-v1/log")).unwrap().len() as usize;
        assert_eq!(
            after,
            kept + HEADER_BYTES + "stage".len() + "after".len(),
            "the tail of {length} bytes was not cut off"
        );
    }
}

#[test]
fn a_damaged_byte_costs_its_own_entry_and_no_other() {
    let (folder, bytes, ends) = filled();
    for position in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[position] ^= 0x10;
        fs::write(folder.path().join("records-v1/log"), &damaged).unwrap();
        let log = log(&folder);
        let hit = ends.iter().filter(|end| **end <= position).count() as u64;
        for number in 0..5 {
            let expected = (number != hit).then(|| vec![number as u8; 7 * number as usize]);
            assert_eq!(get(&log, number), expected, "entry {number}, byte {position}");
        }
        // And the lost one can be written again.
        put(&log, hit, "stage", b"again");
        assert_eq!(get(&self::log(&folder), hit).unwrap(), b"again");
    }
}

#[test]
fn zeros_where_a_power_cut_lost_data_are_skipped() {
    let (folder, mut bytes, ends) = filled();
    bytes[ends[0]..ends[1]].fill(0);
    bytes.extend_from_slice(&[0; 4096]);
    fs::write(folder.path().join("records-v1/log"), &bytes).unwrap();
    let log = log(&folder);
    assert_eq!((0..5).filter(|number| get(&log, *number).is_some()).count(), 4);
    put(&log, 7, "stage", b"new");
    assert_eq!(get(&self::log(&folder), 7).unwrap(), b"new");
    assert!(fs::metadata(&log.path).unwrap().len() < bytes.len() as u64);
}

#[test]
fn compaction_keeps_what_counts_and_others_follow() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (log(&folder), log(&folder));
    for round in 0..10u8 {
        for number in 0..20 {
            put(&one, number, "a", &[round; 50]);
        }
    }
    put(&one, 30, "b", b"only");
    one.touch("c", &key(3), 0).unwrap();
    one.flush().unwrap();
    assert_eq!(get(&two, 0).unwrap(), [9; 50]);
    let before = fs::metadata(&one.path).unwrap().len();
    one.compact(|key_| *key_ != key(5)).unwrap();
    assert!(fs::metadata(&one.path).unwrap().len() < before / 4);
    // The other still has the old file open.
    put(&two, 31, "b", b"by the other");
    for log in [&one, &two, &log(&folder)] {
        assert_eq!(get(log, 5), None);
        assert_eq!(get(log, 4).unwrap(), [9; 50]);
        assert_eq!(log.versions(&key(4)).unwrap(), [[9; 50], [8; 50]]);
        assert_eq!(get(log, 31).unwrap(), b"by the other");
        assert_eq!(log.last("b").unwrap(), Some(key(31)));
        assert_eq!(log.last("c").unwrap(), Some(key(3)));
    }
}

#[test]
fn dead_entries_do_not_pile_up() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(&folder);
    for round in 0..200u32 {
        log.queue(&key(1), &vec![round as u8; 100_000]).unwrap();
    }
    log.flush().unwrap();
    assert_eq!(get(&log, 1).unwrap(), vec![199; 100_000]);
    assert!(fs::metadata(&log.path).unwrap().len() < 2 * MAX_DEAD_BYTES);
}

#[test]
fn an_emptied_store_starts_over() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(&folder);
    put(&log, 1, "a", b"x");
    fs::remove_dir_all(folder.path().join("records-v1")).unwrap();
    put(&log, 2, "a", b"y");
    assert_eq!(get(&log, 2).unwrap(), b"y");
    assert_eq!(get(&self::log(&folder), 2).unwrap(), b"y");
    assert_eq!(get(&log, 1), None);
}

/// Not a measurement: that a large log is read at all, and right.
#[test]
fn a_hundred_thousand_entries_are_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(&folder);
    for number in 0..100_000u64 {
        log.queue(&key(number), &number.to_le_bytes()).unwrap();
    }
    log.flush().unwrap();
    let other = self::log(&folder);
    assert!((0..100_000u64).all(|number| get(&other, number).unwrap() == number.to_le_bytes()));
}
