//! MySQL and MariaDB: the greeting, and the answer to a login without a password
//! (<https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html>).
//!
//! A client that leaves before its login counts as an error of its host, and after
//! `max_connect_errors` of these the server blocks the host. A refused login does not count, so
//! the dialogue goes on to the answer of a login, and a session ends by COM_QUIT.

use super::step::{Step, excerpt};

/// A length of three bytes and a number.
const HEADER: usize = 4;
/// Packets of the connection phase are short; a longer length is a different protocol.
const PACKET_BYTES_MAX: usize = 8 << 10;
const QUIT: &[u8] = b"\x01\0\0\0\x01";
/// `CLIENT_LONG_PASSWORD`, `CLIENT_PROTOCOL_41`, `CLIENT_SECURE_CONNECTION`, `CLIENT_PLUGIN_AUTH`.
const CAPABILITIES: u32 = 0x1 | 0x200 | 0x8000 | 0x8_0000;
/// utf8mb3_general_ci, which all versions know.
const CHARACTERS: u8 = 33;
const PLUGIN: &[u8] = b"mysql_native_password";
/// Refusals of a login by a server that serves: access denied (three numbers), an unknown database,
/// a way of login that the client or the server lacks, an expired password, a locked account.
const REFUSALS: [u16; 9] = [1044, 1045, 1049, 1251, 1524, 1698, 1862, 3118, 4151];

/// The dialogue with a server.
#[derive(Debug)]
pub(in crate::control::health) struct Mysql {
    user: String,
    has_greeting: bool,
}

impl Mysql {
    pub(super) fn new(user: &str) -> Self {
        Self {
            user: user.to_owned(),
            has_greeting: false,
        }
    }

    pub(super) fn step(&mut self, answer: &[u8]) -> Step {
        let foreign = || Step::Bad(format!("no MySQL answers {}", excerpt(answer)));
        let &[a, b, c, number, ref behind @ ..] = answer else {
            return Step::More;
        };
        let length = u32::from_le_bytes([a, b, c, 0]) as usize;
        if !(1..=PACKET_BYTES_MAX).contains(&length) {
            return foreign();
        }
        let Some(packet) = behind.get(..length) else {
            return Step::More;
        };
        let taken = HEADER + length;
        match (self.has_greeting, packet[0]) {
            (_, 0xff) => self.refused(packet),
            (false, 10) => {
                self.has_greeting = true;
                let bytes = packet_of(number.wrapping_add(1), &self.login());
                Step::Send { bytes, taken }
            }
            // Logged in.
            (true, 0x00) => Step::Good { farewell: QUIT },
            // Another way of login: an empty password is no bytes in each.
            (true, 0xfe) => Step::Send {
                bytes: packet_of(number.wrapping_add(1), &[]),
                taken,
            },
            // More of a login by another way: the server serves.
            (true, 0x01) => Step::GOOD,
            _ => foreign(),
        }
    }

    fn refused(&self, packet: &[u8]) -> Step {
        let (code, text) = match packet {
            [_, low, high, b'#', _, _, _, _, _, text @ ..] | [_, low, high, text @ ..] => {
                (u16::from_le_bytes([*low, *high]), text)
            }
            _ => (0, packet),
        };
        match self.has_greeting && REFUSALS.contains(&code) {
            true => Step::GOOD,
            false => Step::Bad(format!("MySQL answers {code} {}", excerpt(text))),
        }
    }

    /// A login without a password (HandshakeResponse41).
    fn login(&self) -> Vec<u8> {
        let mut login = CAPABILITIES.to_le_bytes().to_vec();
        login.extend((1u32 << 24).to_le_bytes());
        login.push(CHARACTERS);
        login.extend([0; 23]);
        login.extend(self.user.as_bytes());
        // The end of the user, and a password of no bytes.
        login.extend([0, 0]);
        login.extend(PLUGIN);
        login.push(0);
        login
    }
}

fn packet_of(number: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a login is short");
    let [a, b, c, _] = length.to_le_bytes();
    [&[a, b, c, number], payload].concat()
}

#[cfg(test)]
mod tests {
    use super::super::step::Step;
    use super::{Mysql, QUIT, packet_of};

    fn greeting() -> Vec<u8> {
        packet_of(0, b"\x0a5.5.5-10.11.6-MariaDB\0rest of the greeting")
    }

    fn error(number: u8, code: u16, text: &str) -> Vec<u8> {
        let payload = [&[0xff][..], &code.to_le_bytes(), b"#28000", text.as_bytes()];
        packet_of(number, &payload.concat())
    }

    /// A dialogue behind the greeting.
    fn greeted() -> Mysql {
        let mut mysql = Mysql::new("me");
        let greeting = greeting();
        let Step::Send { bytes, taken } = mysql.step(&greeting) else {
            panic!("a greeting is answered");
        };
        assert_eq!((taken, bytes[3]), (greeting.len(), 1));
        assert!(bytes.windows(5).any(|part| part == b"me\0\0m"), "{bytes:?}");
        mysql
    }

    #[test]
    fn a_login_and_its_refusal_are_good() {
        let ok = packet_of(2, b"\0\0\0\x02\0\0\0");
        assert_eq!(greeted().step(&ok), Step::Good { farewell: QUIT });
        for code in [1045, 1698] {
            assert_eq!(greeted().step(&error(2, code, "Access denied")), Step::GOOD);
        }
        let other = packet_of(2, b"\xfecaching_sha2_password\0salt");
        let again = Step::Send {
            bytes: vec![0, 0, 0, 3],
            taken: other.len(),
        };
        assert_eq!(greeted().step(&other), again);
    }

    #[test]
    fn a_server_that_takes_no_session_is_bad() {
        for code in [1040, 1129, 1130, 1053] {
            for mut mysql in [Mysql::new("me"), greeted()] {
                let Step::Bad(reason) = mysql.step(&error(0, code, "Too many connections")) else {
                    panic!("{code}");
                };
                assert!(reason.contains(&format!("{code} \"Too many")), "{reason}");
            }
        }
        // A refusal of a login is none in place of a greeting.
        assert!(matches!(
            Mysql::new("me").step(&error(0, 1045, "")),
            Step::Bad(_)
        ));
    }

    #[test]
    fn packets_in_pieces_wait_and_foreign_bytes_are_bad() {
        let greeting = greeting();
        for end in 0..greeting.len() {
            assert_eq!(Mysql::new("me").step(&greeting[..end]), Step::More, "{end}");
        }
        for foreign in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"+OK ready\r\n",
            b"\0\0\0\0",
        ] {
            let step = Mysql::new("me").step(foreign);
            assert!(matches!(step, Step::Bad(_)), "{step:?}");
        }
    }
}
