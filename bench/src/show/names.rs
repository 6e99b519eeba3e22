//! Names for the files of several results. Pure.

use std::path::{Path, PathBuf};

/// A name for each file: the file name without folder and extension. If two would be equal, the
/// path, or the path with the place in the list.
pub(super) fn names(paths: &[PathBuf]) -> Vec<String> {
    let stem = |path: &Path| path.file_stem().map(|stem| stem.display().to_string());
    let full = |path: &Path| path.display().to_string();
    let twice =
        |name: &String, all: &[String]| all.iter().filter(|other| *other == name).count() > 1;
    let stems: Vec<String> = paths
        .iter()
        .map(|path| stem(path).unwrap_or_else(|| full(path)))
        .collect();
    let fulls: Vec<String> = paths.iter().map(|path| full(path)).collect();
    let name = |(place, (stem, full)): (usize, (&String, &String))| match (
        twice(stem, &stems),
        twice(full, &fulls),
    ) {
        (false, _) => stem.clone(),
        (true, false) => full.clone(),
        (true, true) => format!("{full} ({})", place + 1),
    };
    stems.iter().zip(&fulls).enumerate().map(name).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::names;

    #[test]
    fn every_file_has_a_distinct_name() {
        for (paths, expected) in [
            (&["x/a.json", "b.json"][..], &["a", "b"][..]),
            (
                &["x/a.json", "y/a.json", "c"],
                &["x/a.json", "y/a.json", "c"],
            ),
            (&["a.json", "a.json"], &["a.json (1)", "a.json (2)"]),
        ] {
            let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
            assert_eq!(names(&paths), expected);
        }
    }
}
