//! The datagram socket of a service manager (sd_notify(3)), named by the environment.
//!
//! The main thread alone sends. A full queue of the manager delays the start by a second.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// How long a message may wait for room in the manager's queue.
const SEND_PATIENCE: Duration = Duration::from_secs(1);

/// Sends messages to the service manager.
#[derive(Debug)]
pub(crate) struct NotifySocket {
    socket: UnixDatagram,
    manager: SocketAddr,
}

impl NotifySocket {
    /// The socket that `NOTIFY_SOCKET` names; `None` without that variable.
    ///
    /// # Errors
    /// If the name is neither a path nor an abstract name (`@...`), or no socket can be made.
    pub(crate) fn from_environment() -> io::Result<Option<Self>> {
        let name = env::var_os("NOTIFY_SOCKET");
        name.map(|name| Self::open(&name)).transpose()
    }

    fn open(name: &OsStr) -> io::Result<Self> {
        let manager = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            _ => {
                let why = "NOTIFY_SOCKET is neither an absolute path nor an abstract name";
                return Err(io::Error::new(io::ErrorKind::Unsupported, why));
            }
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_PATIENCE))?;
        Ok(Self { socket, manager })
    }

    /// Sends one message, `KEY=VALUE` a line. Where the queue of the manager is full, waits for a
    /// second if it `may_wait`.
    ///
    /// # Errors
    /// What the system call says: `WouldBlock` for a full queue.
    pub(crate) fn send(&self, message: &str, may_wait: bool) -> io::Result<()> {
        self.socket.set_nonblocking(!may_wait)?;
        loop {
            match self.socket.send_to_addr(message.as_bytes(), &self.manager) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                sent => return sent.map(drop),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    use std::{env, fs, process};

    use super::NotifySocket;

    fn received(by: &UnixDatagram) -> String {
        let mut bytes = [0; 64];
        let count = by.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    }

    /// sd-notify 0.5 takes the second for a path that does not exist.
    #[test]
    fn a_manager_has_a_path_or_an_abstract_name() {
        let name = format!("corelane-notify-{}", process::id());
        let path = env::temp_dir().join(&name);
        let by_path = UnixDatagram::bind(&path).unwrap();
        let socket = NotifySocket::open(path.as_os_str()).unwrap();
        socket.send("READY=1", true).unwrap();
        assert_eq!(received(&by_path), "READY=1");
        fs::remove_file(&path).unwrap();

        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let abstractly = UnixDatagram::bind_addr(&address).unwrap();
        let socket = NotifySocket::open(format!("@{name}").as_ref()).unwrap();
        socket.send("READY=1\nSTATUS=here", false).unwrap();
        assert_eq!(received(&abstractly), "READY=1\nSTATUS=here");
    }

    #[test]
    fn other_kinds_of_names_are_refused() {
        for name in ["", "vsock:2:1", "relative"] {
            let error = NotifySocket::open(name.as_ref()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::Unsupported, "{name}");
        }
    }
}
