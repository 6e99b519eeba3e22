//! Rotation by size.

use std::path::PathBuf;
use std::{env, fs, process};

use super::super::batch::Batch;
use super::super::file::AccessFile;
use super::table;
use crate::config::AccessTarget;

/// A directory, removed after the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("corelane-access-{name}-{}", process::id()));
        _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

/// Writes these lines as the writing thread does.
fn write_all(file: &mut AccessFile, lines: &[&str]) -> Vec<bool> {
    let mut batch = Batch::new();
    for line in lines {
        batch.add(|out| out.extend_from_slice(line.as_bytes()));
    }
    let (mut at, mut rotations) = (0, Vec::new());
    while at < batch.len() {
        if file.is_full(&batch, at) {
            rotations.push(file.rotate().is_ok());
        }
        at += file.write(&batch, at).unwrap();
    }
    assert_eq!(batch.lines_behind(at), 0);
    rotations
}

fn rotated(scratch: &Scratch, keep: u32) -> (PathBuf, AccessFile) {
    let path = scratch.0.join("a");
    let mut table = table(&format!("rotate = '64KiB'\nkeep = {keep}"));
    table.target = Some(AccessTarget::File(path.clone()));
    table.rotate = Some(10);
    let file = AccessFile::open(&path, &table).unwrap();
    (path, file)
}

#[test]
fn a_file_ends_before_the_line_that_would_exceed_its_size() {
    let scratch = Scratch::new("sizes");
    let (path, mut file) = rotated(&scratch, 2);
    let read = |name: &str| fs::read_to_string(scratch.0.join(name)).unwrap_or_default();
    assert_eq!(write_all(&mut file, &["1234\n", "6789\n"]), [false; 0]);
    assert_eq!(
        write_all(&mut file, &["b\n", "longer than a file\n", "c\n", "d\n"]),
        [true; 3]
    );
    assert_eq!(
        [read("a"), read("a.1"), read("a.2")],
        ["c\nd\n", "longer than a file\n", "b\n"]
    );
    assert!(!scratch.0.join("a.3").exists(), "two are kept");
    // Opened again, with the lines in the file.
    drop(file);
    let (_, mut file) = rotated(&scratch, 2);
    assert_eq!(write_all(&mut file, &["123456\n"]), [true]);
    assert_eq!([read("a"), read("a.1")], ["123456\n", "c\nd\n"]);
    // Renamed by someone else: a rotation leaves the files alone.
    fs::rename(&path, scratch.0.join("other")).unwrap();
    assert_eq!(write_all(&mut file, &["890123\n"]), [true]);
    assert_eq!(
        [read("a"), read("a.1"), read("other")],
        ["890123\n", "c\nd\n", "123456\n"]
    );
}

#[test]
fn a_rotation_that_fails_loses_no_line() {
    let scratch = Scratch::new("fails");
    let (_, mut file) = rotated(&scratch, 1);
    fs::create_dir(scratch.0.join("a.1")).unwrap();
    fs::write(scratch.0.join("a.1/in"), "").unwrap();
    let lines = ["123456789\n", "b\n", "c\n"];
    assert_eq!(write_all(&mut file, &lines), [false; 2]);
    let (is_first, path, _) = file.rotate().unwrap_err();
    assert!(!is_first && path == scratch.0.join("a.1"), "{path:?}");
    assert_eq!(
        fs::read_to_string(scratch.0.join("a")).unwrap(),
        lines.concat()
    );
    fs::remove_dir_all(scratch.0.join("a.1")).unwrap();
    assert_eq!(write_all(&mut file, &["d\n"]), [true]);
    assert_eq!(fs::read_to_string(scratch.0.join("a")).unwrap(), "d\n");
}

/// The names and texts in the folder.
fn files(scratch: &Scratch) -> Vec<(String, String)> {
    let entries = fs::read_dir(&scratch.0).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        (entry.file_name().into_string().unwrap(), text)
    });
    let mut files: Vec<_> = entries.collect();
    files.sort();
    files
}

#[test]
fn retries_of_a_rotation_cost_no_earlier_file() {
    let scratch = Scratch::new("history");
    let (_, mut file) = rotated(&scratch, 3);
    write_all(&mut file, &["live\n"]);
    for (name, text) in [("a.2", "two\n"), ("a.3", "three\n")] {
        fs::write(scratch.0.join(name), text).unwrap();
    }
    // A folder cannot replace a file, nor a file a folder.
    fs::create_dir_all(scratch.0.join("a.1/in")).unwrap();
    fs::create_dir_all(scratch.0.join("a.4/in")).unwrap();
    let before = files(&scratch);
    for _ in 0..5 {
        file.rotate().unwrap_err();
        assert_eq!(files(&scratch), before);
    }
    // The file itself cannot be renamed.
    fs::remove_dir_all(scratch.0.join("a.1")).unwrap();
    fs::remove_dir_all(scratch.0.join("a.4")).unwrap();
    fs::write(scratch.0.join("a.1"), "one\n").unwrap();
    fs::create_dir_all(scratch.0.join("a.rotating/in")).unwrap();
    fs::create_dir_all(scratch.0.join("a.4/in")).unwrap();
    let before = files(&scratch);
    for _ in 0..5 {
        file.rotate().unwrap_err();
        assert_eq!(files(&scratch), before);
    }
}

#[test]
fn a_rotation_finishes_the_one_before_and_removes_the_surplus() {
    let scratch = Scratch::new("surplus");
    for number in 1..=5 {
        fs::write(scratch.0.join(format!("a.{number}")), number.to_string()).unwrap();
    }
    fs::write(scratch.0.join("a.rotating"), "cut short\n").unwrap();
    let (_, mut file) = rotated(&scratch, 3);
    write_all(&mut file, &["live\n"]);
    file.rotate().unwrap();
    let expected = [
        ("a", ""),
        ("a.1", "live\n"),
        ("a.2", "cut short\n"),
        ("a.3", "1"),
    ];
    let expected = expected.map(|(name, text)| (name.to_owned(), text.to_owned()));
    assert_eq!(files(&scratch), expected);
}
