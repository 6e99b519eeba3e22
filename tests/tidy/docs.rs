//! Checks of the documents: the files that they name exist, and ARCHITECTURE.md stays short. The
//! documents that comments name exist, too.

use std::fs;
use std::path::Path;

use crate::Errors;
use crate::source::Source;

const ARCHITECTURE_LINES_MAX: usize = 200;

/// Adds the errors of one document.
pub(crate) fn check(text: &str, errors: &mut Errors) {
    if errors.path == "ARCHITECTURE.md" && text.lines().count() > ARCHITECTURE_LINES_MAX {
        let what = format!("more than {ARCHITECTURE_LINES_MAX} lines: move decisions to docs/");
        errors.add(1, &what);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join(errors.path).parent().unwrap().to_owned();
    for (number, line) in (1..).zip(text.lines()) {
        for link in links(line) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let linked = match file.is_empty() {
                true => Some(text.to_owned()),
                false => fs::read_to_string(folder.join(file)).ok(),
            };
            let exists = match linked {
                Some(text) => anchor.is_empty() || has_anchor(&text, anchor),
                // A folder, or not text.
                None => anchor.is_empty() && folder.join(file).exists(),
            };
            if !exists {
                let what = format!("a link to `{link}`, which does not exist");
                errors.add(number, &what);
            }
        }
    }
    named_files(text.lines(), ".rs", errors);
}

/// Adds the documents that comments name and that do not exist.
pub(crate) fn check_comments(source: &Source, errors: &mut Errors) {
    let comments = source.comments.iter().map(String::as_str);
    named_files(comments, ".md", errors);
}

fn named_files<'a>(lines: impl Iterator<Item = &'a str>, ending: &str, errors: &mut Errors) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join(errors.path).parent().unwrap().to_owned();
    for (number, line) in (1..).zip(lines) {
        for file in paths(line).filter(|path| path.ends_with(ending)) {
            if !root.join(file).exists() && !folder.join(file).exists() {
                errors.add(number, &format!("`{file}`, which does not exist"));
            }
        }
    }
}

/// The targets of a line's links into this repository.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let after = line.split("](").skip(1);
    let targets = after.filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://"))
}

/// Whether a document has the heading that an anchor names, as GitHub makes anchors.
fn has_anchor(text: &str, anchor: &str) -> bool {
    let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
    headings
        .map(|heading| heading.trim_start_matches('#').trim().to_lowercase())
        .any(|heading| {
            let kept = heading
                .chars()
                .filter(|&c| c.is_alphanumeric() || "-_ ".contains(c));
            kept.map(|c| if c == ' ' { '-' } else { c })
                .eq(anchor.chars())
        })
}

/// The relative paths that a line names. A name without a folder is no path.
fn paths(line: &str) -> impl Iterator<Item = &str> {
    let words = line.split(|c: char| !(c.is_alphanumeric() || "/._-".contains(c)));
    words
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| word.contains('/') && !word.starts_with('/'))
}
