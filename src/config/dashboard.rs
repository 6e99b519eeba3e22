//! `[dashboard]`: the address of the dashboard, and the token for its actions.
//!
//! Read by `Config::parse`; the server layer binds the address and reads the token's file before a
//! change of the user.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::address;
use super::effective::{Effective, Keys};
use super::errors::Reported;
use super::section::Section;
use super::slips::For;
use super::value::{self, Value};

/// The `[dashboard]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dashboard {
    /// Where the page is served; `None` for nowhere; `dashboard.bind`.
    pub bind: Option<SocketAddr>,
    /// The file with the token for actions; `None` for a page that only reads;
    /// `dashboard.token_file`.
    pub token_file: Option<PathBuf>,
}

const BIND: &str = "IP:PORT, e.g. \"127.0.0.1:9900\"";

impl Dashboard {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            bind: section.optional("bind", None, value::unless("off", bind)),
            token_file: section.optional("token_file", None, value::unless("off", value::path)),
        }
    }

    pub(super) fn keys(&self) -> Keys {
        let Self { bind, token_file } = self;
        let path = |path: &PathBuf| Effective::text(path.display());
        Keys::default()
            .on_restart("bind", Effective::unless("off", *bind, Effective::text))
            .on_restart(
                "token_file",
                Effective::unless("off", token_file.as_ref(), path),
            )
    }

    /// Whether other machines may reach the page.
    pub(super) fn is_exposed(&self) -> bool {
        self.bind.is_some_and(|address| !address.ip().is_loopback())
    }
}

/// An address of this machine.
fn bind(value: &Value<'_>) -> Result<SocketAddr, Reported> {
    address::parsed_value(value, For::Control, BIND).map(address::canonical)
}
