//! A temporary folder for a test, and the built binary running in it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use corelane_bench::outcome::Outcome;

/// Removed at the end of the test.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

/// The result of the program.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Folder {
    /// `name` is the name of the test.
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("corelane-show-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    pub(crate) fn write(&self, file: &str, outcome: &Outcome) {
        fs::write(self.path(file), outcome.json()).unwrap();
    }

    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap()
    }

    /// Runs the program in this folder.
    pub(crate) fn run(&self, arguments: &[&str]) -> Answer {
        let output = Command::new(Path::new(env!("CARGO_BIN_EXE_corelane-bench")))
            .args(arguments)
            .current_dir(&self.0)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Answer {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Prints that a test was skipped, so that it does not look passed.
pub(crate) fn skipped(what: &str) {
    // An error of standard error cannot be reported anywhere.
    _ = writeln!(std::io::stderr(), "skipped: {what}");
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A leftover stays in the system's temporary folder.
        _ = fs::remove_dir_all(&self.0);
    }
}
