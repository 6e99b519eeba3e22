//! Where results go to: files, and how wide a terminal is. Files are opened before the load, so
//! that its results are not lost after it, and written once at its end: regular ones, or what takes
//! bytes as they come (a pipe, `/dev/stdout`, a terminal). Called by `verbs`, `live` and the files
//! of HdrHistogram.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// A place for results, which has what it had until they are written.
#[derive(Debug)]
pub(crate) struct Output(File);

impl Output {
    /// Opens it. A named pipe is waited at until somebody reads from it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        Ok(Self(file))
    }

    /// Replaces what a file had; what is no file has nothing to replace.
    pub(crate) fn write(mut self, bytes: &[u8]) -> io::Result<()> {
        if self.0.metadata()?.is_file() {
            // ftruncate(2) refuses anything else.
            self.0.set_len(0)?;
        }
        self.0.write_all(bytes)
    }
}

/// Whether a path is where standard output goes to: text there would get between.
pub(crate) fn is_standard_output(path: &Path) -> bool {
    let names = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];
    let same = || {
        let real = |path: &Path| fs::canonicalize(path).ok();
        let own = real(Path::new("/proc/self/fd/1"));
        own.is_some() && own == real(path)
    };
    names.iter().any(|name| path == Path::new(name)) || same()
}

/// How long a line on the terminal may be; `None` where there is none, or it does not say.
pub(crate) fn columns(is_terminal: bool) -> Option<usize> {
    match is_terminal.then(ratatui::crossterm::terminal::size)? {
        // A terminal of no size, as some pseudo-terminals are, says nothing.
        Ok((columns @ 1.., _)) => Some(usize::from(columns)),
        _ => None,
    }
}

/// Writes to standard output. Who closed the pipe has read enough: that is no failure.
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
