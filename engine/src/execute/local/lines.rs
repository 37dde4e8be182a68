//! The output of a program as lines, however the program writes it.

use std::collections::VecDeque;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest line, in bytes. A longer one is cut, so that a program that never ends its line cannot
/// fill the memory.
const MAX_LINE_BYTES: usize = 16 * 1024;
/// Most lines that are kept for the message of a failed program.
const MAX_TAIL_LINES: usize = 12;

/// Reads to the end and hands on every line. A carriage return ends a line too, as progress bars
/// need. Bytes that are not UTF-8 are replaced. Empty lines are left out.
pub(crate) async fn read(mut from: impl AsyncRead + Unpin, mut each: impl FnMut(&str)) {
    let mut held: Vec<u8> = Vec::new();
    let mut buffer = vec![0_u8; 8 * 1024];
    loop {
        let count = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        for piece in buffer[..count].split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            held.extend_from_slice(piece);
            if matches!(piece.last(), Some(b'\n' | b'\r')) || held.len() >= MAX_LINE_BYTES {
                hand_on(&mut held, &mut each);
            }
        }
    }
    hand_on(&mut held, &mut each);
}

fn hand_on(held: &mut Vec<u8>, each: &mut impl FnMut(&str)) {
    let text = String::from_utf8_lossy(held);
    let text = text.trim_end();
    if !text.is_empty() {
        each(text);
    }
    held.clear();
}

/// The last lines of a program.
#[derive(Debug, Default)]
pub(crate) struct Tail(VecDeque<String>);

impl Tail {
    pub(crate) fn push(&mut self, line: &str) {
        if self.0.len() == MAX_TAIL_LINES {
            self.0.pop_front();
        }
        self.0.push_back(line.to_owned());
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// For the end of a message: `; its last lines:` and the lines, or nothing.
    pub(crate) fn message(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let lines: Vec<String> = self.0.iter().map(|line| format!("\n  {line}")).collect();
        format!("; its last lines:{}", lines.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        read(bytes, |line| lines.push(line.to_owned())).await;
        lines
    }

    #[tokio::test]
    async fn lines_end_in_any_way_and_bytes_may_be_anything() {
        assert_eq!(lines(b"a\r\nb\r 50%\r100%\n\nlast").await, ["a", "b", " 50%", "100%", "last"]);
        assert_eq!(lines(b"\xff\xfe!\n").await, ["\u{fffd}\u{fffd}!"]);
        let long = vec![b'x'; MAX_LINE_BYTES * 3];
        assert!(lines(&long).await.iter().all(|line| line.len() <= MAX_LINE_BYTES + 8 * 1024));
    }

    #[test]
    fn a_tail_keeps_the_last_lines() {
        let mut tail = Tail::default();
        assert_eq!(tail.message(), "");
        for number in 0..20 {
            tail.push(&number.to_string());
        }
        assert!(tail.message().starts_with("; its last lines:\n  8\n"));
        assert!(tail.message().ends_with("\n  19"));
    }
}
