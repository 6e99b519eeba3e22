//! A Rust file split for the rules of `tests/tidy.rs`: code and comments, both without strings.
//!
//! The lexer handles this repository's text, not all of Rust.

/// One Rust file. `code` and `comments` keep the file's lines, with everything else blanked out.
pub(crate) struct Source<'a> {
    pub(crate) path: &'a str,
    pub(crate) text: &'a str,
    pub(crate) code: Vec<String>,
    pub(crate) comments: Vec<String>,
    /// Number of lines before the inline test module.
    pub(crate) tests_at: usize,
    /// Whether the file belongs to a test module in several files.
    pub(crate) in_tests: bool,
}

impl<'a> Source<'a> {
    pub(crate) fn new(path: &'a str, text: &'a str) -> Self {
        let (code, comments) = split(text);
        let lines = |text: String| text.lines().map(String::from).collect::<Vec<_>>();
        let (code, comments) = (lines(code), lines(comments));
        let tests_at = (0..code.len()).find(|at| opens_tests(&code[*at..]));
        let in_tests =
            path.starts_with("src/") && (path.contains("/tests/") || path.ends_with("/tests.rs"));
        Source {
            path,
            text,
            tests_at: tests_at.unwrap_or(code.len()),
            in_tests,
            code,
            comments,
        }
    }

    /// The lines of code, numbered from 1, without those of the test module.
    pub(crate) fn product(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = if self.in_tests { 0 } else { self.tests_at };
        (1..).zip(self.code[..lines].iter().map(String::as_str))
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.code.iter().map(String::as_str))
    }

    pub(crate) fn may(&self, list: &[&str]) -> bool {
        list.iter().any(|prefix| self.path.starts_with(prefix))
    }
}

fn opens_tests(lines: &[String]) -> bool {
    let gated = ["#[cfg(test)]", "#[cfg(all(test"]
        .iter()
        .any(|cfg| lines[0].starts_with(cfg));
    let after = lines
        .iter()
        .skip(1)
        .find(|line| !line.starts_with(['#', ' ', ')']));
    gated && after.is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'))
}

/// The first names of the paths that follow `crate::`: a single name, or the names of a `{}` group.
pub(crate) fn imported(rest: &str) -> Vec<&str> {
    if !rest.starts_with('{') {
        return idents(rest).take(1).collect();
    }
    let mut depth = 0;
    let mut start = 1;
    let mut found = Vec::new();
    for (at, c) in rest.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && c == ',') {
            found.extend(idents(&rest[start..at]).next());
            start = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    found
}

pub(crate) fn idents(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|ident| !ident.is_empty())
}

/// Splits Rust text into code and comments of the same shape; strings are in neither.
fn split(text: &str) -> (String, String) {
    let (mut code, mut comments) = (String::new(), String::new());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after_ident = code.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let (length, is_code, is_comment) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), false, true)
        } else if rest.starts_with("/*") {
            (block_comment(rest), false, true)
        } else if let Some(length) = raw_string(rest).filter(|_| !after_ident) {
            (length, false, false)
        } else if first == '"' {
            (quoted(rest, '"'), false, false)
        } else if first == '\'' && is_char(rest) {
            (quoted(rest, '\''), false, false)
        } else {
            (first.len_utf8(), true, false)
        };
        for c in rest[..length].chars() {
            code.push(if is_code || c == '\n' { c } else { ' ' });
            comments.push(if is_comment || c == '\n' { c } else { ' ' });
        }
        rest = &rest[length..];
    }
    (code, comments)
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    for at in 0..rest.len() {
        let pair = &rest.as_bytes()[..at + 1];
        // A `/` that ends a comment opens no comment in this repository's text.
        match pair {
            [.., b'/', b'*'] => depth += 1,
            [.., b'*', b'/'] => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            return at + 1;
        }
    }
    rest.len()
}

fn raw_string(rest: &str) -> Option<usize> {
    let body = rest.trim_start_matches(['b', 'c']).strip_prefix('r')?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    let inner = body[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = inner
        .find(&close)
        .map_or(inner.len(), |at| at + close.len());
    Some(rest.len() - inner.len() + end)
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Whether a quote opens a character and not a lifetime.
fn is_char(rest: &str) -> bool {
    let mut inner = rest.chars().skip(1);
    inner.next() == Some('\\') || inner.next() == Some('\'')
}
