//! The forms of a line: JSON, logfmt, and templates. Pure: values in, bytes out.
//!
//! No content of a value ends a line or begins a field.

use std::io::Write;
use std::net::SocketAddr;

use super::super::log_text::hidden;
use super::line::{Line, Value};
use crate::config::{AccessField, AccessFormat, TemplatePart};
use crate::runtime::PeerAddress;

/// A field with the text in front of its value.
#[derive(Debug)]
struct Key {
    field: AccessField,
    /// In front of a number.
    bare: String,
    /// In front of a text of JSON, with the quote.
    quoted: String,
}

/// Writes lines in a form. Keeps the text of the present second.
#[derive(Debug)]
pub(super) struct Formatter {
    format: AccessFormat,
    keys: Vec<Key>,
    clock: Second,
    /// A value before its characters are escaped.
    text: Vec<u8>,
}

impl Formatter {
    pub(super) fn new(format: AccessFormat) -> Self {
        let key = |(name, field): &(&str, AccessField)| Key {
            field: *field,
            bare: match format {
                AccessFormat::Json => format!(",\"{name}\":"),
                AccessFormat::Logfmt | AccessFormat::Template(_) => format!("{name}="),
            },
            quoted: format!(",\"{name}\":\""),
        };
        let keys = AccessField::all().iter().map(key).collect();
        Self {
            format,
            keys,
            clock: Second::default(),
            text: Vec::new(),
        }
    }

    pub(super) fn is_template(&self) -> bool {
        matches!(self.format, AccessFormat::Template(_))
    }

    /// Adds the line, without the end of the line.
    pub(super) fn write(&mut self, line: &Line<'_>, out: &mut Vec<u8>) {
        let Self {
            format,
            keys,
            clock,
            text,
        } = self;
        match format {
            AccessFormat::Json => json(line, keys, clock, text, out),
            AccessFormat::Logfmt => logfmt(line, keys, clock, text, out),
            AccessFormat::Template(template) => {
                for part in template.parts() {
                    match part {
                        TemplatePart::Text(text) => out.extend_from_slice(text.as_bytes()),
                        TemplatePart::Field(field) => match line.value(*field) {
                            Some(value) => escaped(value, Escape::Plain, clock, text, out),
                            None => out.push(b'-'),
                        },
                    }
                }
            }
        }
    }

    /// Calls `each` with the name and the escaped value of every field of the line.
    pub(super) fn fields(&mut self, line: &Line<'_>, mut each: impl FnMut(&str, &[u8])) {
        let mut escaped = Vec::new();
        for (name, field) in AccessField::all() {
            if let Some(value) = line.value(*field) {
                escaped.clear();
                let value = shown(value, &mut self.clock, &mut self.text);
                escape(value, Escape::Plain, &mut escaped);
                each(name, &escaped);
            }
        }
    }
}

fn json(line: &Line<'_>, keys: &[Key], clock: &mut Second, text: &mut Vec<u8>, out: &mut Vec<u8>) {
    let begin = out.len();
    for key in keys {
        let Some(value) = line.value(key.field) else {
            continue;
        };
        if let Value::Number(number) = value {
            out.extend_from_slice(key.bare.as_bytes());
            digits(number, out);
            continue;
        }
        out.extend_from_slice(key.quoted.as_bytes());
        escaped(value, Escape::Quoted, clock, text, out);
        out.push(b'"');
    }
    // In the place of the first comma: every line has a time.
    out[begin] = b'{';
    out.push(b'}');
}

/// Adds a value with escapes. The common kinds need none, and no second buffer.
fn escaped(
    value: Value<'_>,
    how: Escape,
    clock: &mut Second,
    text: &mut Vec<u8>,
    out: &mut Vec<u8>,
) {
    match value {
        Value::Word(word) => out.extend_from_slice(word.as_bytes()),
        Value::Number(number) => digits(number, out),
        Value::Time(time_us) => clock.write(time_us, out),
        Value::Peer(PeerAddress::Inet(at)) | Value::Address(at) => address(at, out),
        Value::Text(_) | Value::Peer(_) | Value::Error(_) => {
            escape(shown(value, clock, text), how, out);
        }
    }
}

fn logfmt(
    line: &Line<'_>,
    keys: &[Key],
    clock: &mut Second,
    text: &mut Vec<u8>,
    out: &mut Vec<u8>,
) {
    let mut is_first = true;
    for key in keys {
        let Some(value) = line.value(key.field) else {
            continue;
        };
        if !is_first {
            out.push(b' ');
        }
        is_first = false;
        out.extend_from_slice(key.bare.as_bytes());
        if let Value::Number(number) = value {
            digits(number, out);
            continue;
        }
        let value = shown(value, clock, text);
        if is_bare(value) {
            out.extend_from_slice(value.as_bytes());
        } else {
            out.push(b'"');
            escape(value, Escape::Quoted, out);
            out.push(b'"');
        }
    }
}

