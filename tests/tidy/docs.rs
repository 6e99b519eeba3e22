//! Checks of the documents: files that they name exist, and the map stays a map.

use std::fs;
use std::path::Path;

use crate::Errors;

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
        for file in source_files(line) {
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

/// The Rust files that a line names by a path. A name without a folder is no path.
fn source_files(line: &str) -> impl Iterator<Item = &str> {
    let words = line.split(|c: char| !(c.is_alphanumeric() || "/._-".contains(c)));
    words
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| word.ends_with(".rs") && word.contains('/') && !word.starts_with('/'))
}
