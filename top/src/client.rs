//! HTTP over the control socket: a request for each connection, blocking.
//!
//! Called by the polling thread, and before the terminal is touched.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Longer than the server takes for any answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// More than any answer has.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// No server, or not a control socket's answer.
    NoAnswer(String),
    /// Refused, in the server's words.
    Refused(String),
    /// The server has no such path: an older version, or a session that has ended.
    Unknown(String),
}

impl Failed {
    /// Whether the server has answered.
    pub(crate) fn is_answer(&self) -> bool {
        !matches!(self, Self::NoAnswer(_))
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::NoAnswer(why) | Self::Refused(why) | Self::Unknown(why)) = self;
        // Control characters of an answer must not reach the terminal.
        why.chars().try_for_each(|c| match c.is_control() {
            true => write!(f, "{}", c.escape_default()),
            false => write!(f, "{c}"),
        })
    }
}

/// A client of a control socket.
#[derive(Clone, Debug)]
pub(crate) struct Client(PathBuf);

impl Client {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The answer of a path.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failed> {
        let json = self.call("GET", path, None)?;
        serde_json::from_value(json)
            .map_err(|error| Failed::NoAnswer(format!("the answer of {path} is strange: {error}")))
    }

    /// The JSON of an answer.
    pub(crate) fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failed> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: corelane\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut answer = Vec::new();
        let mut exchange = || -> io::Result<()> {
            let mut stream = UnixStream::connect(&self.0)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            let sent = stream.write_all(request.as_bytes());
            // A server that refuses a request early has said why.
            stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
            if answer.is_empty() { sent } else { Ok(()) }
        };
        match exchange() {
            Ok(()) => parse(&answer),
            Err(error) => Err(Failed::NoAnswer(self.why(&error))),
        }
    }

    fn why(&self, error: &io::Error) -> String {
        let path = self.0.display();
        match error.kind() {
            io::ErrorKind::NotFound => format!(
                "there is no control socket {path}; is the server running, with control.socket in \
                 its configuration? --socket names another"
            ),
            io::ErrorKind::PermissionDenied => format!(
                "this user may not connect to {path}; be root or the server's user, or see \
                 control.mode"
            ),
            io::ErrorKind::ConnectionRefused => {
                format!("nobody listens on {path}: the server has ended without a stop")
            }
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                format!("no answer at {path} within {} s", PATIENCE.as_secs())
            }
            _ => format!("no answer at {path}: {error}"),
        }
    }
}

/// The JSON of an answer of HTTP, whose body has a length.
fn parse(answer: &[u8]) -> Result<Value, Failed> {
    let broken = || Failed::NoAnswer("the answer is not that of a control socket".to_owned());
    let text = std::str::from_utf8(answer).map_err(|_| broken())?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(broken)?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status: u16 = status
        .and_then(|status| status.parse().ok())
        .ok_or_else(broken)?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok())?
    });
    if length != Some(body.len()) {
        return Err(Failed::NoAnswer("the answer is cut off".to_owned()));
    }
    let json: Value = match body.is_empty() {
        true => Value::Null,
        false => serde_json::from_str(body).map_err(|_| broken())?,
    };
    let why = || match json["error"]["message"].as_str() {
        Some(message) => message.to_owned(),
        None => format!("HTTP status {status}"),
    };
    match status {
        200..300 => Ok(json),
        404 => Err(Failed::Unknown(why())),
        _ => Err(Failed::Refused(why())),
    }
}

/// The text in a query (RFC 3986, 2.3).
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::{Failed, encode, parse};

    fn answer(status: &str, body: &str) -> String {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}")
    }

    #[test]
    fn answers_are_json_or_reasons() {
        let right = parse(answer("200 OK", "{\"level\":\"info\"}\n").as_bytes());
        assert_eq!(right.unwrap()["level"], "info");
        let refused = answer("404 Not Found", "{\"error\":{\"message\":\"no \\u001b\"}}");
        let unknown = parse(refused.as_bytes()).unwrap_err();
        assert_eq!(unknown, Failed::Unknown("no \u{1b}".to_owned()));
        assert_eq!(unknown.to_string(), "no \\u{1b}");
        let cut = answer("200 OK", "{\"level\":\"info\"}");
        for (answer, part) in [
            (&*answer("431 Too Large", ""), "HTTP status 431"),
            (&cut[..cut.len() - 1], "cut off"),
            ("SSH-2.0-x\r\n\r\n", "not that of a control socket"),
            ("", "not that of a control socket"),
        ] {
            let error: Failed = parse(answer.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn queries_are_encoded() {
        assert_eq!(encode("[::1]:80"), "%5B%3A%3A1%5D%3A80");
        assert_eq!(encode("a&b=c é"), "a%26b%3Dc%20%C3%A9");
    }
}
