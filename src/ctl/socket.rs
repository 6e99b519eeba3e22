//! Which control socket: of the arguments, of a configuration, or the package's.

use std::path::{Path, PathBuf};

use super::arguments::Ctl;
use super::client::Failed;
use crate::config::Config;

/// The socket of the package.
const PACKAGED: &str = "/run/corelane/control.sock";

/// The path of the socket.
pub(super) fn find<E>(
    ctl: &Ctl,
    usual: &Path,
    load: impl Fn(&Path) -> Result<Config, E>,
) -> Result<Result<PathBuf, Failed>, E> {
    if let Some(socket) = &ctl.socket {
        return Ok(Ok(socket.clone()));
    }
    if let Some(file) = &ctl.config {
        let socket = load(file)?.control.socket;
        return Ok(socket.ok_or_else(|| {
            Failed::NoConnection(format!(
                "{}: control.socket is \"off\"; name a socket there, or write --socket PATH",
                file.display()
            ))
        }));
    }
    // A mistake in the usual file is no reason to leave a running server alone.
    let config = usual.exists().then(|| load(usual).ok()).flatten();
    let socket = config.and_then(|config| config.control.socket);
    Ok(Ok(socket.unwrap_or_else(|| PACKAGED.into())))
}
