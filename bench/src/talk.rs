//! Messages of another protocol: what is sent, and how the end of its answer is known, whatever the
//! pieces in which it comes. Pure but for reading a file; called by `plan` and `wire`.

use std::fmt::{self, Display, Write};
use std::fs;
use std::sync::Arc;

/// Bytes of a message that was given, at most: it is held once, and sent in pieces.
const REQUEST_MAX: usize = 16 << 20;
/// Bytes of it that are shown.
pub(crate) const SHOWN_MAX: usize = 48;

/// What is asked on each connection, again and again.
#[derive(Debug)]
pub(crate) struct Script {
    /// What each connection begins with, unmeasured; nothing is sent where the server speaks first.
    pub(crate) opening: Option<Request>,
    pub(crate) message: Request,
}

impl Script {
    /// Whether what is in the answers is looked at, and not only where they end.
    pub(crate) fn is_verified(&self) -> bool {
        matches!(self.message.reply, Reply::Exact(_))
    }
}

/// Bytes to send, and what answers them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) reply: Reply,
}

/// How the end of an answer is known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// So many bytes, whatever they are; above zero.
    Bytes(u64),
    /// All up to the first such bytes, and these.
    Until(Delimiter),
    /// Exactly these bytes.
    Exact(Arc<[u8]>),
}

/// Bytes to look for in a stream (Knuth, Morris and Pratt 1977).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Delimiter {
    bytes: Arc<[u8]>,
    /// Of each prefix: how long its longest end is that is a prefix too.
    back: Box<[usize]>,
}

impl Delimiter {
    pub(crate) fn new(bytes: Arc<[u8]>) -> Self {
        let mut back = vec![0; bytes.len()];
        for end in 1..bytes.len() {
            let mut length = back[end - 1];
            while length > 0 && bytes[length] != bytes[end] {
                length = back[length - 1];
            }
            back[end] = length + usize::from(bytes[length] == bytes[end]);
        }
        Self {
            bytes,
            back: back.into(),
        }
    }

    /// How long a prefix the stream ends with behind `byte`, if it ended with one of `found`.
    fn step(&self, mut found: usize, byte: u8) -> usize {
        while found > 0 && self.bytes[found] != byte {
            found = self.back[found - 1];
        }
        found + usize::from(self.bytes[found] == byte)
    }
}

/// How far an answer has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Bytes of it; of one up to a delimiter, bytes of that.
    at: u64,
}

/// What a piece of the stream was for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// All of it belongs to the answer, and more is to come.
    More,
    /// The answer ends behind so many bytes of it.
    Done(usize),
    /// The byte at this place of it is not the one that should be there.
    Wrong { at: usize, expected: u8, got: u8 },
}

impl Reply {
    /// Takes the next piece of an answer, which is not empty.
    pub(crate) fn step(&self, progress: &mut Progress, piece: &[u8]) -> Step {
        match self {
            Self::Bytes(all) => progress.take(*all, piece),
            Self::Until(delimiter) => progress.look_for(delimiter, piece),
            Self::Exact(bytes) => {
                let place = usize::try_from(progress.at).unwrap_or(usize::MAX);
                let rest = bytes.get(place..).unwrap_or_default();
                let wrong = piece.iter().zip(rest).position(|(got, one)| got != one);
                match wrong {
                    Some(at) => Step::Wrong {
                        at,
                        expected: rest[at],
                        got: piece[at],
                    },
                    None => progress.take(bytes.len() as u64, piece),
                }
            }
        }
    }
}

impl Progress {
    fn take(&mut self, all: u64, piece: &[u8]) -> Step {
        let left = all - self.at;
        match piece.len() as u64 {
            length if length < left => {
                self.at += length;
                Step::More
            }
            _ => {
                self.at = 0;
                Step::Done(usize::try_from(left).expect("no more than a piece has"))
            }
        }
    }

    fn look_for(&mut self, delimiter: &Delimiter, piece: &[u8]) -> Step {
        let mut found = usize::try_from(self.at).expect("less than a delimiter has");
        for (place, byte) in piece.iter().enumerate() {
            found = delimiter.step(found, *byte);
            if found == delimiter.bytes.len() {
                self.at = 0;
                return Step::Done(place + 1);
            }
        }
        self.at = found as u64;
        Step::More
    }
}

impl Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bytes.is_empty() {
            true => f.write_str("what the server says first"),
            false => f.write_str(&shown(&self.bytes)),
        }
    }
}

impl Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(1) => f.write_str("1 byte"),
            Self::Bytes(bytes) => write!(f, "{bytes} bytes"),
            Self::Until(delimiter) => write!(f, "all until {}", shown(&delimiter.bytes)),
            Self::Exact(bytes) => write!(f, "exactly {}", shown(bytes)),
        }
    }
}

/// Bytes as text with escapes in quotes, cut where they are many.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for byte in bytes.iter().take(SHOWN_MAX) {
        _ = match byte {
            0 => write!(text, "\\0"),
            // Nothing needs to be escaped but the backslash.
            b'"' | b'\'' => write!(text, "{}", char::from(*byte)),
            other => write!(text, "{}", other.escape_ascii()),
        };
    }
    text.push('"');
    if bytes.len() > SHOWN_MAX {
        _ = write!(text, "... ({} bytes)", bytes.len());
    }
    text
}

const FORM: &str = "write text with \\r \\n \\t \\0 \\\\ and \\xNN, hex:0d0a, or @FILE";

