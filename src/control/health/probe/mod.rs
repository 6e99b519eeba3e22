//! The dialogues of checks, a file for each protocol. Pure: bytes in, the next step out.
//!
//! `Probe::step` gets all bytes of the answer so far, each time that bytes arrive, and once more at
//! the end of the stream. The I/O is in `health/run.rs`.

mod expect;
mod http;
mod mysql;
mod postgres;
mod redis;
mod step;

use std::net::SocketAddr;

use self::expect::Expecting;
use self::http::Http;
use self::mysql::Mysql;
use self::step::excerpt;
pub(super) use self::step::{ANSWER_BYTES_MAX, Step};
use crate::config::Check;

/// The dialogue of a check.
#[derive(Debug)]
pub(super) enum Probe {
    Connect,
    Expecting(Expecting),
    Redis,
    Postgres { user: String },
    Mysql(Mysql),
    Http(Http),
}

impl Probe {
    /// A new dialogue with an endpoint.
    pub(super) fn new(check: &Check, to: SocketAddr) -> Self {
        match check {
            Check::Connect => Self::Connect,
            Check::SendExpect { send, expect } => Self::Expecting(Expecting::new(send, expect)),
            Check::Redis => Self::Redis,
            Check::Postgres { user } => Self::Postgres { user: user.clone() },
            Check::Mysql { user } => Self::Mysql(Mysql::new(user)),
            Check::Http { path, host, status } => {
                Self::Http(Http::new(path, host.as_deref(), status, to))
            }
        }
    }

    /// The bytes behind the connect; may be none.
    pub(super) fn first(&self) -> Vec<u8> {
        match self {
            Self::Connect | Self::Mysql(_) => Vec::new(),
            Self::Expecting(of) => of.first(),
            Self::Redis => redis::PING.to_vec(),
            Self::Postgres { user } => postgres::startup(user),
            Self::Http(of) => of.request(),
        }
    }

    /// The next step, from the answer so far.
    pub(super) fn step(&mut self, answer: &[u8], is_ended: bool) -> Step {
        let step = match self {
            Self::Connect => Step::GOOD,
            Self::Expecting(of) => of.step(answer),
            Self::Redis => redis::step(answer),
            Self::Postgres { .. } => postgres::step(answer),
            Self::Mysql(of) => of.step(answer),
            Self::Http(of) => of.step(answer),
        };
        match step {
            Step::More if is_ended => Step::Bad(match answer {
                [] => "the connection ended without an answer".to_owned(),
                _ => format!("the connection ended behind {}", excerpt(answer)),
            }),
            Step::More if answer.len() >= ANSWER_BYTES_MAX => {
                Step::Bad(format!("the answer is too long: {}", excerpt(answer)))
            }
            step => step,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Probe;
    use super::step::{ANSWER_BYTES_MAX, Step, excerpt};
    use crate::config::Check;

    fn probe(check: &Check) -> Probe {
        Probe::new(check, "[::1]:80".parse().unwrap())
    }

    #[test]
    fn an_end_or_a_flood_without_a_decision_is_bad() {
        let mut redis = probe(&Check::Redis);
        for (answer, is_ended, part) in [
            (&b""[..], true, "without an answer"),
            (b"+PO", true, "ended behind \"+PO\""),
            (&[b'+'; ANSWER_BYTES_MAX], false, "too long: \"+++"),
        ] {
            match redis.step(answer, is_ended) {
                Step::Bad(reason) => assert!(reason.contains(part), "{reason}"),
                step => panic!("{step:?}"),
            }
        }
    }

    #[test]
    fn a_connection_is_all_that_a_connect_wants() {
        let mut connect = probe(&Check::Connect);
        assert!(connect.first().is_empty());
        assert_eq!(connect.step(&[], false), Step::GOOD);
    }

    #[test]
    fn an_excerpt_is_short_and_harmless() {
        assert_eq!(excerpt(b"a\x1b[2J\xff\n"), "\"a\\u{1b}[2J\u{fffd}\\n\"");
        let long = excerpt(&[b'x'; 200]);
        assert!(long.ends_with("x...\"") && long.len() < 100, "{long}");
    }
}
