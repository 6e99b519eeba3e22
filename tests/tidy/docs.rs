//! Checks of the documents: files that they name exist, and the map stays a map.

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
        for target in links(line) {
            if !folder.join(target).exists() {
                errors.add(
                    number,
                    &format!("a link to `{target}`, which does not exist"),
                );
            }
        }
        for file in source_files(line) {
            if !root.join(file).exists() && !folder.join(file).exists() {
                errors.add(number, &format!("`{file}`, which does not exist"));
            }
        }
    }
}

/// The files that a line links to, without their anchors.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| {
        let target = rest.split(')').next()?;
        target.split('#').next()
    });
    targets.filter(|target| !target.is_empty() && !target.contains("://"))
}

/// The Rust files that a line names by a path. A name without a folder is no path.
fn source_files(line: &str) -> impl Iterator<Item = &str> {
    let words = line.split(|c: char| !(c.is_alphanumeric() || "/._-".contains(c)));
    words
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| word.ends_with(".rs") && word.contains('/') && !word.starts_with('/'))
}
