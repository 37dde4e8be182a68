//! Files as streams of bytes, unpacked on the way, with a bound.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use contract::fault::{Fault, Faults};
use contract::worker::protocol::InputFile;

use crate::fault::{Outcome, place, unreadable};

/// A compressed file may become so large when nothing else is said: 64 GiB.
pub const UNPACKED: u64 = 64 << 30;

/// A record of text may be so long when nothing else is said: 256 MiB.
pub const RECORD: usize = 256 << 20;

/// A record of text that goes on and on.
pub fn overlong(shown: &str, line: u64, limits: &Limits) -> Fault {
    let size = match limits.record {
        bytes if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        bytes => format!("{bytes} bytes"),
    };
    Fault::error(contract::code!("data::malformed_row"), format!("`{shown}` has a record of more than {size}, which is more than is read"))
        .help("it begins here: is a quote in it never closed, or its line never ended? large fields belong into files of their own")
        .place(place(shown, Some(line), None))
}

/// What reading may cost, and how much is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Threads that may be used. Never changes a result.
    pub threads: usize,
    /// Bytes one unpacked file may have.
    pub unpacked: u64,
    /// Bytes one record of text may have, and with it one of its fields.
    pub record: usize,
    /// Only this much of the head is wanted (to infer types from); `None` for everything.
    pub head: Option<u64>,
    /// Bytes of memory there are (see [`crate::table::spill::Memory`]). Never changes a result.
    pub memory: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { threads: 1, unpacked: UNPACKED, record: RECORD, head: None, memory: None }
    }
}

/// An open file.
pub struct Stream {
    /// As messages show it.
    pub shown: String,
    /// Size on disk.
    pub size: u64,
    reader: Box<dyn Read + Send>,
    position: Arc<AtomicU64>,
    packed: bool,
    unpacked: u64,
    limit: u64,
}

impl Stream {
    /// Opens a file; gzip and zstd are recognised by their first bytes.
    ///
    /// # Errors
    /// A file that is missing, a folder, or not readable.
    pub fn open(file: &InputFile, limits: &Limits) -> Outcome<Self> {
        let fault = |error: io::Error| Faults::from(unreadable(&file.shown, &error));
        let mut raw = File::open(&file.path).map_err(fault)?;
        let metadata = raw.metadata().map_err(fault)?;
        if metadata.is_dir() {
            return Err(fault(io::ErrorKind::IsADirectory.into()));
        }
        let mut magic = [0; 4];
        let count = fill(&mut raw, &mut magic).map_err(fault)?;
        let position = Arc::new(AtomicU64::new(0));
        let head = io::Cursor::new(magic[..count].to_vec());
        let counted = Counted { inner: head.chain(raw), position: position.clone() };
        let (reader, packed): (Box<dyn Read + Send>, bool) = match magic {
            [0x1f, 0x8b, ..] => (Box::new(flate2::read::MultiGzDecoder::new(io::BufReader::new(counted))), true),
            [0x28, 0xb5, 0x2f, 0xfd] => (Box::new(zstd::Decoder::new(counted).map_err(fault)?), true),
            _ => (Box::new(counted), false),
        };
        let shown = file.shown.clone();
        Ok(Self { shown, size: metadata.len(), reader, position, packed, unpacked: 0, limit: limits.unpacked })
    }

    /// Opens a text file: what is stated to be another encoding, or begins with the byte order mark of UTF-16, comes as UTF-8.
    ///
    /// # Errors
    /// As [`Stream::open`], and a name that no encoding has.
    pub fn open_text(file: &InputFile, limits: &Limits, encoding: Option<&str>) -> Outcome<Self> {
        let mut stream = Self::open(file, limits)?;
        let stated = match encoding {
            Some(name) => Some(super::encoding::named(name).ok_or_else(|| {
                let text = format!("`{name}` is not an encoding that is known");
                let help = "use `utf-8`, `latin-1`, `windows-1252`, `utf-16le` or another of the WHATWG's names";
                vec![Fault::error(contract::code!("data::unknown_encoding"), text).help(help).place(place(
                    &file.shown,
                    None,
                    None,
                ))]
            })?),
            None => None,
        };
        let mut head = [0; 32];
        let count = fill(&mut stream.reader, &mut head).map_err(|error| Faults::from(stream.fault(&error)))?;
        if stated.is_none()
            && let Some(name) = unmarked(&head[..count])
        {
            let text =
                format!("`{}` is written in UTF-16 and has no byte order mark: every other byte is zero", file.shown);
            return Err(Faults::from(
                Fault::error(contract::code!("data::encoding"), text)
                    .help(format!("say so where there is an option for it: `encoding: {name}`; or save it as UTF-8"))
                    .place(place(&file.shown, Some(1), Some(1))),
            ));
        }
        let marked = encoding_rs::Encoding::for_bom(&head[..count]).map(|(encoding, _)| encoding);
        let rest = std::mem::replace(&mut stream.reader, Box::new(io::empty()));
        let whole = io::Cursor::new(head[..count].to_vec()).chain(rest);
        stream.reader = match marked.or(stated).filter(|encoding| *encoding != encoding_rs::UTF_8) {
            Some(encoding) => Box::new(super::encoding::Decoding::new(whole, encoding)),
            None => Box::new(whole),
        };
        Ok(stream)
    }

