//! Archives: zip and tar (plain, gzip, zstd), unpacked beside the work, with bounds and without a way out.
//!
//! An archive is what its first bytes say, whatever it is called. Nothing of it is trusted: names that leave the folder, links and
//! devices refuse the whole archive (an archive that tries is not one to read the rest of), the sizes in its headers are ignored and
//! the bytes that come out are counted: no more than [`Limits::unpacked`] altogether, and no more than [`RATIO`] for one
//! packed byte once [`FREE`] bytes are out.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use catalog::columns::pattern::matches;
use contract::fault::{Code, Fault, Faults};
use contract::natural::natural;
use contract::worker::protocol::InputFile;

use crate::fault::{Outcome, place, unreadable, unwritable};
use crate::read::bytes::Limits;
use crate::read::listing::is_byproduct;

/// So many bytes may come out of one packed byte, beyond [`FREE`].
pub const RATIO: u64 = 200;
/// So many bytes may come out of any archive: small files of zeros are honest.
pub const FREE: u64 = 256 << 20;
/// So many entries may be in an archive.
const ENTRIES: usize = 1 << 20;

/// What an archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `.zip`
    Zip,
    /// `.tar`, perhaps packed
    Tar,
}

/// Whether a file is an archive.
///
/// # Errors
/// A file that cannot be read.
pub fn format(file: &InputFile) -> Outcome<Option<Format>> {
    let look = || -> io::Result<Option<Format>> {
        if file.path.is_dir() {
            return Ok(None);
        }
        let mut head = Vec::new();
        File::open(&file.path)?.take(512).read_to_end(&mut head)?;
        if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
            return Ok(Some(Format::Zip));
        }
        let mut block = Vec::new();
        // A packed stream that is damaged is for its reader to complain about.
        if let Err(error) = unpacked(&file.path)?.take(512).read_to_end(&mut block)
            && error.kind() == io::ErrorKind::NotFound
        {
            return Err(error);
        }
        Ok(is_tar(&block).then_some(Format::Tar))
    };
    look().map_err(|error| Faults::from(unreadable(&file.shown, &error)))
}

/// The stream inside gzip or zstd, or the file itself.
fn unpacked(path: &Path) -> io::Result<Box<dyn Read>> {
    let mut file = File::open(path)?;
    let mut magic = Vec::new();
    Read::by_ref(&mut file).take(4).read_to_end(&mut magic)?;
    file.seek(SeekFrom::Start(0))?;
    let file = io::BufReader::with_capacity(1 << 16, file);
    Ok(match magic.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(file)),
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::Decoder::new(file)?),
        _ => Box::new(file),
    })
}

/// A tar header carries the sum of its own bytes, counted with the sum's field as spaces (POSIX.1-1988, ustar).
fn is_tar(block: &[u8]) -> bool {
    if block.len() < 512 || block[0] == 0 {
        return false;
    }
    let text: Vec<u8> = block[148..156].iter().copied().filter(u8::is_ascii_digit).collect();
    let stated = std::str::from_utf8(&text).ok().and_then(|text| u64::from_str_radix(text, 8).ok());
    let sum: u64 =
        block.iter().enumerate().map(|(at, byte)| u64::from(if (148..156).contains(&at) { b' ' } else { *byte })).sum();
    stated == Some(sum)
}

/// Which entries are wanted.
pub struct Wanted<'a> {
    /// Patterns, where the user gave some.
    pub inside: Option<&'a [String]>,
    /// Suffixes that fit the format, without packing.
    pub suffixes: &'a [&'a str],
    /// How messages call the format.
    pub format: &'a str,
    /// Only so many bytes are wanted: the rest of the entries may stay packed.
    pub head: Option<u64>,
}

impl Wanted<'_> {
    fn wants(&self, name: &str) -> bool {
        match self.inside {
            Some(patterns) => patterns.iter().any(|pattern| matches(pattern, name)),
            None => {
                let lower = name.to_lowercase();
                let plain = lower.strip_suffix(".gz").or_else(|| lower.strip_suffix(".zst")).unwrap_or(&lower);
                self.suffixes.iter().any(|suffix| plain.ends_with(suffix))
            }
        }
    }
}

/// What was unpacked.
pub struct Unpacked {
    /// The wanted entries, in natural order of their names.
    pub files: Vec<InputFile>,
    /// Whether these are all of them.
    pub complete: bool,
    /// The names of files that are not wanted.
    pub others: Vec<String>,
}

