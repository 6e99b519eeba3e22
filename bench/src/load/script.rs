//! Scripted messages for another protocol: the request, and the detection of the reply's end in a
//! stream of arbitrary pieces. Pure; called by `plan` and `connection`.

use std::fmt::{self, Display};
use std::sync::Arc;

use crate::args::bytes::shown;

/// The dialogue of each connection, repeated.
#[derive(Debug)]
pub(crate) struct Script {
    /// The unmeasured opening of each connection. Without request bytes the server speaks first.
    pub(crate) opening: Option<Request>,
    pub(crate) message: Request,
}

impl Script {
    /// Whether the content of the replies is compared, rather than only their end detected.
    pub(crate) fn is_verified(&self) -> bool {
        matches!(self.message.reply, Reply::Exact(_))
    }
}

/// The bytes to send, and the reply to expect.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) reply: Reply,
}

/// How the reply's end is detected.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// After a number of bytes, above zero.
    Bytes(u64),
    /// After the first occurrence of the delimiter.
    Until(Delimiter),
    /// After exactly these bytes.
    Exact(Arc<[u8]>),
}

/// A delimiter, with its search table (Knuth, Morris and Pratt 1977).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Delimiter {
    bytes: Arc<[u8]>,
    /// For each prefix: the length of the longest proper suffix that is a prefix too.
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

    /// The length of the matched prefix after `byte`, given the length before.
    fn step(&self, mut found: usize, byte: u8) -> usize {
        while found > 0 && self.bytes[found] != byte {
            found = self.back[found - 1];
        }
        found + usize::from(self.bytes[found] == byte)
    }
}

/// The progress within a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReplyProgress {
    /// Received bytes of the reply; with a delimiter, matched bytes of the delimiter.
    at: u64,
}

/// The result of one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplyStep {
    /// All of the piece belongs to the reply, and the reply continues.
    More,
    /// The reply ends after this many bytes of the piece.
    Done(usize),
    /// A wrong byte, at this place in the piece.
    Wrong { at: usize, expected: u8, got: u8 },
}

impl Reply {
    /// Processes the next piece of a reply, which is not empty.
    pub(crate) fn step(&self, progress: &mut ReplyProgress, piece: &[u8]) -> ReplyStep {
        match self {
            Self::Bytes(all) => progress.take(*all, piece),
            Self::Until(delimiter) => progress.look_for(delimiter, piece),
            Self::Exact(bytes) => {
                let place = usize::try_from(progress.at).unwrap_or(usize::MAX);
                let rest = bytes.get(place..).unwrap_or_default();
                let wrong = piece.iter().zip(rest).position(|(got, one)| got != one);
                match wrong {
                    Some(at) => ReplyStep::Wrong {
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

impl ReplyProgress {
    fn take(&mut self, all: u64, piece: &[u8]) -> ReplyStep {
        let left = all - self.at;
        match piece.len() as u64 {
            length if length < left => {
                self.at += length;
                ReplyStep::More
            }
            _ => {
                self.at = 0;
                ReplyStep::Done(usize::try_from(left).expect("no more than a piece has"))
            }
        }
    }

    fn look_for(&mut self, delimiter: &Delimiter, piece: &[u8]) -> ReplyStep {
        let mut found = usize::try_from(self.at).expect("less than a delimiter has");
        for (place, byte) in piece.iter().enumerate() {
            found = delimiter.step(found, *byte);
            if found == delimiter.bytes.len() {
                self.at = 0;
                return ReplyStep::Done(place + 1);
            }
        }
        self.at = found as u64;
        ReplyStep::More
    }
}

impl Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bytes.is_empty() {
            true => f.write_str("the server's greeting"),
            false => f.write_str(&shown(&self.bytes)),
        }
    }
}

impl Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(1) => f.write_str("1 byte"),
            Self::Bytes(bytes) => write!(f, "{bytes} bytes"),
            Self::Until(delimiter) => write!(f, "everything up to {}", shown(&delimiter.bytes)),
            Self::Exact(bytes) => write!(f, "exactly {}", shown(bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Delimiter, Reply, ReplyProgress, ReplyStep};
    use crate::args::bytes::payload;

    fn until(text: &str) -> Reply {
        Reply::Until(Delimiter::new(payload(text).unwrap()))
    }

    /// The ends of the replies in `stream`, processed in pieces of `size`.
    fn ends(reply: &Reply, stream: &[u8], size: usize) -> Vec<usize> {
        let mut ends = Vec::new();
        let (mut progress, mut at) = (ReplyProgress::default(), 0);
        while at < stream.len() {
            let piece = &stream[at..stream.len().min(at + size)];
            match reply.step(&mut progress, piece) {
                ReplyStep::More => at += piece.len(),
                ReplyStep::Done(length) => {
                    at += length;
                    ends.push(at);
                }
                wrong @ ReplyStep::Wrong { .. } => panic!("{wrong:?} at {at}"),
            }
        }
        ends
    }

    #[test]
    fn the_end_of_a_reply_is_found_in_any_pieces() {
        let exact = Reply::Exact(payload("+PONG\\r\\n").unwrap());
        for (reply, stream, expected) in [
            (until("\\r\\n"), &b"+OK\r\n-\r\r\n\r\n"[..], &[5, 9, 11][..]),
            // A delimiter that overlaps itself.
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
        let reply = Reply::Exact(payload("+PONG\\r\\n").unwrap());
        let mut progress = ReplyProgress::default();
        assert_eq!(reply.step(&mut progress, b"+P"), ReplyStep::More);
        let wrong = ReplyStep::Wrong {
            at: 1,
            expected: b'N',
            got: b'n',
        };
        assert_eq!(reply.step(&mut progress, b"OnG"), wrong);
    }

    #[test]
    fn a_reply_is_described_by_its_end() {
        assert_eq!(until("\\r\\n").to_string(), r#"everything up to "\r\n""#);
    }
}