/// Whether logfmt needs no quotes around a value.
fn is_bare(value: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'=' | b'\\');
    !value.is_empty() && value.bytes().all(is_plain)
}

/// The text of a value, without escapes. `buffer` is for texts made here.
fn shown<'t>(value: Value<'t>, clock: &mut Second, buffer: &'t mut Vec<u8>) -> &'t str {
    buffer.clear();
    match value {
        Value::Text(text) | Value::Word(text) => return text,
        Value::Time(time_us) => clock.write(time_us, buffer),
        Value::Number(number) => digits(number, buffer),
        Value::Peer(PeerAddress::Inet(at)) => address(at, buffer),
        Value::Address(at) => address(at, buffer),
        // Writing to memory does not fail.
        Value::Peer(peer) => _ = write!(buffer, "{peer}"),
        Value::Error(error) => _ = write!(buffer, "{error}"),
    }
    str::from_utf8(buffer).unwrap_or_default()
}

/// Adds an address. The standard library formats IPv4 for padding first, in a second buffer.
fn address(at: SocketAddr, out: &mut Vec<u8>) {
    let SocketAddr::V4(v4) = at else {
        _ = write!(out, "{at}");
        return;
    };
    for (place, octet) in v4.ip().octets().into_iter().enumerate() {
        if place > 0 {
            out.push(b'.');
        }
        digits(octet.into(), out);
    }
    out.push(b':');
    digits(v4.port().into(), out);
}

/// Which characters have a meaning where a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    /// Between quotes.
    Quoted,
    /// Alone.
    Plain,
}

/// Adds a text. Control characters and changes of the direction of text are escaped as in JSON.
fn escape(text: &str, how: Escape, out: &mut Vec<u8>) {
    let is_plain = |byte: u8| {
        matches!(byte, b' '..=b'~') && (how == Escape::Plain || !matches!(byte, b'"' | b'\\'))
    };
    if text.bytes().all(is_plain) {
        return out.extend_from_slice(text.as_bytes());
    }
    for c in text.chars() {
        let mut bytes = [0; 4];
        match c {
            '"' | '\\' if how == Escape::Quoted => out.extend([b'\\', c as u8]),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            // None of these is beyond 16 bits.
            _ if hidden(c) => _ = write!(out, "\\u{:04x}", u32::from(c)),
            _ => out.extend_from_slice(c.encode_utf8(&mut bytes).as_bytes()),
        }
    }
}

/// Adds a text without quotes.
pub(super) fn plain(text: &str, out: &mut Vec<u8>) {
    escape(text, Escape::Plain, out);
}

/// Adds a number in decimal digits.
pub(super) fn digits(mut number: u64, out: &mut Vec<u8>) {
    // 2^64 has 20 digits.
    let mut buffer = [b'0'; 20];
    let mut begin = buffer.len();
    loop {
        begin -= 1;
        buffer[begin] += u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        if number == 0 {
            return out.extend_from_slice(&buffer[begin..]);
        }
    }
}

/// The text of a second, since most lines of a batch have the same: RFC 3339 in UTC.
#[derive(Debug, Default)]
struct Second {
    second: u64,
    /// `2026-11-30T03:04:05.`
    text: Vec<u8>,
}

impl Second {
    fn write(&mut self, time_us: u64, out: &mut Vec<u8>) {
        let second = time_us / 1_000_000;
        if second != self.second || self.text.is_empty() {
            let of = Civil::new(second);
            let [hour, minute, of_minute] = of.time;
            self.second = second;
            self.text.clear();
            _ = write!(
                self.text,
                "{:04}-{:02}-{:02}T{hour:02}:{minute:02}:{of_minute:02}.",
                of.year, of.month, of.day
            );
        }
        out.extend_from_slice(&self.text);
        let micros = time_us % 1_000_000;
        // A seventh digit in front keeps the zeros.
        let begin = out.len();
        digits(1_000_000 + micros, out);
        out.remove(begin);
        out.push(b'Z');
    }
}

/// A second of the calendar, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Civil {
    year: u64,
    /// 1 to 12, and 1 to 31.
    pub(super) month: u64,
    pub(super) day: u64,
    /// Hour, minute, second.
    pub(super) time: [u64; 3],
}

impl Civil {
    /// The date of a number of seconds since 1970 (H. Hinnant, "chrono-compatible low-level date
    /// algorithms"): years begin in March, so that the leap day is the last.
    pub(super) fn new(second: u64) -> Self {
        let (days, of_day) = (second / 86_400 + 719_468, second % 86_400);
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        Self {
            year: year + era * 400 + u64::from(month <= 2),
            month,
            day,
            time: [of_day / 3600, of_day / 60 % 60, of_day % 60],
        }
    }
}