/// Unpacks the wanted entries into `folder`.
///
/// # Errors
/// Archives that are damaged, encrypted, packed in an unknown way, too large, or that would write outside of the folder; and no entry
/// that is wanted.
pub fn unpack(
    file: &InputFile,
    format: Format,
    wanted: &Wanted<'_>,
    folder: &Path,
    limits: &Limits,
) -> Outcome<Unpacked> {
    let size = std::fs::metadata(&file.path).map_err(|error| Faults::from(unreadable(&file.shown, &error)))?.len();
    let mut out = Out {
        shown: &file.shown,
        role: &file.role,
        folder,
        wanted,
        limit: limits.unpacked,
        packed: size,
        written: 0,
        seen: HashSet::new(),
        names: Vec::new(),
        others: Vec::new(),
        files: Vec::new(),
    };
    let complete = match format {
        Format::Zip => zip(&file.path, &mut out)?,
        Format::Tar => tar(&file.path, &mut out)?,
    };
    if out.files.is_empty() {
        let workbook = out.names.iter().any(|name| name == "xl/workbook.xml");
        let some: Vec<String> = out.names.iter().take(3).map(|name| format!("`{name}`")).collect();
        let help = if workbook {
            "it is an Excel workbook: save the sheet as CSV".to_owned()
        } else if some.is_empty() {
            "the archive is empty".to_owned()
        } else {
            format!(
                "it holds {}{}; choose with `inside:`",
                some.join(", "),
                if out.names.len() > 3 { " ..." } else { "" }
            )
        };
        let text = match wanted.inside {
            Some(patterns) => format!("nothing in `{}` matches `{}`", file.shown, patterns.join("`, `")),
            None => format!("nothing in `{}` is named like {}", file.shown, wanted.format),
        };
        return Err(Faults::from(Fault::error(contract::code!("data::nothing_inside"), text).help(help).place(place(
            &file.shown,
            None,
            None,
        ))));
    }
    out.files.sort_by(|a, b| natural(&a.shown, &b.shown));
    out.others.sort_by(|a, b| natural(a, b));
    Ok(Unpacked { files: out.files, complete, others: out.others })
}

struct Out<'a> {
    shown: &'a str,
    role: &'a str,
    folder: &'a Path,
    wanted: &'a Wanted<'a>,
    limit: u64,
    packed: u64,
    written: u64,
    seen: HashSet<String>,
    names: Vec<String>,
    others: Vec<String>,
    files: Vec<InputFile>,
}

impl Out<'_> {
    fn fault(&self, code: Code, text: String, help: &str) -> Faults {
        Faults::from(Fault::error(code, text).help(help).place(place(self.shown, None, None)))
    }

    fn damaged(&self, why: &dyn std::fmt::Display) -> Faults {
        let why = why.to_string();
        let line = why.lines().next().unwrap_or_default();
        let text = format!("`{}` could not be unpacked: {line}", self.shown);
        self.fault(
            contract::code!("data::damaged_archive"),
            text,
            "the archive is cut off or damaged: download or copy it again",
        )
    }

    /// Where an entry may be written; `None` when it is not wanted.
    fn target(&mut self, name: &str) -> Outcome<Option<PathBuf>> {
        if self.names.len() >= ENTRIES {
            let text = format!("`{}` has more than {ENTRIES} entries", self.shown);
            return Err(self.fault(
                contract::code!("data::too_large"),
                text,
                "pack the rows of many small files into one",
            ));
        }
        let parts: Vec<&str> = name.split(['/', '\\']).collect();
        let leaves = name.starts_with(['/', '\\'])
            || parts.contains(&"..")
            || name.contains('\0')
            || parts.first().is_some_and(|part| part.ends_with(':'));
        if leaves || name.is_empty() {
            let text = format!("`{}` has an entry {name:?} that would be written outside of its folder", self.shown);
            let help = "such an archive is made to harm, or by mistake: pack the files again with relative names";
            return Err(self.fault(contract::code!("data::unsafe_archive"), text, help));
        }
        let clean =
            parts.iter().filter(|part| !part.is_empty() && **part != ".").copied().collect::<Vec<_>>().join("/");
        self.names.push(clean.clone());
        let hidden = clean.split('/').any(is_byproduct);
        if hidden || !self.wanted.wants(&clean) {
            if !hidden && !name.ends_with(['/', '.']) {
                self.others.push(clean);
            }
            return Ok(None);
        }
        if !self.seen.insert(clean.clone()) {
            let text = format!("`{}` has two entries called `{clean}`", self.shown);
            return Err(self.fault(contract::code!("data::unsafe_archive"), text, "pack the files again, each once"));
        }
        Ok(Some(self.folder.join(&clean)))
    }

    fn write(&mut self, from: &mut dyn Read, path: PathBuf) -> Outcome<()> {
        let write = |error: io::Error| Faults::from(unwritable(&error));
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(write)?;
        }
        let mut file = File::create_new(&path).map_err(write)?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.damaged(&error)),
            };
            self.written += count as u64;
            let bound = self.limit.min(FREE.max(self.packed.saturating_mul(RATIO)));
            if self.written > bound {
                let text = format!("`{}`, {} bytes, unpacks to more than {bound} bytes", self.shown, self.packed);
                let help = "unpack it yourself if it is meant to be that large";
                return Err(self.fault(contract::code!("data::too_large"), text, help));
            }
            file.write_all(&buffer[..count]).map_err(write)?;
        }
        let inner = path.strip_prefix(self.folder).unwrap_or(&path).to_string_lossy().into_owned();
        self.files.push(InputFile { role: self.role.to_owned(), path, shown: format!("{}/{inner}", self.shown) });
        Ok(())
    }

    fn enough(&self) -> bool {
        self.wanted.head.is_some_and(|head| self.written >= head)
    }
}

