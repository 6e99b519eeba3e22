//! The token for the actions of the dashboard.

use std::fmt;
use std::hint::black_box;

/// The fewest bytes: more than anyone guesses over a network.
const BYTES_MIN: usize = 32;

/// A secret text. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(Vec<u8>);

impl Token {
    /// The token of a file: printable ASCII, without the end of the line.
    ///
    /// # Errors
    /// What the file has instead, in words behind its name.
    pub(crate) fn new(file: &[u8]) -> Result<Self, String> {
        let text = file.trim_ascii_end();
        if !text.iter().all(u8::is_ascii_graphic) {
            return Err("has more than one line of printable ASCII without spaces".to_owned());
        }
        match text.len() {
            length if length < BYTES_MIN => Err(format!(
                "has {length} bytes, and a token has at least {BYTES_MIN}"
            )),
            _ => Ok(Self(text.to_vec())),
        }
    }

    /// Whether a header `Authorization` has the token. The time tells nothing but the length.
    pub(super) fn is_in(&self, authorization: &[u8]) -> bool {
        let (scheme, given) = authorization.split_at_checked(7).unwrap_or_default();
        if !scheme.eq_ignore_ascii_case(b"Bearer ") || given.len() != self.0.len() {
            return false;
        }
        let pairs = self.0.iter().zip(given);
        pairs.fold(0, |difference, (a, b)| black_box(difference | (a ^ b))) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::Token;

    #[test]
    fn a_token_is_long_and_one_line() {
        let long = "0123456789abcdef0123456789abcdef";
        let token = Token::new(format!("{long}\n").as_bytes()).unwrap();
        for (header, is_right) in [
            (format!("Bearer {long}"), true),
            (format!("bearer {long}"), true),
            (format!("Basic {long}"), false),
            (format!("Bearer {long}0"), false),
            (format!("Bearer 1{}", &long[1..]), false),
            (format!("Bearer {}", &long[1..]), false),
            ("Bearer ".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(token.is_in(header.as_bytes()), is_right, "{header}");
        }
        assert!(!format!("{token:?}").contains("0123"));
        for (file, part) in [
            (&long[1..], "has 31 bytes"),
            ("", "has 0 bytes"),
            (&format!("{long} {long}"), "one line"),
            (&format!("{long}\n{long}"), "one line"),
        ] {
            let error = Token::new(file.as_bytes()).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
