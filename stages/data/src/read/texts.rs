//! A folder of text files, one folder below it for each class.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use catalog::kinds::collect::params::Texts;
use contract::artifact::{Column, DType, Role};
use contract::fault::{Fault, Faults};
use contract::worker::protocol::InputFile;

use super::bytes::{Limits, Stream};
use super::delimited::fault::{encoding_fault, line_of};
use super::listing::{Entry, list, notice};
use super::origin::Span;
use super::reading::{Reading, Refused};
use crate::fault::{FaultList, Outcome, place};
use crate::table::dataset::{Table, batch};
use crate::threads;

/// What files of text end in.
pub const TEXTS: &[&str] = &[".txt", ".text", ".md"];
/// One text may be so long.
const LONGEST: u64 = 256 << 20;

/// Reads all texts: columns `text`, `label` (the name of the folder, when there are folders) and `file` (an id).
///
/// # Errors
/// Files that are not text in the stated encoding or too long, each with its name.
pub fn read(folder: &InputFile, options: &Texts, reading: &Reading<'_>) -> Outcome<(Table, Vec<Span>)> {
    let limits = reading.limits;
    let listing = list(folder, TEXTS)?;
    if let Some(fault) = notice(&folder.shown, &listing.others, TEXTS) {
        reading.warn(fault);
    }
    let entries = listing.entries;
    let bounded = Limits { unpacked: limits.unpacked.min(LONGEST), ..*limits };
    let texts = threads::map(entries.len(), limits.threads, |index| {
        let entry = &entries[index];
        let shown = format!("{}/{}", folder.shown, entry.name);
        let file = InputFile { role: folder.role.clone(), path: entry.path.clone(), shown: shown.clone() };
        if std::fs::metadata(&file.path).is_ok_and(|metadata| metadata.len() > LONGEST) {
            let text = format!("`{shown}` is longer than {LONGEST} bytes");
            let help = "cut it into several files: one file is one row";
            return Err(Faults::from(
                Fault::error(contract::code!("data::too_large"), text).help(help).place(place(&shown, None, None)),
            ));
        }
        let bytes = Stream::open_text(&file, &bounded, options.encoding.as_deref())?.all()?;
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").map(<[u8]>::to_vec).unwrap_or(bytes);
        String::from_utf8(bytes).map_err(|error| {
            let line = line_of(error.as_bytes(), error.utf8_error().valid_up_to());
            Faults::from(encoding_fault(&shown, "it is not UTF-8", line, None))
        })
    });
    let mut faults = FaultList::default();
    let mut rows = Vec::with_capacity(entries.len());
    let mut kept: Vec<&Entry> = Vec::with_capacity(entries.len());
    for (entry, text) in entries.iter().zip(texts) {
        match text {
            Ok(text) => rows.push(Some(text)),
            Err(more) if reading.refusals.reject() => {
                let reason = more.first().map_or_else(String::new, |fault| fault.message.clone());
                reading.refusals.rejected(&format!("{}/{}", folder.shown, entry.name), Refused::new(None, reason))?;
                continue;
            }
            Err(more) if reading.refusals.fill() => {
                reading.refusals.filled(1, 1, more.into_iter().next());
                rows.push(None);
            }
            Err(more) => {
                more.into_iter().for_each(|fault| faults.add(|| fault));
                continue;
            }
        }
        kept.push(entry);
    }
    let labelled = entries.iter().any(|entry| entry.class.is_some());
    if !faults.is_empty() {
        return Err(faults.into_vec());
    }
    let mut columns = vec![Column::new("text", DType::String)];
    let mut arrays: Vec<ArrayRef> = vec![Arc::new(rows.into_iter().collect::<StringArray>())];
    if labelled {
        columns.push(Column::new("label", DType::String));
        arrays.push(Arc::new(StringArray::from_iter_values(
            kept.iter().map(|entry| entry.class.as_deref().unwrap_or_default()),
        )));
    }
    let mut file = Column::new("file", DType::String);
    file.role = Role::Id;
    columns.push(file);
    arrays.push(Arc::new(StringArray::from_iter_values(kept.iter().map(|entry| entry.name.as_str()))));
    let spans = kept.iter().map(|entry| Span::whole(format!("{}/{}", folder.shown, entry.name), 1)).collect();
    let batches = vec![batch(&columns, arrays)?];
    Ok((Table { columns, batches }, spans))
}
