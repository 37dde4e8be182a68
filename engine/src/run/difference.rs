//! Where two results that should be equal first differ: the file, then the tensor, the route or the
//! line.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use cache::{Blob, Entry, Store};
use contract::artifact::ArtifactKind;
use contract::kind::{Oracle, Program, Question};
use serde_json::{Value, json};

/// Largest file, in bytes, that is read as text or JSON. A larger one is compared byte by byte.
const MAX_READABLE_BYTES: u64 = 64 << 20;
/// Most characters of a value that are shown.
const MAX_SHOWN: usize = 60;

/// [`first`], where a worker program can tell more: of a data set, `pipeline-data` names the row
/// and the column.
pub fn found(
    oracle: &dyn Oracle,
    kind: ArtifactKind,
    (there, old): (&Store, &Blob),
    (here, new): (&Store, &Blob),
) -> Option<String> {
    let program = Program::that_compares(kind).filter(|_| !old.tree && !new.tree);
    let ask = |program: Program| {
        let question = Question {
            kind: "difference".into(),
            version: 1,
            params: json!({ "path": there.blob_path(&old.digest), "other": here.blob_path(&new.digest) }),
            inputs: Default::default(),
            files: Vec::new(),
        };
        let answer = oracle.ask(program, &question).ok()??;
        answer["difference"].as_str().map(str::to_owned)
    };
    let place = program.and_then(ask);
    place.or_else(|| first((there, old), (here, new)))
}

/// In words, where two stored results first differ; `None` when they do not, or when one of them
/// cannot be read.
///
/// `sub/b, line 1: ...` for folders, `line 2: ...` for text, `` `b[1]`: ... `` for JSON, `` tensor
/// `w`, element 7: ... `` for safetensors, `byte 12` for anything else.
///
/// Each result comes with the store it lies in.
pub fn first((there, old): (&Store, &Blob), (here, new): (&Store, &Blob)) -> Option<String> {
    if old.digest == new.digest {
        return None;
    }
    if !old.tree && !new.tree {
        return between(&there.blob_path(&old.digest), &here.blob_path(&new.digest)).ok()?;
    }
    if old.tree != new.tree {
        let what = |tree: bool| if tree { "a folder" } else { "a file" };
        return Some(format!("{} was, {} is now", what(old.tree), what(new.tree)));
    }
    let (old, new) = (there.tree(&old.digest).ok()?, here.tree(&new.digest).ok()?);
    let mut names: Vec<&String> = old.entries.keys().chain(new.entries.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().find_map(|name| match (old.entries.get(name), new.entries.get(name)) {
        (Some(before), Some(now)) if before == now => None,
        (Some(Entry::File(before)), Some(Entry::File(now))) if before.digest != now.digest => {
            let (before, now) = (there.blob_path(&before.digest), here.blob_path(&now.digest));
            Some(match between(&before, &now) {
                Ok(Some(place)) => format!("`{name}`, {place}"),
                _ => format!("`{name}`"),
            })
        }
        (Some(Entry::File(before)), Some(Entry::File(_))) => {
            let now = if before.executable { "is no longer" } else { "is now" };
            Some(format!("`{name}` {now} executable"))
        }
        (Some(_), Some(_)) => Some(format!("`{name}` is of another sort now")),
        (Some(_), None) => Some(format!("`{name}` is not there any more")),
        (None, _) => Some(format!("`{name}` was not there before")),
    })
}

/// Where two files first differ; `None` when they are equal.
///
/// # Errors
/// When one of them cannot be read.
pub fn between(old: &Path, new: &Path) -> io::Result<Option<String>> {
    let (before, now) = (File::open(old)?, File::open(new)?);
    if let (Some(before), Some(now)) = (Tensors::of(&before)?, Tensors::of(&now)?) {
        return tensors(&before, &now);
    }
    if before.metadata()?.len().max(now.metadata()?.len()) <= MAX_READABLE_BYTES {
        let (before, now) = (std::fs::read(old)?, std::fs::read(new)?);
        if before == now {
            return Ok(None);
        }
        if let (Ok(before), Ok(now)) = (std::str::from_utf8(&before), std::str::from_utf8(&now)) {
            let json = |text| serde_json::from_str::<Value>(text).ok();
            if let (Some(before), Some(now)) = (json(before), json(now))
                && (before.is_object() || before.is_array())
                && let Some(place) = route(&before, &now)
            {
                return Ok(Some(place));
            }
            return Ok(line(before, now));
        }
    }
    byte(before, now)
}

/// The first differing line, counted from 1.
fn line(old: &str, new: &str) -> Option<String> {
    let (mut before, mut now) = (old.split('\n'), new.split('\n'));
    let mut number = 0_u64;
    loop {
        number += 1;
        match (before.next(), now.next()) {
            (None, None) => return None,
            (before, now) if before == now => {}
            (before, now) => return Some(format!("line {number}: {}", was_and_is(before, now))),
        }
    }
}

fn was_and_is(old: Option<&str>, new: Option<&str>) -> String {
    let shown = |text: Option<&str>| match text {
        None => "nothing".to_owned(),
        Some(text) if text.chars().count() > MAX_SHOWN => {
            format!("`{}…`", text.chars().take(MAX_SHOWN).collect::<String>())
        }
        Some(text) => format!("`{text}`"),
    };
    format!("{} was, {} is now", shown(old), shown(new))
}

/// The first differing value in the order of the keys. Does not recurse: a document may be as deep
/// as it likes.
fn route(old: &Value, new: &Value) -> Option<String> {
    let mut open: Vec<(String, Option<&Value>, Option<&Value>)> = vec![(String::new(), Some(old), Some(new))];
    while let Some((at, before, now)) = open.pop() {
        match (before, now) {
            (before, now) if before == now => {}
            (Some(Value::Object(before)), Some(Value::Object(now))) => {
                let mut keys: Vec<&String> = before.keys().chain(now.keys()).collect();
                keys.sort_unstable();
                keys.dedup();
                let below = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
                open.extend(keys.into_iter().rev().map(|key| (below(key), before.get(key), now.get(key))));
            }
            (Some(Value::Array(before)), Some(Value::Array(now))) => {
                let count = before.len().max(now.len());
                open.extend(
                    (0..count).rev().map(|index| (format!("{at}[{index}]"), before.get(index), now.get(index))),
                );
            }
            (before, now) => {
                let text = |value: Option<&Value>| value.map(Value::to_string);
                let told = was_and_is(text(before).as_deref(), text(now).as_deref());
                return Some(if at.is_empty() { told } else { format!("`{at}`: {told}") });
            }
        }
    }
    None
}

/// The first differing byte, counted from 0.
fn byte(old: File, new: File) -> io::Result<Option<String>> {
    let (mut before, mut now) = (BufReader::new(old).bytes(), BufReader::new(new).bytes());
    let mut at = 0_u64;
    loop {
        match (before.next().transpose()?, now.next().transpose()?) {
            (None, None) => return Ok(None),
            (Some(before), Some(now)) if before == now => at += 1,
            (Some(before), Some(now)) => return Ok(Some(format!("byte {at}: {before:#04x} was, {now:#04x} is now"))),
            (None, Some(_)) => return Ok(Some(format!("byte {at}: it ended here, it goes on now"))),
            (Some(_), None) => return Ok(Some(format!("byte {at}: it went on here, it ends now"))),
        }
    }
}

/// A safetensors file: eight bytes with the length of a JSON header, the header, the tensors'
/// bytes.
struct Tensors<'a> {
    file: &'a File,
    header: serde_json::Map<String, Value>,
    data: u64,
}

