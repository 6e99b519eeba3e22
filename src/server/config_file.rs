//! Reading the configuration file, within a bound.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::config;

/// The largest configuration in bytes: some 100,000 endpoints. A device or a log given by mistake
/// does not fill the memory.
const CONFIG_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Why a file cannot be read, with a remedy where a remedy is known.
fn in_our_words(error: io::Error, path: &Path) -> io::Error {
    let kind = error.kind();
    let why = match kind {
        io::ErrorKind::NotFound => {
            let path = config::escape(&path.display().to_string());
            format!("there is no such file; `corelane config default > {path}` writes one")
        }
        io::ErrorKind::PermissionDenied => {
            "this user may not read it; permit it (chmod, chown), also in the folders above"
                .to_owned()
        }
        io::ErrorKind::IsADirectory => "it is a folder; name the file in it".to_owned(),
        _ => return error,
    };
    io::Error::new(kind, why)
}

/// The text of a configuration file, for the start and for commands. Waits for a pipe.
///
/// # Errors
/// In words for an operator.
pub(crate) fn read_config(path: &Path) -> io::Result<String> {
    read(path).map_err(|error| in_our_words(error, path))
}

/// As [`read_config`], for a reload: a pipe has no second reading, and would hold the main thread.
///
/// # Errors
/// As [`read_config`].
pub(super) fn read_config_again(path: &Path) -> io::Result<String> {
    let kind = fs::metadata(path).map(|found| found.file_type());
    match kind {
        Ok(kind) if !kind.is_file() && !kind.is_dir() => {
            let why = "it is no ordinary file any more";
            Err(io::Error::new(io::ErrorKind::InvalidInput, why))
        }
        _ => read_config(path),
    }
}

fn read(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    let mut bytes = Vec::new();
    file.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > CONFIG_BYTES_MAX {
        let why = format!("larger than {CONFIG_BYTES_MAX} bytes, which no configuration is");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        let why = format!("not UTF-8 on line {line}");
        io::Error::new(io::ErrorKind::InvalidData, why)
    })
}
