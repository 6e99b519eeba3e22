//! HTTP over the control socket: a request for each connection, blocking.

use std::fmt;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::config::escape;
use crate::sys::local::connect_local;

/// Longer than the server takes for any answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// More than any answer has.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Why a command failed.
#[derive(Debug)]
pub(super) enum Failed {
    NoConnection(String),
    /// In the server's words.
    Refused(String),
    /// The answer is no answer of a control socket.
    Broken(String),
    /// The arguments do not fit a file or standard output.
    Unusable(String),
    /// Standard output takes no more.
    Output(io::Error),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The mistakes of a configuration have a line each.
            Self::NoConnection(why)
            | Self::Refused(why)
            | Self::Broken(why)
            | Self::Unusable(why) => {
                let lines: Vec<String> = why.lines().map(escape).collect();
                f.write_str(&lines.join("\n"))
            }
            Self::Output(error) => write!(f, "standard output cannot be written: {error}"),
        }
    }
}

/// A client of a control socket.
#[derive(Debug)]
pub(super) struct Client(PathBuf);

impl Client {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn get(&self, path: &str) -> Result<Value, Failed> {
        self.call("GET", path, None)
    }

    /// The JSON of an answer; an answer of plain text as a JSON string.
    pub(super) fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failed> {
        let answer = self.exchange([method, path], body, PATIENCE, ANSWER_BYTES_MAX)?;
        json(body_of(&answer)?)
    }

    /// The body of an answer that is no JSON, of at most `most` bytes, and takes `time` longer than
    /// usual.
    pub(super) fn fetch(
        &self,
        method: &str,
        path: &str,
        body: &Value,
        time: Duration,
        most: u64,
    ) -> Result<Vec<u8>, Failed> {
        let mut answer = self.exchange([method, path], Some(body), PATIENCE + time, most)?;
        let bytes = body_of(&answer)?.bytes.len();
        Ok(answer.split_off(answer.len() - bytes))
    }

    /// The whole answer to a request: `line` is the method and the path.
    fn exchange(
        &self,
        line: [&str; 2],
        body: Option<&Value>,
        patience: Duration,
        most: u64,
    ) -> Result<Vec<u8>, Failed> {
        let mut stream =
            connect_local(&self.0, patience).map_err(|error| self.no_connection(&error))?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let [method, path] = line;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: corelane\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut answer = Vec::new();
        let sent = stream.write_all(request.as_bytes());
        // A server that refuses a request early has said why.
        let read = stream.take(most).read_to_end(&mut answer);
        match read.and(if answer.is_empty() { sent } else { Ok(()) }) {
            Ok(()) if answer.is_empty() => Err(self.no_answer()),
            Ok(()) => Ok(answer),
            Err(error) => Err(match error.kind() {
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => self.no_answer(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Failed::Broken(format!(
                    "no answer at {} within {patience:?}; does the server have the CPU?",
                    self.0.display()
                )),
                _ => Failed::Broken(format!("no answer at {}: {error}", self.0.display())),
            }),
        }
    }

    fn no_answer(&self) -> Failed {
        Failed::Broken(format!(
            "the server at {} ended before its answer, which a stop does; whether it has done what \
             was asked, its log says",
            self.0.display()
        ))
    }

    fn no_connection(&self, error: &io::Error) -> Failed {
        let path = self.0.display();
        Failed::NoConnection(match error.kind() {
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
            _ => format!("no connection to {path}: {error}"),
        })
    }
}

/// The body of an answer, by its type.
#[derive(Clone, Copy, Debug)]
struct Body<'a> {
    is_text: bool,
    bytes: &'a [u8],
}

/// The body of an answer of HTTP, which has a length; the server's words if the answer is a
/// refusal.
fn body_of(answer: &[u8]) -> Result<Body<'_>, Failed> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = answer.split_at(end.ok_or_else(broken)?);
    let (head, body) = (std::str::from_utf8(head).map_err(|_| broken())?, &body[4..]);
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status: u16 = status
        .and_then(|status| status.parse().ok())
        .ok_or_else(broken)?;
    let header = |wanted: &str| {
        lines.clone().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then(|| value.trim())
        })
    };
    let length = header("content-length").and_then(|length| length.parse().ok());
    if length != Some(body.len()) {
        let why = "the answer is cut off: the server ended in the middle of it, which a stop does";
        return Err(Failed::Broken(why.to_owned()));
    }
    let is_text = header("content-type").is_some_and(|kind| kind.starts_with("text/"));
    let body = Body {
        is_text,
        bytes: body,
    };
    match status {
        200..300 => Ok(body),
        _ => Err(Failed::Refused(
            json(body)?["error"]["message"]
                .as_str()
                .map_or_else(|| format!("HTTP status {status}"), str::to_owned),
        )),
    }
}

/// The JSON or the text of a body.
fn json(body: Body<'_>) -> Result<Value, Failed> {
    match body.bytes {
        [] => Ok(Value::Null),
        bytes if body.is_text => {
            let text = std::str::from_utf8(bytes).map_err(|_| broken())?;
            Ok(Value::from(text))
        }
        bytes => serde_json::from_slice(bytes).map_err(|_| broken()),
    }
}

fn broken() -> Failed {
    Failed::Broken("the answer is not that of a control socket".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{Failed, body_of, json};

    fn parse(answer: &[u8]) -> Result<Value, Failed> {
        json(body_of(answer)?)
    }

    fn answer(status: &str, body: &str) -> String {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}")
    }

    #[test]
    fn each_mistake_has_a_line_and_no_control_characters() {
        let body = r#"{"error":{"message":"a.toml:1: x\na.toml:2: \u001b[2J"}}"#;
        let refused = parse(answer("409 Conflict", body).as_bytes()).unwrap_err();
        assert_eq!(refused.to_string(), "a.toml:1: x\na.toml:2: \\u{1b}[2J");
    }

    #[test]
    fn answers_are_json_or_reasons() {
        let right = parse(answer("200 OK", "{\"level\":\"info\"}\n").as_bytes());
        assert_eq!(right.unwrap()["level"], "info");
        let refused = answer(
            "404 Not Found",
            "{\"error\":{\"message\":\"no session 7\"}}",
        );
        let bare = answer("431 Too Large", "");
        let cut = answer("200 OK", "{\"level\":\"info\"}");
        for (answer, part) in [
            (refused.as_str(), "no session 7"),
            (&bare, "HTTP status 431"),
            (&cut[..cut.len() - 1], "cut off"),
            ("SSH-2.0-x\r\n\r\n", "not that of a control socket"),
            ("", "not that of a control socket"),
        ] {
            let error: Failed = parse(answer.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
