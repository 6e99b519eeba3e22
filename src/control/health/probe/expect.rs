//! Bytes of the configuration, and an answer that has to have certain bytes.

use regex_lite::Regex;

use super::step::{ANSWER_BYTES_MAX, Step, excerpt};
use crate::config::{Expect, Send};

/// The dialogue of `send` and `expect`.
#[derive(Debug)]
pub(in crate::control::health) struct Expecting {
    send: Vec<u8>,
    wanted: Wanted,
}

#[derive(Debug)]
enum Wanted {
    Anything,
    Bytes(Vec<u8>),
    Prefix(Vec<u8>),
    Pattern(Box<Regex>),
}

impl Expecting {
    pub(super) fn new(send: &Send, expect: &Expect) -> Self {
        Self {
            send: send.bytes().to_vec(),
            wanted: match expect {
                Expect::Anything => Wanted::Anything,
                Expect::Text(text) => Wanted::Bytes(text.clone().into_bytes()),
                Expect::Hex(bytes) => Wanted::Bytes(bytes.clone()),
                Expect::Prefix(text) => Wanted::Prefix(text.clone().into_bytes()),
                Expect::Regex(pattern) => {
                    let pattern = Regex::new(pattern).expect("the configuration has compiled it");
                    Wanted::Pattern(Box::new(pattern))
                }
            },
        }
    }

    pub(super) fn first(&self) -> Vec<u8> {
        self.send.clone()
    }

    pub(super) fn step(&self, answer: &[u8]) -> Step {
        let is_there = match &self.wanted {
            Wanted::Anything => !answer.is_empty(),
            Wanted::Bytes(bytes) => answer.windows(bytes.len()).any(|part| part == bytes),
            Wanted::Prefix(text) => {
                let known = answer.len().min(text.len());
                if answer[..known] != text[..known] {
                    return Step::Bad(format!("the answer begins with {}", excerpt(answer)));
                }
                known == text.len()
            }
            Wanted::Pattern(pattern) => pattern.is_match(&String::from_utf8_lossy(answer)),
        };
        match is_there {
            true => Step::GOOD,
            false if answer.len() < ANSWER_BYTES_MAX => Step::More,
            false => Step::Bad(format!("not in the answer, {}", excerpt(answer))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::step::Step;
    use super::Expecting;
    use crate::config::{Expect, Send};

    #[test]
    fn an_answer_is_compared_as_it_is_written() {
        let text = |text: &str| text.to_owned();
        for (expect, answer, decides) in [
            (Expect::Anything, &b"x"[..], Some(true)),
            (Expect::Anything, b"", None),
            (Expect::Text(text("OK")), b"+OK ready", Some(true)),
            (Expect::Text(text("OK")), b"+O", None),
            (Expect::Prefix(text("+OK")), b"+OK", Some(true)),
            (Expect::Prefix(text("+OK")), b"+", None),
            (Expect::Prefix(text("+OK")), b"-ERR +OK", Some(false)),
            (Expect::Hex(vec![0, 0xff]), b"a\0\xff", Some(true)),
            (Expect::Hex(vec![0, 0xff]), b"a\0\xfe", None),
            (
                Expect::Regex(text("^2[0-9]{2} ")),
                b"220 mail\r\n",
                Some(true),
            ),
            (Expect::Regex(text("^2[0-9]{2} ")), b"554 no\xff\r\n", None),
        ] {
            let step = Expecting::new(&Send::Nothing, &expect).step(answer);
            let found = match step {
                Step::Good { .. } => Some(true),
                Step::Bad(_) => Some(false),
                _ => None,
            };
            assert_eq!(found, decides, "{expect:?} {answer:?}");
        }
    }
}
