//! `corelane diff`: its lines and its exit codes.

use std::fs;

use super::{Answer, DEFAULT, Directory, ok, refused};

/// The directory with the default as `old.toml` and an edit of the default as `new.toml`.
fn with_edit(from: &str, to: &str) -> Directory {
    assert!(DEFAULT.contains(from), "{from}");
    let directory = Directory::with("old.toml", DEFAULT);
    fs::write(directory.0.join("new.toml"), DEFAULT.replacen(from, to, 1)).unwrap();
    directory
}

fn differs(stdout: &str) -> Answer {
    Answer {
        code: Some(1),
        ..ok(stdout)
    }
}

#[test]
fn the_same_meaning_is_exit_code_0() {
    let directory = with_edit("#timeouts.idle = \"1h\"", "timeouts.idle = \"60m\"");
    let diff = directory.run(&["diff", "old.toml", "new.toml"]);
    assert_eq!(diff, ok("no change\n"));
}

#[test]
fn differences_are_exit_code_1() {
    let directory = with_edit("127.0.0.1:7007\"\n", "127.0.0.1:7017\"\n");
    assert_eq!(
        directory.run(&["diff", "old.toml", "new.toml"]),
        differs(
            "listener \"echo\": opens 127.0.0.1:7017\n\
             listener \"echo\": closes 127.0.0.1:7007\n"
        )
    );
    let json = directory.run(&["diff", "--json", "new.toml", "old.toml"]);
    assert_eq!(json.code, Some(1));
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["listeners"][0]["opens"][0], "127.0.0.1:7007");
}

#[test]
fn the_mistakes_of_both_files_are_exit_code_2() {
    let directory = with_edit("backlog = 4096", "backlog = 0");
    fs::write(directory.0.join("old.toml"), "listener = 1").unwrap();
    let diff = directory.run(&["diff", "old.toml", "new.toml"]);
    let lines: Vec<&str> = diff.stderr.lines().collect();
    assert_eq!((diff.code, diff.stdout.as_str()), (Some(2), ""));
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].starts_with("old.toml:1: listener = 1: "),
        "{lines:?}"
    );
    assert!(
        lines[1].contains(": listener[0].backlog = 0: out of range"),
        "{lines:?}"
    );

    let missing = directory.run(&["diff", "new.toml", "none.toml"]);
    assert!(missing.stderr.ends_with(
        "corelane: the configuration none.toml cannot be read: there is no such file; `corelane \
         config default > none.toml` writes one\n"
    ));
    assert_eq!(refused(&missing.stderr), missing);
}