impl<'a> Tensors<'a> {
    /// `None` when the file is none.
    fn of(file: &'a File) -> io::Result<Option<Self>> {
        let size = file.metadata()?.len();
        let mut count = [0; 8];
        if size < 10 || file.read_exact_at(&mut count, 0).is_err() {
            return Ok(None);
        }
        let count = u64::from_le_bytes(count);
        if count < 2 || count > MAX_READABLE_BYTES.min(size - 8) {
            return Ok(None);
        }
        let mut header = vec![0; count as usize];
        file.read_exact_at(&mut header, 8)?;
        let header = match serde_json::from_slice(&header) {
            Ok(Value::Object(header)) => header,
            _ => return Ok(None),
        };
        Ok(Some(Self { file, header, data: 8 + count }))
    }

    /// Where a tensor's bytes lie in the file.
    fn range(&self, name: &str) -> Option<(u64, u64)> {
        let offsets = self.header.get(name)?.get("data_offsets")?;
        let (from, to) = (offsets.get(0)?.as_u64()?, offsets.get(1)?.as_u64()?);
        Some((self.data.checked_add(from)?, to.checked_sub(from)?))
    }
}

fn tensors(old: &Tensors<'_>, new: &Tensors<'_>) -> io::Result<Option<String>> {
    let mut names: Vec<&String> = old.header.keys().chain(new.header.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let (before, now) = match (old.header.get(name), new.header.get(name)) {
            (Some(before), Some(now)) => (before, now),
            (Some(_), None) => return Ok(Some(format!("tensor `{name}` is not there any more"))),
            (None, _) => return Ok(Some(format!("tensor `{name}` was not there before"))),
        };
        if name == "__metadata__" {
            if let Some(place) = route(before, now) {
                return Ok(Some(format!("the metadata, {place}")));
            }
            continue;
        }
        for field in ["dtype", "shape"] {
            if before[field] != now[field] {
                let text = |value: &Value| value.to_string();
                let told = was_and_is(Some(&text(&before[field])), Some(&text(&now[field])));
                return Ok(Some(format!("the {field} of tensor `{name}`: {told}")));
            }
        }
        let (Some((at, length)), Some((at_now, length_now))) = (old.range(name), new.range(name)) else {
            return Ok(Some(format!("tensor `{name}`")));
        };
        let elements: u64 = before["shape"].as_array().into_iter().flatten().filter_map(Value::as_u64).product();
        let width = length.checked_div(elements).unwrap_or(1).max(1);
        let mut done = 0;
        let (mut one, mut other) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        while done < length.min(length_now) {
            let count = (length.min(length_now) - done).min(1 << 16) as usize;
            old.file.read_exact_at(&mut one[..count], at + done)?;
            new.file.read_exact_at(&mut other[..count], at_now + done)?;
            if let Some(offset) = one[..count].iter().zip(&other[..count]).position(|(a, b)| a != b) {
                let element = (done + offset as u64) / width;
                return Ok(Some(format!("tensor `{name}`, element {element} of {elements}")));
            }
            done += count as u64;
        }
        if length != length_now {
            return Ok(Some(format!("tensor `{name}`: {length} bytes were, {length_now} are now")));
        }
    }
    byte(old.file.try_clone()?, new.file.try_clone()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(old: &[u8], new: &[u8]) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&a, old).unwrap();
        std::fs::write(&b, new).unwrap();
        between(&a, &b).unwrap()
    }

    fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(data);
        bytes
    }

    /// A worker that reads data sets.
    struct Reads;

    impl Oracle for Reads {
        fn ask(&self, program: Program, question: &Question) -> Result<Option<Value>, contract::fault::Faults> {
            assert_eq!((program, question.kind.as_str()), (Program::Data, "difference"));
            let named = |name: &str| question.params[name].as_str().is_some_and(|path| Path::new(path).is_file());
            assert!(named("path") && named("other"), "{}", question.params);
            Ok(Some(json!({ "difference": "column `a`, row 2: 1 was, 2 is now" })))
        }
    }

    #[test]
    fn of_data_sets_the_worker_names_the_column() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let (old, new) = (store.put_bytes(b"x\n1").unwrap(), store.put_bytes(b"x\n2").unwrap());
        let place = |oracle: &dyn Oracle, kind| super::found(oracle, kind, (&store, &old), (&store, &new)).unwrap();
        assert_eq!(place(&Reads, ArtifactKind::Dataset), "column `a`, row 2: 1 was, 2 is now");
        assert_eq!(place(&Reads, ArtifactKind::Metrics), "line 2: `1` was, `2` is now");
        assert_eq!(place(&contract::kind::Silent, ArtifactKind::Dataset), "line 2: `1` was, `2` is now");
    }

    #[test]
    fn the_first_place_is_named() {
        let is = |old: &str, new: &str, place: &str| {
            assert_eq!(told(old.as_bytes(), new.as_bytes()).as_deref(), Some(place))
        };
        assert_eq!(told(b"a\n", b"a\n"), None);
        is("a\nb\n", "a\nc\n", "line 2: `b` was, `c` is now");
        is("a", "a\nb", "line 2: nothing was, `b` is now");
        is(r#"{"a": 1, "b": {"c": [1, 2]}}"#, r#"{"b": {"c": [1, 3]}, "a": 1}"#, "`b.c[1]`: `2` was, `3` is now");
        is(r#"{"a": 1}"#, r#"{"a": 1, "b": null}"#, "`b`: nothing was, `null` is now");
        // Equal values in another spelling differ in the bytes.
        is("[1]", "[ 1]", "line 1: `[1]` was, `[ 1]` is now");
        assert_eq!(told(&[0, 255, 1], &[0, 255, 2]).as_deref(), Some("byte 2: 0x01 was, 0x02 is now"));
        assert_eq!(told(&[255], &[255, 1]).as_deref(), Some("byte 1: it ended here, it goes on now"));
    }

    #[test]
    fn a_tensor_is_named_with_its_element() {
        let header = r#"{"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[3],"data_offsets":[8,20]}}"#;
        let data: Vec<u8> = (0..20).collect();
        let mut other = data.clone();
        other[17] ^= 1;
        let told = |old: &[u8], new: &[u8]| told(old, new).unwrap();
        assert_eq!(told(&safetensors(header, &data), &safetensors(header, &other)), "tensor `w`, element 2 of 3");
        let renamed = header.replace("\"w\"", "\"v\"");
        assert_eq!(told(&safetensors(header, &data), &safetensors(&renamed, &data)), "tensor `v` was not there before");
        let reshaped = header.replace("[3]", "[1,3]");
        assert_eq!(
            told(&safetensors(header, &data), &safetensors(&reshaped, &data)),
            "the shape of tensor `w`: `[3]` was, `[1,3]` is now"
        );
        // A header that lies is no reason to fall.
        let lies = header.replace("[8,20]", "[8,99999]");
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), safetensors(&lies, &data)).unwrap();
        std::fs::write(folder.path().join("b"), safetensors(&lies, &other)).unwrap();
        assert!(between(&folder.path().join("a"), &folder.path().join("b")).is_err());
    }
}
