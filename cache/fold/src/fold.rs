//! The written encoding of what is hashed.
//!
//! A [`Fold`] turns a sequence of named, typed fields into a digest. The encoding is *injective*: two different
//! sequences of calls give different bytes, so equal digests mean equal values (as far as BLAKE3 holds).
//!
//! Every field is `tag, name, value`. The tag is one byte, every length and number is 8 bytes little-endian, a
//! name or text is its length in bytes followed by its bytes:
//!
//! | call | tag | value |
//! |---|---|---|
//! | `text` | `s` | length, UTF-8 bytes |
//! | `bytes` | `b` | length, bytes |
//! | `uint` | `u` | 8 bytes |
//! | `int` | `i` | 8 bytes, two's complement |
//! | `float` | `d` | the bits of the IEEE double; every NaN is `0x7ff8…0`, both zeros are `0x0…0` |
//! | `flag` | `1` or `0` | nothing |
//! | `digest` | `h` | 32 bytes |
//! | `none` | `n` | nothing |
//! | `list` | `l` | count; the elements follow as fields |
//! | `group` | `{` | the fields, then the byte `}` |
//! | `json` | `j` | the value below |
//!
//! A JSON value is `n` (null), `1`, `0` (booleans), `u`, `i` (negative only), `d` (numbers as above), `s` (text as above),
//! `l` count elements…, or `m` count and, sorted by the bytes of the key, key text and value…
//!
//! Each value's extent follows from its own bytes, so the whole can be read back in one way only; a test
//! does. The digest is `BLAKE3::derive_key(context, encoding)`: the context names what is hashed and the version
//! of its description, so digests of different things never meet.

use serde_json::{Number, Value};

use crate::Digest;

/// Collects fields and gives their digest.
#[derive(Debug, Clone)]
pub struct Fold {
    context: &'static str,
    encoding: Vec<u8>,
}

impl Fold {
    /// Starts under a context: a literal that names what is hashed, with a version (`"pipeline stage key v1"`).
    pub fn new(context: &'static str) -> Self {
        Self { context, encoding: Vec::with_capacity(256) }
    }

    /// A text.
    pub fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.field(b's', name);
        self.sized(value.as_bytes());
        self
    }

    /// Raw bytes.
    pub fn bytes(&mut self, name: &str, value: &[u8]) -> &mut Self {
        self.field(b'b', name);
        self.sized(value);
        self
    }

    /// A count or another number that is never negative.
    pub fn uint(&mut self, name: &str, value: u64) -> &mut Self {
        self.field(b'u', name);
        self.word(value);
        self
    }

    /// A signed number.
    pub fn int(&mut self, name: &str, value: i64) -> &mut Self {
        self.field(b'i', name);
        self.encoding.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// A floating-point number, by its bits, with one NaN and one zero.
    pub fn float(&mut self, name: &str, value: f64) -> &mut Self {
        self.field(b'd', name);
        self.word(float_bits(value));
        self
    }

    /// A yes or no.
    pub fn flag(&mut self, name: &str, value: bool) -> &mut Self {
        self.field(if value { b'1' } else { b'0' }, name);
        self
    }

    /// The digest of something else.
    pub fn digest(&mut self, name: &str, value: &Digest) -> &mut Self {
        self.field(b'h', name);
        self.encoding.extend_from_slice(value.as_bytes());
        self
    }

    /// Something that is absent, which differs from anything present.
    pub fn none(&mut self, name: &str) -> &mut Self {
        self.field(b'n', name);
        self
    }

    /// Announces `count` elements; each follows as one field (or group).
    pub fn list(&mut self, name: &str, count: usize) -> &mut Self {
        self.field(b'l', name);
        self.word(count as u64);
        self
    }

    /// Fields that belong together.
    pub fn group(&mut self, name: &str, fields: impl FnOnce(&mut Self)) -> &mut Self {
        self.field(b'{', name);
        fields(self);
        self.encoding.push(b'}');
        self
    }

    /// A JSON value; the order of its mappings' keys does not matter.
    pub fn json(&mut self, name: &str, value: &Value) -> &mut Self {
        self.field(b'j', name);
        self.value(value);
        self
    }

    /// The bytes that would be hashed (without the context).
    pub fn encoding(&self) -> &[u8] {
        &self.encoding
    }

    /// The digest of everything so far.
    pub fn finish(&self) -> Digest {
        Digest::from_bytes(blake3::derive_key(self.context, &self.encoding))
    }

    fn field(&mut self, tag: u8, name: &str) {
        self.encoding.push(tag);
        self.sized(name.as_bytes());
    }

    fn sized(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        self.encoding.extend_from_slice(bytes);
    }

    fn word(&mut self, value: u64) {
        self.encoding.extend_from_slice(&value.to_le_bytes());
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.encoding.push(b'n'),
            Value::Bool(true) => self.encoding.push(b'1'),
            Value::Bool(false) => self.encoding.push(b'0'),
            Value::Number(number) => self.number(number),
            Value::String(text) => {
                self.encoding.push(b's');
                self.sized(text.as_bytes());
            }
            Value::Array(items) => {
                self.encoding.push(b'l');
                self.word(items.len() as u64);
                items.iter().for_each(|item| self.value(item));
            }
            Value::Object(entries) => {
                let mut entries: Vec<_> = entries.iter().collect();
                entries.sort_unstable_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
                self.encoding.push(b'm');
                self.word(entries.len() as u64);
                for (key, value) in entries {
                    self.sized(key.as_bytes());
                    self.value(value);
                }
            }
        }
    }

    fn number(&mut self, number: &Number) {
        if let Some(value) = number.as_u64() {
            self.encoding.push(b'u');
            self.word(value);
        } else if let Some(value) = number.as_i64() {
            self.encoding.push(b'i');
            self.encoding.extend_from_slice(&value.to_le_bytes());
        } else {
            self.encoding.push(b'd');
            self.word(float_bits(number.as_f64().unwrap_or(f64::NAN)));
        }
    }
}

/// The bits that stand for a double: one NaN, one zero.
fn float_bits(value: f64) -> u64 {
    if value.is_nan() {
        0x7ff8_0000_0000_0000
    } else if value == 0.0 {
        0
    } else {
        value.to_bits()
    }
}

#[cfg(test)]
mod tests;
