//! Which control socket: of the arguments, of a configuration, or the package's.

use std::fs;
use std::path::{Path, PathBuf};

use super::client::Failed;
use crate::config::{Config, socket_in};

/// The socket of the package.
const PACKAGED: &str = "/run/corelane/control.sock";
/// The largest file to look into.
const BYTES_MAX: u64 = 4 << 20;

/// The path of the socket: `socket`, or of the configuration `config`.
pub(super) fn find<E>(
    socket: Option<&Path>,
    config: Option<&Path>,
    usual: &Path,
    load: impl Fn(&Path) -> Result<Config, E>,
) -> Result<Result<PathBuf, Failed>, E> {
    if let Some(socket) = socket {
        return Ok(Ok(socket.to_owned()));
    }
    if let Some(file) = config {
        let config = match (load(file), in_spite_of_mistakes(file)) {
            (Err(_), Some(socket)) => return Ok(Ok(socket)),
            (config, _) => config?,
        };
        return Ok(config.control.socket.ok_or_else(|| {
            Failed::NoConnection(format!(
                "{}: control.socket is \"off\"; name a socket there, or write --socket PATH",
                file.display()
            ))
        }));
    }
    Ok(Ok(
        in_spite_of_mistakes(usual).unwrap_or_else(|| PACKAGED.into())
    ))
}

/// The socket that a file names. A mistake elsewhere in the file is no reason to leave a running
/// server alone: the server itself reports the mistake to whoever wants a reload.
fn in_spite_of_mistakes(file: &Path) -> Option<PathBuf> {
    let is_readable = |about: &fs::Metadata| about.is_file() && about.len() <= BYTES_MAX;
    fs::metadata(file).ok().filter(is_readable)?;
    socket_in(&fs::read_to_string(file).ok()?)
}