    /// Whether the file is compressed as a whole.
    pub fn packed(&self) -> bool {
        self.packed
    }

    /// Bytes of the file on disk read so far.
    pub fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    /// Fills as much of `buffer` as there is; fewer bytes only at the end.
    ///
    /// # Errors
    /// Damage in a compressed file, too many bytes, or a disk that fails.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Outcome<usize> {
        let count = fill(&mut self.reader, buffer).map_err(|error| Faults::from(self.fault(&error)))?;
        self.unpacked += count as u64;
        if self.packed && self.unpacked > self.limit {
            return Err(Faults::from(
                Fault::error(
                    contract::code!("data::too_large"),
                    format!("`{}` unpacks to more than {} bytes", self.shown, self.limit),
                )
                .help("unpack it yourself if it is meant to be that large")
                .place(place(&self.shown, None, None)),
            ));
        }
        Ok(count)
    }

    /// Everything there is.
    ///
    /// # Errors
    /// As [`Stream::fill`].
    pub fn all(&mut self) -> Outcome<Vec<u8>> {
        let mut bytes = Vec::new();
        loop {
            let start = bytes.len();
            let room = if start == 0 && !self.packed { self.size as usize + 1 } else { (start / 2).max(1 << 16) };
            bytes.resize(start + room, 0);
            let count = self.fill(&mut bytes[start..])?;
            bytes.truncate(start + count);
            if count < room {
                return Ok(bytes);
            }
        }
    }

    fn fault(&self, error: &io::Error) -> Fault {
        if let Some(misfit) = error.get_ref().and_then(|error| error.downcast_ref::<super::encoding::Misfit>()) {
            return Fault::error(
                contract::code!("data::encoding"),
                format!("`{}` cannot be read as text: {misfit}", self.shown),
            )
            .help("look at the file in an editor that shows encodings; `file --mime-encoding` makes a good guess")
            .place(place(&self.shown, Some(misfit.line), None));
        }
        if !self.packed {
            return unreadable(&self.shown, error);
        }
        let why = match error.kind() {
            io::ErrorKind::UnexpectedEof => "it ends too early".to_owned(),
            _ => error.to_string(),
        };
        Fault::error(
            contract::code!("data::damaged_compression"),
            format!("`{}` could not be unpacked: {why}", self.shown),
        )
        .help("the file is cut off or damaged: download or copy it again")
        .place(place(&self.shown, None, None))
    }
}

/// The encoding of text whose every other byte is zero: Latin letters in UTF-16.
fn unmarked(head: &[u8]) -> Option<&'static str> {
    let (pairs, _) = head.as_chunks::<2>();
    match pairs {
        [_, _, ..] if pairs.iter().all(|pair| pair[0] != 0 && pair[1] == 0) => Some("utf-16le"),
        [_, _, ..] if pairs.iter().all(|pair| pair[0] == 0 && pair[1] != 0) => Some("utf-16be"),
        _ => None,
    }
}

fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match reader.read(&mut buffer[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

struct Counted<R> {
    inner: R,
    position: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.position.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> InputFile {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        InputFile { role: "rows".into(), path, shown: name.into() }
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn all(file: &InputFile, limits: &Limits) -> Outcome<Vec<u8>> {
        Stream::open(file, limits)?.all()
    }

    #[test]
    fn packed_files_are_unpacked_and_broken_ones_named() {
        let folder = tempfile::tempdir().unwrap();
        let text = b"a,b\n1,2\n".repeat(30_000);
        let packed = gzip(&text);
        let zst = zstd::encode_all(&text[..], 3).unwrap();
        let twice = [gzip(b"one\n"), gzip(b"two\n")].concat();
        let limits = Limits::default();
        assert_eq!(all(&file(&folder, "plain", &text), &limits).unwrap(), text);
        assert_eq!(all(&file(&folder, "a.gz", &packed), &limits).unwrap(), text);
        assert_eq!(all(&file(&folder, "a.zst", &zst), &limits).unwrap(), text);
        assert_eq!(all(&file(&folder, "two.gz", &twice), &limits).unwrap(), b"one\ntwo\n");
        for cut in [file(&folder, "c.gz", &packed[..packed.len() / 2]), file(&folder, "c.zst", &zst[..zst.len() / 2])] {
            let faults = all(&cut, &limits).unwrap_err();
            assert_eq!(faults[0].code, "data::damaged_compression");
            assert_eq!(faults[0].place.as_ref().unwrap().file, cut.shown);
        }
        let small = Limits { unpacked: 1000, ..limits };
        assert_eq!(all(&file(&folder, "bomb.gz", &packed), &small).unwrap_err()[0].code, "data::too_large");
        let folder_as_file = InputFile { role: "rows".into(), path: folder.path().into(), shown: "data".into() };
        assert_eq!(all(&folder_as_file, &limits).unwrap_err()[0].code, "data::unreadable");
    }
}
