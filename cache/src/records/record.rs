//! Records: what a key gave, and how to read what was hashed. Appending one is the commit point.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Blob, Digest, Store, StoreError, fault};

/// Least time between two notes that a record was used, in milliseconds: six hours. The collector
/// needs no finer times.
pub(crate) const MIN_TOUCH_MS: u64 = 6 * 3600 * 1000;

/// The result of one piece of work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What was hashed to name the work.
    pub key: Digest,
    /// The label of the work when it was last done: a stage's name.
    pub label: String,
    /// Content by output name, main output first.
    pub outputs: Vec<(String, Blob)>,
    /// The readable form of what was hashed.
    pub manifest: Value,
    /// Measurements of the work. They are never part of an output's bytes.
    pub observations: Value,
    /// What is known of the outputs without reading them.
    pub detail: Value,
    /// Milliseconds since 1970.
    pub created: u64,
}

/// What a commit found.
#[derive(Debug, Clone, PartialEq)]
pub enum Committed {
    /// The key had no record.
    New,
    /// The key had a record with the same outputs; it stays.
    Same,
    /// The key had a record with other outputs. Both are kept, the new one is found from now on.
    Differs(Box<Record>),
}

impl Store {
    /// The record of a key.
    pub fn lookup(&self, key: &Digest) -> Result<Option<Record>, StoreError> {
        Ok(self.records.get(key)?.and_then(|bytes| Record::decode(key, &bytes)))
    }

    /// The outputs of a key's record: [`Store::lookup`] without reading the rest, for the path of a
    /// hit.
    pub fn lookup_outputs(&self, key: &Digest) -> Result<Option<Vec<(String, Blob)>>, StoreError> {
        Ok(self.records.get(key)?.and_then(|bytes| Reader(&bytes).outputs()))
    }

    /// All records of a key, newest first: two when the same key gave different bytes.
    pub fn variants(&self, key: &Digest) -> Result<Vec<Record>, StoreError> {
        Ok(self.records.versions(key)?.iter().filter_map(|bytes| Record::decode(key, bytes)).collect())
    }

    /// Whether the key has given different bytes: [`Store::variants`] has two then.
    pub fn differed(&self, key: &Digest) -> Result<bool, StoreError> {
        self.records.several(key)
    }

    /// Makes a result count. Its blobs must be stored already.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when one of its blobs is not there.
    pub fn commit(&self, record: &Record) -> Result<Committed, StoreError> {
        for (_, blob) in &record.outputs {
            if !self.blob_path(&blob.digest).exists() {
                return Err(StoreError::Damaged { digest: blob.digest });
            }
        }
        // Before the append: a collector that lists the record must find its key among the held
        // ones.
        if let Some(user) = &self.user {
            user.hold(&record.key);
            user.tell();
        }
        fault::point("record.commit").map_err(|source| StoreError::io(&self.layout.root, "write", source))?;
        let mut committed = Committed::New;
        self.records.put(&record.key, &record.label, &record.encode(), |before| {
            match before.and_then(|bytes| Record::decode(&record.key, bytes)) {
                Some(before) if before.outputs == record.outputs => committed = Committed::Same,
                Some(before) => committed = Committed::Differs(Box::new(before)),
                None => {}
            }
            committed != Committed::Same
        })?;
        if committed == Committed::Same {
            self.records.touch(&record.label, &record.key, MIN_TOUCH_MS)?;
        }
        Ok(committed)
    }

    /// The newest record committed or touched under a label.
    pub fn last(&self, label: &str) -> Result<Option<Record>, StoreError> {
        match self.records.last(label)? {
            Some(key) => self.lookup(&key),
            None => Ok(None),
        }
    }

    /// Notes that a record was used under a label, for [`Store::last`] and the collector. The note
    /// is queued until [`Store::flush`]. A collector sees that the record is in use after
    /// [`Store::tell`].
    pub fn touch(&self, label: &str, key: &Digest) {
        if let Some(user) = &self.user {
            user.hold(key);
        }
        // A note that cannot be made only makes the record look older than it is.
        let _ = self.records.touch(label, key, MIN_TOUCH_MS);
    }

    /// The newest `limit` records committed or touched under a label, newest first.
    pub fn history(&self, label: &str, limit: usize) -> Result<Vec<Record>, StoreError> {
        let keys = self.records.history(label, limit)?;
        let mut records = Vec::with_capacity(keys.len());
        for key in keys {
            records.extend(self.lookup(&key)?);
        }
        Ok(records)
    }
}

/// The payload of a record: count and outputs (name, digest, size, flags), then time, then label
/// and the three JSON texts, each with its length. Outputs come first so that a hit reads nothing
/// else.
impl Record {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1024);
        put_number(&mut bytes, self.outputs.len() as u64);
        for (name, blob) in &self.outputs {
            put_text(&mut bytes, name.as_bytes());
            bytes.extend_from_slice(blob.digest.as_bytes());
            put_number(&mut bytes, blob.size);
            bytes.push(u8::from(blob.tree) | u8::from(blob.executable) << 1);
        }
        put_number(&mut bytes, self.created);
        put_text(&mut bytes, self.label.as_bytes());
        for value in [&self.manifest, &self.observations, &self.detail] {
            // A `Value` always serialises.
            put_text(&mut bytes, &serde_json::to_vec(value).expect("a JSON value always serialises"));
        }
        bytes
    }

    /// Reads a payload; `None` when it is none.
    pub fn decode(key: &Digest, bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        Some(Self {
            key: *key,
            outputs: reader.outputs()?,
            created: reader.number()?,
            label: String::from_utf8(reader.text()?.to_vec()).ok()?,
            manifest: serde_json::from_slice(reader.text()?).ok()?,
            observations: serde_json::from_slice(reader.text()?).ok()?,
            detail: serde_json::from_slice(reader.text()?).ok()?,
        })
    }
}

fn put_number(bytes: &mut Vec<u8>, number: u64) {
    bytes.extend_from_slice(&number.to_le_bytes());
}

fn put_text(bytes: &mut Vec<u8>, text: &[u8]) {
    put_number(bytes, text.len() as u64);
    bytes.extend_from_slice(text);
}

pub(crate) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }
    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(*self.take(8)?.first_chunk()?))
    }
    fn text(&mut self) -> Option<&'a [u8]> {
        let count = self.number()?;
        self.take(usize::try_from(count).ok()?)
    }
    pub(crate) fn outputs(&mut self) -> Option<Vec<(String, Blob)>> {
        let count = self.number()?;
        let mut outputs = Vec::new();
        for _ in 0..count {
            let name = String::from_utf8(self.text()?.to_vec()).ok()?;
            let digest = Digest::from_bytes(*self.take(32)?.first_chunk()?);
            let size = self.number()?;
            let flags = *self.take(1)?.first()?;
            outputs.push((name, Blob { digest, size, tree: flags & 1 != 0, executable: flags & 2 != 0 }));
        }
        Some(outputs)
    }
}
