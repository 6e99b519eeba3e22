//! The file of the access log: appended to, reopened, and rotated by size.
//!
//! A rotation renames the file to `NAME.rotating`, then `NAME.1` to `NAME.2` and on, then
//! `NAME.rotating` to `NAME.1`, and removes the oldest. If a rename fails, all before it are taken
//! back: retries cost no earlier file. Whatever fails, lines go on to the open file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::batch::Batch;
use crate::config::AccessLog;
use crate::sys;

/// Surplus files that a rotation removes, at most.
const SURPLUS_MAX: usize = 100;

/// An open file with the rules for rotation.
#[derive(Debug)]
pub(super) struct AccessFile {
    path: PathBuf,
    file: File,
    /// Bytes in the file, as long as only this process writes.
    bytes: u64,
    /// The rotation, for a regular file.
    rotation: Option<Rotation>,
}

#[derive(Debug)]
struct Rotation {
    most_bytes: u64,
    keep: u32,
    is_failing: bool,
}

impl AccessFile {
    /// Opens the file for appending, and creates it if there is none.
    pub(super) fn open(path: &Path, of: &AccessLog) -> io::Result<Self> {
        let file = sys::open_to_append(path, true)?;
        let about = file.metadata()?;
        let rotation = of
            .rotate
            .filter(|_| about.is_file())
            .map(|most_bytes| Rotation {
                most_bytes,
                keep: of.keep,
                is_failing: false,
            });
        Ok(Self {
            path: path.to_owned(),
            bytes: about.len(),
            file,
            rotation,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Opens the path again; whether another file is there. After an error the open file stays.
    pub(super) fn reopen(&mut self) -> io::Result<bool> {
        let file = sys::open_to_append(&self.path, true)?;
        self.bytes = file.metadata()?.len();
        let is_other = !sys::is_file_at(&self.file, &self.path);
        self.file = file;
        Ok(is_other)
    }

    /// Whether the next line needs a new file: a rotation is due.
    pub(super) fn is_full(&self, batch: &Batch, at: usize) -> bool {
        let is_begin = batch.begin_of_line(at) == at;
        let full = |rotation: &Rotation| {
            self.bytes > 0 && self.bytes + batch.line_from(at).len() as u64 > rotation.most_bytes
        };
        is_begin && self.rotation.as_ref().is_some_and(full)
    }

    /// Takes some bytes from a position of a batch: whole lines up to the size of a file, if the
    /// file is to be rotated.
    pub(super) fn write(&mut self, batch: &Batch, at: usize) -> io::Result<usize> {
        let bytes = match &self.rotation {
            None => batch.from(at),
            Some(rotation) => {
                let room = rotation.most_bytes.saturating_sub(self.bytes);
                let lines = batch.lines_within(at, room);
                // A line longer than a file, the rest of a line, or a failing rotation.
                if lines.is_empty() {
                    batch.line_from(at)
                } else {
                    lines
                }
            }
        };
        let written = self.file.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    /// Renames the file and begins a new file.
    ///
    /// # Errors
    /// The path of the failed rename or open; lines go on to the open file. The first failure
    /// of a row has `true`.
    pub(super) fn rotate(&mut self) -> Result<(), (bool, PathBuf, io::Error)> {
        let result = self.rename().and_then(|()| {
            let reopened = self.reopen().map(drop);
            reopened.map_err(|error| (self.path.clone(), error))
        });
        let Some(rotation) = &mut self.rotation else {
            return Ok(());
        };
        let is_first = !rotation.is_failing;
        rotation.is_failing = result.is_err();
        result.map_err(|(path, error)| (is_first, path, error))
    }

    fn rename(&self) -> Result<(), Failed> {
        let aside = self.named("rotating");
        // Of a rotation that the process's end cut short.
        if is_present(&aside) {
            self.shift(&aside)?;
        }
        // Renamed by logrotate, or by a rotation without a new file.
        if !sys::is_file_at(&self.file, &self.path) {
            return Ok(());
        }
        // The file itself comes first: without its rename the earlier files stay as they are.
        rename(&self.path, &aside)?;
        self.shift(&aside).inspect_err(|_| {
            // Otherwise the next rotation finds the file under its temporary name.
            _ = fs::rename(&aside, &self.path);
        })
    }

    /// Makes this file the latest of the earlier files; or changes nothing.
    fn shift(&self, aside: &Path) -> Result<(), Failed> {
        let keep = self.rotation.as_ref().map_or(1, |rotation| rotation.keep);
        // A gap takes the files before it.
        let free = (1..=keep).find(|number| !is_present(&self.numbered(*number)));
        let free = free.unwrap_or(keep + 1);
        let mut earlier = (1..free).map(|number| self.numbered(number));
        if let Some(folder) = earlier.find(|path| path.is_dir()) {
            return Err((folder, io::ErrorKind::IsADirectory.into()));
        }
        let mut number = free;
        let mut result = Ok(());
        while number > 1 && result.is_ok() {
            result = rename(&self.numbered(number - 1), &self.numbered(number));
            if result.is_ok() {
                number -= 1;
            }
        }
        if result.is_ok() {
            result = rename(aside, &self.numbered(1));
        }
        if result.is_err() {
            for number in number..free {
                _ = fs::rename(self.numbered(number + 1), self.numbered(number));
            }
            return result;
        }
        // The oldest, and those of a greater `keep` before a reload.
        for number in (keep + 1..).take(SURPLUS_MAX) {
            if fs::remove_file(self.numbered(number)).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// The name of an earlier file, 1 being the latest.
    fn numbered(&self, number: u32) -> PathBuf {
        self.named(&number.to_string())
    }

    fn named(&self, ending: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".");
        name.push(ending);
        name.into()
    }
}

/// The path of a failed rename, with the error.
type Failed = (PathBuf, io::Error);

fn is_present(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Renames a file, if present: logrotate may have just renamed it.
fn rename(from: &Path, to: &Path) -> Result<(), Failed> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err((from.to_owned(), error)),
        _ => Ok(()),
    }
}
