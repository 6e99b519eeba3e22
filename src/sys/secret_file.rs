//! A small file that only its owner and its group may read.
//!
//! Called by `server`, before the user of the process changes.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Why a file is no secret.
#[derive(Debug)]
pub(crate) enum SecretError {
    System(io::Error),
    /// A folder, a device, a socket.
    NoFile,
    /// The mode of the file lets all users of the machine read or write the file.
    Open(u32),
    /// More bytes than the caller wants.
    TooLong,
}

/// The bytes of a file, at most `bytes_max`.
///
/// # Errors
/// The file cannot be read, is no regular file, is open to other users, or is longer.
pub(crate) fn read_secret(path: &Path, bytes_max: u64) -> Result<Vec<u8>, SecretError> {
    let file = open(path).map_err(SecretError::System)?;
    // Of the open file: another file may have the name by now.
    let about = file.metadata().map_err(SecretError::System)?;
    if !about.is_file() {
        return Err(SecretError::NoFile);
    }
    if let Some(mode) = mode_for_others(&about) {
        return Err(SecretError::Open(mode));
    }
    let mut bytes = Vec::new();
    let read = file.take(bytes_max + 1).read_to_end(&mut bytes);
    let length = read.map_err(SecretError::System)? as u64;
    match length <= bytes_max {
        true => Ok(bytes),
        false => Err(SecretError::TooLong),
    }
}

/// Without waiting for the writer of a named pipe.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = File::options();
    options.read(true).custom_flags(libc::O_NONBLOCK);
    options.open(path)
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// The mode, if users beyond the owner and the group may read or write.
#[cfg(unix)]
fn mode_for_others(about: &std::fs::Metadata) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let mode = about.mode() & 0o7777;
    (mode & 0o006 != 0).then_some(mode)
}

/// Other systems have no such mode.
#[cfg(not(unix))]
fn mode_for_others(_about: &std::fs::Metadata) -> Option<u32> {
    None
}
