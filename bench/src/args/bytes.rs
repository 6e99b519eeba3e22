//! Bytes as an argument writes them and as a report shows them. Pure, except for `@FILE`.

use std::fmt::Write;
use std::fs;
use std::sync::Arc;

/// The largest request in bytes. The client holds one copy and sends the request in pieces.
const REQUEST_MAX: usize = 16 << 20;
/// The most bytes of a request or a reply to show.
pub(crate) const SHOWN_MAX: usize = 48;

/// Bytes as quoted text with escapes. Long text is cut.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for byte in bytes.iter().take(SHOWN_MAX) {
        _ = match byte {
            0 => write!(text, "\\0"),
            // Quotes need no escape: only the backslash does.
            b'"' | b'\'' => write!(text, "{}", char::from(*byte)),
            other => write!(text, "{}", other.escape_ascii()),
        };
    }
    text.push('"');
    if bytes.len() > SHOWN_MAX {
        _ = write!(text, "... ({} bytes)", bytes.len());
    }
    text
}

const FORM: &str = "write text with \\r \\n \\t \\0 \\\\ and \\xNN, hex:0d0a, or @FILE";

/// Reads `PING\r\n`, `hex:50 49 4e 47` or `@FILE`.
pub(crate) fn payload(text: &str) -> Result<Arc<[u8]>, String> {
    let bytes = if let Some(path) = text.strip_prefix('@') {
        fs::read(path).map_err(|error| format!("{path}: {error}"))?
    } else if let Some(digits) = text.strip_prefix("hex:") {
        hex(digits)?
    } else {
        unescaped(text)?
    };
    match bytes.len() {
        0 => Err(format!("no bytes: {FORM}")),
        1..=REQUEST_MAX => Ok(bytes.into()),
        many => Err(format!("{many} bytes; at most {REQUEST_MAX}")),
    }
}

fn hex(digits: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<char> = digits.chars().filter(|c| !c.is_whitespace()).collect();
    let byte = |pair: &[char]| {
        let pair: String = pair.iter().collect();
        let two = pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
        let value = u8::from_str_radix(&pair, 16).ok().filter(|_| two);
        value.ok_or_else(|| format!("{pair:?} is not a byte: write two digits a byte, hex:0d0a"))
    };
    digits.chunks(2).map(byte).collect()
}

fn unescaped(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = &rest[at + 1..];
        let mut chars = escape.chars();
        let mut length = 1;
        bytes.push(match chars.next() {
            Some('r') => b'\r',
            Some('n') => b'\n',
            Some('t') => b'\t',
            Some('0') => 0,
            Some('\\') => b'\\',
            Some('x') => {
                length = 3;
                let digits = escape.get(1..3).unwrap_or_default();
                let byte = hex(digits).ok().and_then(|bytes| bytes.first().copied());
                byte.ok_or_else(|| format!("\\x{digits}: two hexadecimal digits follow \\x"))?
            }
            other => {
                let other = other.map(String::from).unwrap_or_default();
                return Err(format!("\\{other} is not an escape: {FORM}"));
            }
        });
        rest = &escape[length..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::{payload, shown};

    #[test]
    fn bytes_are_written_in_three_ways() {
        let path = std::env::temp_dir().join(format!("payload-{}", std::process::id()));
        std::fs::write(&path, [0, 255]).unwrap();
        let file = format!("@{}", path.display());
        for (text, expected) in [
            ("PING\\r\\n", &b"PING\r\n"[..]),
            ("a\\x00\\xfF\\t\\0\\\\é", b"a\0\xff\t\0\\\xc3\xa9"),
            ("hex:51 0000ff", b"Q\0\0\xff"),
            (&file, &[0, 255]),
        ] {
            assert_eq!(&*payload(text).unwrap(), expected, "{text}");
        }
        std::fs::remove_file(&path).unwrap();
        for (text, message) in [
            ("", "no bytes: write text with"),
            ("hex:", "no bytes: write text with"),
            ("hex:5", "\"5\" is not a byte: write two digits a byte"),
            ("hex:+5", "\"+5\" is not a byte"),
            ("\\q", "\\q is not an escape: write text with"),
            ("a\\", "\\ is not an escape"),
            ("\\x1", "\\x: two hexadecimal digits follow \\x"),
            ("@/no/such", "/no/such: "),
        ] {
            let error = payload(text).unwrap_err();
            assert!(error.starts_with(message), "{text}: {error}");
        }
    }

    #[test]
    fn bytes_are_shown_as_they_would_be_typed() {
        assert_eq!(shown(b"+OK\r\n\0\xff'\\"), r#""+OK\r\n\0\xff'\\""#);
        let many = shown(&[b'a'; 100]);
        assert!(many.ends_with("a\"... (100 bytes)"), "{many}");
    }
}
