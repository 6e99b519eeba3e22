//! `[control]`: the control socket, the users with access, and the port for health checks.
//!
//! Read by `Config::parse`; the server layer binds the sockets before a change of the user.

use std::net::SocketAddr;
use std::path::PathBuf;

use toml::de::DeTable;

use super::address;
use super::effective::{Effective, Keys};
use super::errors::Reported;
use super::process::account;
use super::section::Section;
use super::slips::For;
use super::value::{self, Value};

/// The `[control]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Control {
    /// The file of the control socket; `None` for no socket; `control.socket`.
    pub socket: Option<PathBuf>,
    /// The permissions of the file, at most 0o777; `control.mode`.
    pub mode: u32,
    /// Users with permission to read, by name or number; `control.read`.
    pub read: Vec<String>,
    /// Users with permission to read and operate, by name or number; `control.operate`.
    pub operate: Vec<String>,
    /// Where /healthz, /readyz and /metrics are answered; `None` for nowhere; `control.tcp`.
    pub tcp: Option<SocketAddr>,
}

const MODE: u32 = 0o600;
/// The shortest `sun_path` (104 bytes on the BSDs and macOS), less the end of the name before the
/// socket listens.
const SOCKET_BYTES_MAX: usize = 90;
const TCP: &str = "IP:PORT, e.g. \"127.0.0.1:9100\"";
const ACCOUNTS: &str = "a list of names or numbers, e.g. [\"monitoring\", \"1001\"]";

impl Control {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            socket: section.optional("socket", None, value::unless("off", socket)),
            mode: section.optional("mode", MODE, mode),
            read: section.optional("read", Vec::new(), accounts),
            operate: section.optional("operate", Vec::new(), accounts),
            tcp: section.optional("tcp", None, value::unless("off", tcp)),
        }
    }

    pub(super) fn keys(&self) -> Keys {
        let Self {
            socket,
            mode,
            read,
            operate,
            tcp,
        } = self;
        let path = |path: &PathBuf| Effective::text(path.display());
        Keys::default()
            .on_restart("socket", Effective::unless("off", socket.as_ref(), path))
            .on_restart("mode", Effective::text(format_args!("{mode:04o}")))
            .on_restart("read", Effective::texts(read))
            .on_restart("operate", Effective::texts(operate))
            .on_restart("tcp", Effective::unless("off", *tcp, Effective::text))
    }
}

/// The value of `control.socket` in a text that may have mistakes elsewhere, also in its syntax:
/// the clients of a running server find the server by it.
pub(crate) fn socket_in(text: &str) -> Option<PathBuf> {
    let (root, _) = DeTable::parse_recoverable(text);
    let control = root.get_ref().get("control")?.get_ref().get("socket")?;
    let path = PathBuf::from(control.get_ref().as_str()?);
    path.is_absolute().then_some(path)
}

/// An absolute path, short enough for the address of a local socket.
fn socket(value: &Value<'_>) -> Result<PathBuf, Reported> {
    let path = value::path(value)?;
    match path.as_os_str().len() <= SOCKET_BYTES_MAX {
        true => Ok(path),
        false => Err(value.senseless(
            "longer than the address of a local socket may be",
            format!("at most {SOCKET_BYTES_MAX} bytes"),
        )),
    }
}

/// The permissions of a file, in octal.
pub(super) fn mode(value: &Value<'_>) -> Result<u32, Reported> {
    let digits = value.text().filter(|text| (3..=4).contains(&text.len()));
    let digits = digits.filter(|text| text.bytes().all(|digit| digit.is_ascii_digit()));
    match digits.map(|digits| u32::from_str_radix(digits, 8)) {
        Some(Ok(mode)) if mode <= 0o777 => Ok(mode),
        _ => Err(value.malformed(
            "a file mode",
            "octal digits, in quotes: \"0600\" or \"0660\"",
        )),
    }
}

/// An address of this machine.
fn tcp(value: &Value<'_>) -> Result<SocketAddr, Reported> {
    address::parsed_value(value, For::Control, TCP).map(address::canonical)
}

fn accounts(value: &Value<'_>) -> Result<Vec<String>, Reported> {
    let elements = value.elements("a list of accounts", ACCOUNTS)?;
    value::all(&elements, account)
}
