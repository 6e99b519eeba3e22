//! HTTP: the status of the answer to a GET (RFC 9112).

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use super::step::{Step, excerpt};

/// `HTTP/1.1 200`
const LINE_BYTES_MIN: usize = 12;

/// The dialogue with a server.
#[derive(Debug)]
pub(in crate::control::health) struct Http {
    request: String,
    good: Vec<RangeInclusive<u16>>,
}

impl Http {
    pub(super) fn new(
        path: &str,
        host: Option<&str>,
        good: &[RangeInclusive<u16>],
        to: SocketAddr,
    ) -> Self {
        let host = host.map_or_else(|| to.to_string(), str::to_owned);
        Self {
            request: format!(
                "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: corelane\r\nAccept: */*\r\n\
                 Connection: close\r\n\r\n"
            ),
            good: good.to_vec(),
        }
    }

    pub(super) fn request(&self) -> Vec<u8> {
        self.request.clone().into_bytes()
    }

    pub(super) fn step(&self, answer: &[u8]) -> Step {
        let mut rest = answer;
        loop {
            let known = rest.len().min(5);
            if rest[..known] != b"HTTP/"[..known] {
                return Step::Bad(format!("no HTTP server answers {}", excerpt(answer)));
            }
            let line_end = rest.iter().position(|byte| *byte == b'\n');
            let Some(line_end) = line_end else {
                return Step::More;
            };
            let line = rest[..line_end].trim_ascii_end();
            let Some(status) = status(line) else {
                return Step::Bad(format!("no HTTP server answers {}", excerpt(line)));
            };
            if self.good.iter().any(|good| good.contains(&status)) {
                return Step::GOOD;
            }
            if !(100..200).contains(&status) {
                return Step::Bad(format!("HTTP answers {}", excerpt(line)));
            }
            // An interim answer: the final one follows behind an empty line.
            let end = rest.windows(4).position(|part| part == b"\r\n\r\n");
            match end {
                Some(end) => rest = &rest[end + 4..],
                None => return Step::More,
            }
        }
    }
}

/// The status of a status line.
fn status(line: &[u8]) -> Option<u16> {
    let line = line.get(..LINE_BYTES_MIN)?;
    let digits = line.get(8..).filter(|part| part[0] == b' ')?;
    let text = std::str::from_utf8(&digits[1..]).ok()?;
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::super::step::Step;
    use super::Http;

    fn http(host: Option<&str>) -> Http {
        let to = "[::1]:8080".parse().unwrap();
        Http::new("/up?x=1", host, &[200..=204, 301..=301], to)
    }

    #[test]
    fn a_request_names_the_path_and_the_host() {
        let request = String::from_utf8(http(None).request()).unwrap();
        assert!(request.starts_with("GET /up?x=1 HTTP/1.1\r\nHost: [::1]:8080\r\n"));
        assert!(request.ends_with("\r\n\r\n"), "{request}");
        let request = String::from_utf8(http(Some("db")).request()).unwrap();
        assert!(request.contains("\r\nHost: db\r\n"), "{request}");
    }

    #[test]
    fn the_status_decides() {
        for (answer, is_good) in [
            ("HTTP/1.1 200 OK\r\n", true),
            ("HTTP/1.0 204\n", true),
            ("HTTP/1.1 301 Moved\r\n", true),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", true),
            ("HTTP/1.1 302 Found\r\n", false),
            ("HTTP/1.1 503 Service Unavailable\r\n", false),
            (
                "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 500 No\r\n",
                false,
            ),
            ("HTTP/1.1 2e0 OK\r\n", false),
            ("SSH-2.0-OpenSSH_9.2\r\n", false),
            ("H2", false),
        ] {
            match http(None).step(answer.as_bytes()) {
                Step::Good { .. } => assert!(is_good, "{answer}"),
                Step::Bad(reason) => assert!(!is_good, "{answer}: {reason}"),
                step => panic!("{answer}: {step:?}"),
            }
        }
    }

    #[test]
    fn an_answer_in_pieces_waits() {
        let answer = b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n";
        for end in 0..answer.len() {
            assert_eq!(http(None).step(&answer[..end]), Step::More, "{end}");
        }
    }
}