/// Reads `PING\r\n`, `hex:50 49 4e 47` or `@FILE`.
pub(crate) fn bytes(text: &str) -> Result<Arc<[u8]>, String> {
    let bytes = if let Some(path) = text.strip_prefix('@') {
        fs::read(path).map_err(|error| format!("{path}: {error}"))?
    } else if let Some(digits) = text.strip_prefix("hex:") {
        hex(digits)?
    } else {
        unescaped(text)?
    };
    match bytes.len() {
        0 => Err(format!("no bytes: {FORM}")),
        1..=REQUEST_MAX => Ok(bytes.into()),
        many => Err(format!("{many} bytes; at most {REQUEST_MAX}")),
    }
}

fn hex(digits: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<char> = digits.chars().filter(|c| !c.is_whitespace()).collect();
    let byte = |pair: &[char]| {
        let pair: String = pair.iter().collect();
        let two = pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
        let value = u8::from_str_radix(&pair, 16).ok().filter(|_| two);
        value.ok_or_else(|| format!("{pair:?} is no byte: write two digits each, hex:0d0a"))
    };
    digits.chunks(2).map(byte).collect()
}

fn unescaped(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = &rest[at + 1..];
        let mut chars = escape.chars();
        let mut length = 1;
        bytes.push(match chars.next() {
            Some('r') => b'\r',
            Some('n') => b'\n',
            Some('t') => b'\t',
            Some('0') => 0,
            Some('\\') => b'\\',
            Some('x') => {
                length = 3;
                let digits = escape.get(1..3).unwrap_or_default();
                let byte = hex(digits).ok().and_then(|bytes| bytes.first().copied());
                byte.ok_or_else(|| format!("\\x{digits}: two hexadecimal digits follow \\x"))?
            }
            other => {
                let other = other.map(String::from).unwrap_or_default();
                return Err(format!("\\{other} is no escape: {FORM}"));
            }
        });
        rest = &escape[length..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::{Delimiter, Progress, Reply, Step, bytes, shown};

    fn until(text: &str) -> Reply {
        Reply::Until(Delimiter::new(bytes(text).unwrap()))
    }

    /// Where each answer in `stream` ends, fed in pieces of `size`.
    fn ends(reply: &Reply, stream: &[u8], size: usize) -> Vec<usize> {
        let mut ends = Vec::new();
        let (mut progress, mut at) = (Progress::default(), 0);
        while at < stream.len() {
            let piece = &stream[at..stream.len().min(at + size)];
            match reply.step(&mut progress, piece) {
                Step::More => at += piece.len(),
                Step::Done(length) => {
                    at += length;
                    ends.push(at);
                }
                wrong @ Step::Wrong { .. } => panic!("{wrong:?} at {at}"),
            }
        }
        ends
    }

    #[test]
    fn an_answer_ends_where_it_ends_whatever_the_pieces() {
        let exact = Reply::Exact(bytes("+PONG\\r\\n").unwrap());
        for (reply, stream, expected) in [
            (until("\\r\\n"), &b"+OK\r\n-\r\r\n\r\n"[..], &[5, 9, 11][..]),
            // A delimiter that begins within itself.
            (until("aab"), b"aaab--aaaab", &[4, 11]),
            (until("abab"), b"abaabababab", &[7, 11]),
            (Reply::Bytes(3), b"abcdefg", &[3, 6]),
            (exact, b"+PONG\r\n+PONG\r\n", &[7, 14]),
        ] {
            for size in 1..=stream.len() {
                assert_eq!(ends(&reply, stream, size), expected, "{reply} by {size}");
            }
        }
    }

    #[test]
    fn a_wrong_byte_is_found_in_its_piece() {
        let reply = Reply::Exact(bytes("+PONG\\r\\n").unwrap());
        let mut progress = Progress::default();
        assert_eq!(reply.step(&mut progress, b"+P"), Step::More);
        let wrong = Step::Wrong {
            at: 1,
            expected: b'N',
            got: b'n',
        };
        assert_eq!(reply.step(&mut progress, b"OnG"), wrong);
    }

    #[test]
    fn bytes_are_written_in_three_ways() {
        let path = std::env::temp_dir().join(format!("talk-{}", std::process::id()));
        std::fs::write(&path, [0, 255]).unwrap();
        let file = format!("@{}", path.display());
        for (text, expected) in [
            ("PING\\r\\n", &b"PING\r\n"[..]),
            ("a\\x00\\xfF\\t\\0\\\\é", b"a\0\xff\t\0\\\xc3\xa9"),
            ("hex:51 0000ff", b"Q\0\0\xff"),
            (&file, &[0, 255]),
        ] {
            assert_eq!(&*bytes(text).unwrap(), expected, "{text}");
        }
        std::fs::remove_file(&path).unwrap();
        for (text, message) in [
            ("", "no bytes: write text with"),
            ("hex:", "no bytes: write text with"),
            ("hex:5", "\"5\" is no byte: write two digits each"),
            ("hex:+5", "\"+5\" is no byte"),
            ("\\q", "\\q is no escape: write text with"),
            ("a\\", "\\ is no escape"),
            ("\\x1", "\\x: two hexadecimal digits follow \\x"),
            ("@/no/such", "/no/such: "),
        ] {
            let error = bytes(text).unwrap_err();
            assert!(error.starts_with(message), "{text}: {error}");
        }
    }

    #[test]
    fn bytes_are_shown_as_they_would_be_typed() {
        assert_eq!(shown(b"+OK\r\n\0\xff'\\"), r#""+OK\r\n\0\xff'\\""#);
        let many = shown(&[b'a'; 100]);
        assert!(many.ends_with("a\"... (100 bytes)"), "{many}");
        assert_eq!(until("\\r\\n").to_string(), r#"all until "\r\n""#);
    }
}
