//! The dashboard's address and token, from the configuration.
//!
//! Called by `control` and `here`, before the process changes the user.

use std::io;
use std::net::TcpListener;
use std::path::Path;

use super::error::ServerError;
use crate::config::{Bind, Dashboard};
use crate::control::Token;
use crate::sys::secret_file::{SecretError, read_secret};

/// More than any token needs.
const TOKEN_BYTES_MAX: u64 = 4096;
const KEY: &str = "dashboard.bind";

/// Whether the file of the token can be read, and holds a token.
pub(super) fn check(dashboard: &Dashboard) -> Result<(), ServerError> {
    token(dashboard).map(drop)
}

/// The token of the configuration's file.
pub(super) fn token(dashboard: &Dashboard) -> Result<Option<Token>, ServerError> {
    let Some(path) = dashboard.token_file.as_deref() else {
        return Ok(None);
    };
    let impossible = |remedy: String| ServerError::Impossible {
        key: "dashboard.token_file".to_owned(),
        remedy,
    };
    let bytes =
        read_secret(path, TOKEN_BYTES_MAX).map_err(|error| impossible(why(path, &error)))?;
    Token::new(&bytes).map(Some).map_err(|what| {
        let path = path.display();
        impossible(format!(
            "{path} {what}; write one with: (umask 077; head -c 32 /dev/urandom | base64 > {path})"
        ))
    })
}

fn why(path: &Path, error: &SecretError) -> String {
    let path = path.display();
    match error {
        SecretError::System(error) => format!("{path} cannot be read: {error}"),
        SecretError::NoFile => format!("{path} is no ordinary file; name one with the token"),
        SecretError::Open(mode) => format!(
            "all users of this machine may read or write {path} (mode {mode:04o}); change it by \
             chmod 0600"
        ),
        SecretError::TooLong => format!("{path} has more than {TOKEN_BYTES_MAX} bytes"),
    }
}

/// Binds the address of the configuration.
pub(super) fn listen(dashboard: &Dashboard) -> Result<Option<TcpListener>, ServerError> {
    let Some(address) = dashboard.bind else {
        return Ok(None);
    };
    let bound = TcpListener::bind(address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => ServerError::in_use(KEY.to_owned(), Bind::at(address)),
        _ => ServerError::Bind {
            key: KEY.to_owned(),
            bind: Bind::at(address),
            error,
        },
    });
    bound.map(Some)
}
