//! Text in other encodings than UTF-8, turned into it while it is read.

use std::fmt;
use std::io::{self, Read};

use encoding_rs::{Decoder, DecoderResult, Encoding};

/// The encoding of a name: one of the WHATWG's labels, or `latin-1`.
///
/// Latin-1 is read as Windows-1252, as browsers do: the two differ only in codes that Latin-1 has no characters for.
pub fn named(name: &str) -> Option<&'static Encoding> {
    let name = name.trim();
    match name.to_ascii_lowercase().as_str() {
        "latin-1" | "latin_1" | "iso-8859-1" => Some(encoding_rs::WINDOWS_1252),
        "utf-16" | "utf16" => Some(encoding_rs::UTF_16LE),
        "cp1252" => Some(encoding_rs::WINDOWS_1252),
        _ => Encoding::for_label_no_replacement(name.as_bytes()),
    }
}

/// Bytes that the encoding has no character for.
#[derive(Debug)]
pub struct Misfit {
    encoding: &'static str,
    /// The line they are in.
    pub line: u64,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it is not {}", self.encoding)
    }
}

impl std::error::Error for Misfit {}

/// A reader that gives UTF-8, without a byte order mark. Nothing is replaced: what cannot be decoded is an error ([`Misfit`]).
pub struct Decoding<R> {
    inner: R,
    decoder: Decoder,
    name: &'static str,
    raw: Vec<u8>,
    used: usize,
    text: Vec<u8>,
    given: usize,
    lines: u64,
    ended: bool,
}

impl<R: Read> Decoding<R> {
    /// Reads `inner` as this encoding; a byte order mark decides over it.
    pub fn new(inner: R, encoding: &'static Encoding) -> Self {
        Self {
            inner,
            decoder: encoding.new_decoder(),
            name: encoding.name(),
            raw: Vec::new(),
            used: 0,
            text: Vec::new(),
            given: 0,
            lines: 0,
            ended: false,
        }
    }

    fn more(&mut self) -> io::Result<()> {
        while self.given == self.text.len() && !self.ended {
            self.raw.resize(1 << 16, 0);
            let count = self.inner.read(&mut self.raw)?;
            self.raw.truncate(count);
            self.ended = count == 0;
            self.text.clear();
            self.given = 0;
            self.used = 0;
            loop {
                let start = self.text.len();
                let room = self.decoder.max_utf8_buffer_length_without_replacement(self.raw.len() - self.used);
                self.text.resize(start + room.unwrap_or(1 << 18), 0);
                let (result, read, written) = self.decoder.decode_to_utf8_without_replacement(
                    &self.raw[self.used..],
                    &mut self.text[start..],
                    self.ended,
                );
                self.text.truncate(start + written);
                self.used += read;
                match result {
                    DecoderResult::InputEmpty => break,
                    DecoderResult::OutputFull => {}
                    DecoderResult::Malformed(..) => {
                        let line = self.lines + memchr::memchr_iter(b'\n', &self.text).count() as u64 + 1;
                        let misfit = Misfit { encoding: self.name, line };
                        return Err(io::Error::new(io::ErrorKind::InvalidData, misfit));
                    }
                }
            }
            self.lines += memchr::memchr_iter(b'\n', &self.text).count() as u64;
        }
        Ok(())
    }
}

impl<R: Read> Read for Decoding<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.more()?;
        let count = buffer.len().min(self.text.len() - self.given);
        buffer[..count].copy_from_slice(&self.text[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8], encoding: &str) -> io::Result<String> {
        let mut text = String::new();
        Decoding::new(bytes, named(encoding).unwrap()).read_to_string(&mut text).map(|_| text)
    }

    #[test]
    fn what_is_written_otherwise_is_read_and_what_is_not_is_named() {
        assert_eq!(decoded(b"caf\xe9;\x80", "latin-1").unwrap(), "café;€");
        let text = "a,ß\n".repeat(50_000);
        let wide: Vec<u8> = [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        assert_eq!(decoded(&wide, "utf-16").unwrap(), text);
        let big: Vec<u8> = [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_be_bytes).collect();
        assert_eq!(decoded(&big, "utf-16").unwrap(), text, "the mark decides");
        let cut = decoded(&wide[..wide.len() - 1], "utf-16").unwrap_err();
        let misfit = cut.get_ref().unwrap().downcast_ref::<Misfit>().unwrap();
        assert_eq!((misfit.line, misfit.to_string().as_str()), (50_000, "it is not UTF-16LE"));
        assert!(named("klingon").is_none());
    }
}
