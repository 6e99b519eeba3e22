//! `send` and `expect` of a health check: texts, bytes in hexadecimal, and patterns.
//!
//! Read by `health`. A word before a colon names the form, as in `bind`.

use std::fmt;

use regex_lite::Regex;

use super::errors::Reported;
use super::value::Value;

/// A check asks for a sign of life, and compares the begin of an answer.
const BYTES_MAX: usize = 4096;

/// The bytes that a check sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Send {
    Nothing,
    Text(String),
    Hex(Vec<u8>),
}

/// The bytes that a check waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expect {
    /// A byte.
    Anything,
    /// The answer contains the text.
    Text(String),
    /// The answer begins with the text.
    Prefix(String),
    /// The answer contains the bytes.
    Hex(Vec<u8>),
    /// The answer matches the pattern, which is correct.
    Regex(String),
}

impl Send {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Nothing => &[],
            Self::Text(text) => text.as_bytes(),
            Self::Hex(bytes) => bytes,
        }
    }
}

/// In the notation of the file.
impl fmt::Display for Send {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Text(text) => f.write_str(text),
            Self::Hex(bytes) => write_hex(bytes, f),
        }
    }
}

/// In the notation of the file.
impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anything => f.write_str("anything"),
            Self::Text(text) => f.write_str(text),
            Self::Prefix(text) => write!(f, "prefix:{text}"),
            Self::Hex(bytes) => write_hex(bytes, f),
            Self::Regex(pattern) => write!(f, "regex:{pattern}"),
        }
    }
}

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("hex:")?;
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

pub(super) fn send(value: &Value<'_>) -> Result<Send, Reported> {
    const WRITE: &str = "\"nothing\", a text, or \"hex:0d0a\"";
    Ok(match written(value, "bytes to send", WRITE)? {
        "nothing" => Send::Nothing,
        text => match text.strip_prefix("hex:") {
            Some(digits) => Send::Hex(hex(digits, value)?),
            None => Send::Text(text.to_owned()),
        },
    })
}

pub(super) fn expect(value: &Value<'_>) -> Result<Expect, Reported> {
    const WRITE: &str =
        "\"anything\", a text, \"prefix:+OK\", \"hex:0d0a\" or \"regex:^2[0-9]{2}\"";
    let text = written(value, "an expected answer", WRITE)?;
    if text == "anything" {
        return Ok(Expect::Anything);
    }
    let form = text.split_once(':');
    match form {
        Some(("prefix" | "regex" | "hex", "")) => {
            Err(value.senseless("every answer has this", "\"anything\""))
        }
        Some(("prefix", text)) => Ok(Expect::Prefix(text.to_owned())),
        Some(("hex", digits)) => hex(digits, value).map(Expect::Hex),
        Some(("regex", pattern)) => match Regex::new(pattern) {
            Ok(_) => Ok(Expect::Regex(pattern.to_owned())),
            Err(_) => Err(value.senseless(
                "no regular expression",
                "one of the syntax of the crate regex-lite, e.g. \"regex:^2[0-9]{2} \"",
            )),
        },
        _ => Ok(Expect::Text(text.to_owned())),
    }
}

fn written<'v>(
    value: &Value<'v>,
    wanted: &'static str,
    write: &'static str,
) -> Result<&'v str, Reported> {
    match value.text() {
        Some(text) if (1..=BYTES_MAX).contains(&text.len()) => Ok(text),
        Some(text) if !text.is_empty() => {
            let write = format!("at most {BYTES_MAX} bytes");
            Err(value.senseless("too long for a check", write))
        }
        _ => Err(value.malformed(wanted, write)),
    }
}

/// Pairs of digits, with or without spaces between pairs.
fn hex(digits: &str, value: &Value<'_>) -> Result<Vec<u8>, Reported> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| *byte != b' ').collect();
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => {
            let digit = |of: &u8| char::from(*of).to_digit(16);
            u8::try_from(digit(high)? * 16 + digit(low)?).ok()
        }
        _ => None,
    });
    match pairs.collect::<Option<Vec<u8>>>() {
        Some(bytes) if !bytes.is_empty() => Ok(bytes),
        _ => Err(value.senseless(
            "no bytes in hexadecimal",
            "two digits a byte, e.g. \"hex:0d0a\"",
        )),
    }
}
