//! Texts that nobody would write: `Config::parse` answers every one, and never panics.

use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

use crate::config::{Config, DEFAULT};

/// Pieces that configurations are made of, and a few that they are not.
const PIECES: &[&str] = &[
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ",",
    "\n",
    "\r\n",
    "\"",
    "'",
    "'''",
    "#",
    ".",
    "-",
    "\\u",
    "0",
    "1",
    "0x",
    "1e9",
    "nan",
    "99999999999999999999",
    "20us",
    "\"20us\"",
    "auto",
    "'off'",
    "'10%'",
    "'64KiB'",
    "timeouts = { connect = '1h', lifetime_jitter = '1%' }\n",
    "socket.keepalive.idle = '1500ms'\n",
    "source = ['::1']\n",
    "true",
    "1979-05-27T07:32:00Z",
    "listener",
    "bind",
    "upstream",
    "[[listener]]\n",
    "[[upstream]]\n",
    "[log]\n",
    "name = 'a'\n",
    "service = 'proxy'\n",
    "upstream = 'a'\n",
    "bind = '[::1]:1'\n",
    "endpoints = ['[::1]:1']\n",
    "[]",
    "\0",
    "é",
];

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        9 => prop::sample::select(PIECES).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ]
}

/// The default with some of its text replaced.
fn mutated() -> impl Strategy<Value = String> {
    let edit = (any::<prop::sample::Index>(), 0..40_usize, piece());
    (Just(DEFAULT), prop::collection::vec(edit, 1..6)).prop_map(|(text, edits)| {
        let mut chars: Vec<char> = text.chars().collect();
        for (place, length, piece) in edits {
            let begin = place.index(chars.len());
            let end = (begin + length).min(chars.len());
            chars.splice(begin..end, piece.chars());
        }
        chars.into_iter().collect()
    })
}

/// What holds for every text: errors are in order, each on a line of the file and on one line.
fn check(text: &str) {
    let lines = text.matches('\n').count() + 1;
    let errors = match Config::parse(text, "t.toml") {
        Ok(config) => {
            for warning in config.warnings() {
                let shown = warning.to_string();
                assert!(!shown.contains(char::is_control), "{shown:?}");
            }
            let keys = [
                "runtime.lanes",
                "listener[0].bind[0]",
                "upstream[9].source[1]",
            ];
            config.refuse(keys.map(|key| (key.to_owned(), "no".to_owned())))
        }
        Err(errors) => errors,
    };
    let mut last = 1;
    for error in errors.iter() {
        assert!((last..=lines).contains(&error.line()), "{error}");
        last = error.line();
        let shown = error.to_string();
        assert!(!shown.contains(char::is_control), "{shown:?}");
        assert!(shown.chars().count() < 4000, "{shown}");
    }
}

proptest! {
    #[test]
    fn any_text_has_an_answer(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn any_pieces_have_an_answer(pieces in prop::collection::vec(piece(), 0..60)) {
        check(&pieces.concat());
    }

    #[test]
    fn a_mutated_default_has_an_answer(text in mutated()) {
        check(&text);
    }
}

#[test]
fn deep_and_long_texts_have_an_answer() {
    let deep = 100_000;
    check(&format!("a = {}", "[".repeat(deep)));
    check(&format!("a = {}", "{a = ".repeat(deep)));
    check(&format!("[{}a]", "a.".repeat(deep)));
    check(&"[[listener]]\n".repeat(1000));
    check(&format!("log.level = '{}'", "x".repeat(1_000_000)));
}
