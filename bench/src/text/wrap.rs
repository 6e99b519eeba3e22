//! Line wrapping: breaks between words, and in a row of figures between the figures. Pure.

/// The width of a row's name.
pub(crate) const NAME_COLUMNS: usize = 15;
/// The separator between the figures of a row.
const GAP: &str = "  ";
/// The indentation of a sentence's later lines.
const INDENT: usize = 2;

/// The text wrapped to a width. Only a longer word exceeds the width.
pub(crate) fn wrapped(text: &str, columns: usize) -> String {
    let mut all = String::new();
    for line in text.lines() {
        match line.chars().count() <= columns {
            true => all.push_str(line),
            false => wrap(line, columns, &mut all),
        }
        all.push('\n');
    }
    all
}

fn wrap(line: &str, columns: usize, to: &mut String) {
    let (name, rest) = split(line);
    let indent = match name.is_empty() {
        true => INDENT,
        false => name.chars().count(),
    };
    to.push_str(name);
    let mut column = name.chars().count();
    // The first word of a line has no gap before it.
    let mut fresh = true;
    let mut put = |gap: &str, word: &str| {
        let length = word.chars().count();
        if !fresh && column + gap.len() + length > columns {
            to.push('\n');
            to.push_str(&" ".repeat(indent));
            column = indent;
            fresh = true;
        }
        if !fresh {
            to.push_str(gap);
            column += gap.len();
        }
        to.push_str(word);
        column += length;
        fresh = false;
    };
    for part in rest.split(GAP).filter(|part| !part.is_empty()) {
        let part = part.trim_start();
        match part.chars().count() <= columns.saturating_sub(indent) {
            true => put(GAP, part),
            false => {
                for (place, word) in words(part).into_iter().enumerate() {
                    put(if place == 0 { GAP } else { " " }, word);
                }
            }
        }
    }
}

/// The words of a text. A number and the following word, usually its unit, count as one word.
fn words(text: &str) -> Vec<&str> {
    let is_number = |word: &str| word.bytes().all(|byte| b"0123456789.,".contains(&byte));
    let mut words = Vec::new();
    let mut begin = 0;
    for (end, _) in text.match_indices(' ') {
        if !is_number(&text[begin..end]) {
            words.push(&text[begin..end]);
            begin = end + 1;
        }
    }
    words.push(&text[begin..]);
    words
}

/// Splits a row into its padded name and the rest; a sentence has no name.
fn split(line: &str) -> (&str, &str) {
    let end = line.char_indices().nth(NAME_COLUMNS).map(|(at, _)| at);
    let parts = end.map(|end| line.split_at(end));
    match parts {
        Some((name, rest)) if name.ends_with(' ') && !rest.starts_with(' ') && is_row(name) => {
            (name, rest)
        }
        _ => ("", line),
    }
}

/// Whether the name is padded with blanks, unlike the words of a sentence.
fn is_row(name: &str) -> bool {
    name.trim().is_empty() || name.ends_with(GAP)
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn sentences_break_between_words() {
        let long = "Note: a closed loop.\n";
        assert_eq!(wrapped(long, 19), "Note: a closed\n  loop.\n");
        let text = "Note: one two three four five six.\nshort\n";
        let lines = "Note: one two three\n  four five six.\nshort\n";
        assert_eq!(wrapped(text, 20), lines);
        assert_eq!(wrapped(text, 100), text);
    }

    #[test]
    fn rows_break_between_their_figures() {
        let row = "latency        p50 12.3 µs  p90 45.6 µs  p99 78.9 µs\n";
        let lines =
            "latency        p50 12.3 µs\n               p90 45.6 µs\n               p99 78.9 µs\n";
        assert_eq!(wrapped(row, 30), lines);
        let row = "server CPU     pid 7: 1.23 s, 4.56 µs a message\n";
        let lines = "server CPU     pid 7: 1.23 s,\n               4.56 µs a message\n";
        assert_eq!(wrapped(row, 36), lines);
    }

    #[test]
    fn a_word_that_is_too_long_has_its_own_line() {
        let lines = "a\n  aaaaaaaaaaaaaaaaaaaa\n  b\n";
        assert_eq!(wrapped("a aaaaaaaaaaaaaaaaaaaa b", 10), lines);
    }
}
