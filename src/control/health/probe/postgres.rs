//! PostgreSQL: the answer to a startup message
//! (<https://www.postgresql.org/docs/current/protocol-message-formats.html>).
//!
//! A request for a password, and a refusal of the user or of the database, come from a server that
//! serves. A server that starts, stops or has no connection left says so by SQLSTATE.

use super::step::{Step, excerpt};

/// Version 3.0, which every server since 7.4 knows.
const VERSION: u32 = 3 << 16;
/// Every cluster has this database.
const DATABASE: &str = "postgres";
/// Terminate. Only for a session: a server that waits for a password logs an error.
const TERMINATE: &[u8] = b"X\0\0\0\x04";
/// A message before the session is short; a longer length is a different protocol.
const MESSAGE_BYTES_MAX: usize = 8 << 10;

/// The startup message.
pub(super) fn startup(user: &str) -> Vec<u8> {
    let mut message = vec![0; 4];
    message.extend(VERSION.to_be_bytes());
    for (name, value) in [
        ("user", user),
        ("database", DATABASE),
        ("application_name", "corelane"),
    ] {
        for text in [name, value] {
            message.extend(text.as_bytes());
            message.push(0);
        }
    }
    message.push(0);
    let length = u32::try_from(message.len()).expect("a user has 63 bytes");
    message[..4].copy_from_slice(&length.to_be_bytes());
    message
}

pub(super) fn step(answer: &[u8]) -> Step {
    let mut rest = answer;
    while let [kind, a, b, c, d, behind @ ..] = rest {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        if !b"RENv".contains(kind) || !(4..=MESSAGE_BYTES_MAX).contains(&length) {
            return Step::Bad(format!("no PostgreSQL answers {}", excerpt(answer)));
        }
        let Some(body) = behind.get(..length - 4) else {
            return Step::More;
        };
        match kind {
            b'R' => {
                let is_session = body.starts_with(&[0; 4]);
                let farewell = if is_session { TERMINATE } else { &[] };
                return Step::Good { farewell };
            }
            b'E' => return judge(body),
            // A notice, or the versions that the server knows: the answer follows.
            _ => rest = &behind[length - 4..],
        }
    }
    Step::More
}

/// The verdict on an error response: fields of a type and a text that ends in a NUL.
fn judge(body: &[u8]) -> Step {
    let field = |kind: u8| {
        let mut fields = body.split(|byte| *byte == 0);
        let field = fields.find(|field| field.first() == Some(&kind))?;
        Some(String::from_utf8_lossy(&field[1..]).into_owned())
    };
    let state = field(b'C').unwrap_or_default();
    // Insufficient resources, and operator intervention: cannot_connect_now, a shutdown.
    let is_bad = ["53", "57", "58", "XX"]
        .iter()
        .any(|class| state.starts_with(class));
    match is_bad {
        false => Step::GOOD,
        true => {
            let message = field(b'M').unwrap_or_default();
            Step::Bad(format!(
                "PostgreSQL answers {state} {}",
                excerpt(message.as_bytes())
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::step::Step;
    use super::{TERMINATE, startup, step};

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[kind][..], &length, body].concat()
    }

    fn error(state: &str, text: &str) -> Vec<u8> {
        let body = format!("SFATAL\0VFATAL\0C{state}\0M{text}\0\0");
        message(b'E', body.as_bytes())
    }

    #[test]
    fn a_startup_message_has_its_length_and_its_names() {
        let message = startup("me");
        assert_eq!(&message[..8], &[0, 0, 0, 61, 0, 3, 0, 0]);
        assert_eq!(message.len(), 61);
        assert!(message.ends_with(b"application_name\0corelane\0\0"));
    }

    #[test]
    fn an_answer_decides() {
        let session = Step::Good {
            farewell: TERMINATE,
        };
        assert_eq!(step(&message(b'R', &[0; 4])), session);
        assert_eq!(
            step(&message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0")),
            Step::GOOD
        );
        for (state, is_good) in [
            ("28000", true),
            ("3D000", true),
            ("57P03", false),
            ("53300", false),
        ] {
            let step = step(&error(state, "the database system is starting up"));
            assert_eq!(step == Step::GOOD, is_good, "{state}: {step:?}");
            if let Step::Bad(reason) = step {
                assert!(
                    reason.contains(state) && reason.contains("starting up"),
                    "{reason}"
                );
            }
        }
    }

    #[test]
    fn an_answer_in_pieces_waits_and_a_notice_is_passed_over() {
        let answer = [message(b'N', b"SNOTICE\0\0"), message(b'R', &[0; 4])].concat();
        for end in 0..answer.len() {
            assert_eq!(step(&answer[..end]), Step::More, "{end}");
        }
        assert!(matches!(step(&answer), Step::Good { .. }));
    }

    #[test]
    fn a_foreign_protocol_is_bad() {
        for foreign in [
            "HTTP/1.1 400 Bad Request\r\n",
            "-ERR unknown command\r\n",
            "R\u{7f}\0\0\0",
        ] {
            assert!(
                matches!(step(foreign.as_bytes()), Step::Bad(_)),
                "{foreign}"
            );
        }
    }
}