fn zip(path: &Path, out: &mut Out<'_>) -> Outcome<bool> {
    let file = File::open(path).map_err(|error| Faults::from(unreadable(out.shown, &error)))?;
    let mut archive = zip::ZipArchive::new(io::BufReader::new(file)).map_err(|error| out.damaged(&error))?;
    let mut wanted = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(|error| out.damaged(&error))?;
        let name = entry.name().map_err(|error| out.damaged(&error))?.into_owned();
        if entry.unix_mode().is_some_and(|mode| mode & 0o170_000 == 0o120_000) {
            return Err(link(out, &name));
        }
        if entry.is_dir() {
            out.target(&format!("{name}."))?;
            continue;
        }
        if let Some(target) = out.target(&name)? {
            if entry.encrypted() {
                let text = format!("`{name}` in `{}` is encrypted", out.shown);
                return Err(out.fault(
                    contract::code!("data::encrypted_archive"),
                    text,
                    "pack it again without a password",
                ));
            }
            if !matches!(entry.compression(), zip::CompressionMethod::Stored | zip::CompressionMethod::Deflated) {
                let text = format!("`{name}` in `{}` is packed in a way that is not known", out.shown);
                let help = "pack it again as an ordinary zip (deflate), or as `.tar.zst`";
                return Err(out.fault(contract::code!("data::unsupported_archive"), text, help));
            }
            wanted.push((index, name, target));
        }
    }
    wanted.sort_by(|a, b| natural(&a.1, &b.1));
    for (position, (index, _, target)) in wanted.iter().enumerate() {
        if position > 0 && out.enough() {
            return Ok(false);
        }
        let mut entry = archive.by_index(*index).map_err(|error| out.damaged(&error))?;
        out.write(&mut entry, target.clone())?;
    }
    Ok(true)
}

fn tar(path: &Path, out: &mut Out<'_>) -> Outcome<bool> {
    let stream = unpacked(path).map_err(|error| Faults::from(unreadable(out.shown, &error)))?;
    // Headers and entries nobody wants are bytes, too.
    let bound = out.limit.min(FREE.max(out.packed.saturating_mul(RATIO))).saturating_add(1 << 20);
    let mut archive = tar::Archive::new(stream.take(bound));
    let entries = archive.entries().map_err(|error| out.damaged(&error))?;
    for entry in entries {
        let mut entry = entry.map_err(|error| out.damaged(&error))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let kind = entry.header().entry_type();
        match kind {
            tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                if out.enough() {
                    return Ok(false);
                }
                if let Some(target) = out.target(&name)? {
                    out.write(&mut entry, target)?;
                }
            }
            tar::EntryType::Directory => drop(out.target(&format!("{name}/."))?),
            tar::EntryType::XGlobalHeader | tar::EntryType::XHeader => {}
            _ => return Err(link(out, &name)),
        }
    }
    Ok(true)
}

fn link(out: &Out<'_>, name: &str) -> Faults {
    let text = format!("`{name}` in `{}` is a link or a device, not a file", out.shown);
    out.fault(
        contract::code!("data::unsafe_archive"),
        text,
        "pack the files themselves: `tar --dereference`, or `zip` without `-y`",
    )
}
