//! Output files, standard output, and the width of the terminal. Files are opened before the load,
//! so that the results cannot get lost, and written once at the end.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// An output file. The old content stays until the write.
#[derive(Debug)]
pub(crate) struct Output(File);

impl Output {
    /// Opens the file. The open of a named pipe waits for a reader.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        Ok(Self(file))
    }

    /// Replaces the content. Pipes and terminals have no old content.
    pub(crate) fn write(mut self, bytes: &[u8]) -> io::Result<()> {
        if self.0.metadata()?.is_file() {
            // ftruncate(2) refuses files of other types.
            self.0.set_len(0)?;
        }
        self.0.write_all(bytes)
    }
}

/// Whether a path is standard output, where text would mix with the results.
pub(crate) fn is_standard_output(path: &Path) -> bool {
    let names = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];
    let same = || {
        let real = |path: &Path| fs::canonicalize(path).ok();
        let own = real(Path::new("/proc/self/fd/1"));
        own.is_some() && own == real(path)
    };
    names.iter().any(|name| path == Path::new(name)) || same()
}

/// The width of the terminal; `None` without a terminal, or if the width is unknown.
pub(crate) fn columns(is_terminal: bool) -> Option<usize> {
    match is_terminal.then(ratatui::crossterm::terminal::size)? {
        // Some pseudo-terminals report a width of 0.
        Ok((columns @ 1.., _)) => Some(usize::from(columns)),
        _ => None,
    }
}

/// Writes to standard output. A closed pipe is no failure: the reader has enough.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::is_standard_output;

    #[test]
    fn standard_output_is_known_by_all_of_its_names() {
        for name in ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
            assert!(is_standard_output(Path::new(name)), "{name}");
        }
        assert!(!is_standard_output(Path::new("/dev/stderr/no/such")));
        assert!(!is_standard_output(Path::new("Cargo.toml")));
    }
}
