//! The listening sockets of a service manager (sd_listen_fds(3)): descriptors from 3 on, described
//! by the environment.
#![expect(unsafe_code, reason = "system calls")]

use std::env;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::process;

use socket2::{SockRef, Type};

/// The first descriptor (`SD_LISTEN_FDS_START`).
const FIRST: RawFd = 3;
/// The name of descriptors without a name.
const NAMELESS: &str = "unknown";

/// A socket of a service manager.
#[derive(Debug)]
pub(crate) struct PassedSocket {
    /// `FileDescriptorName=` of the socket unit, by default the name of the unit.
    pub(crate) name: String,
    pub(crate) address: PassedAddress,
    socket: OwnedFd,
}

/// The address of a passed socket.
#[derive(Clone, Debug)]
pub(crate) enum PassedAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
    Abstract(String),
    /// No listening stream socket: the reason.
    Unusable(&'static str),
}

impl PassedSocket {
    /// A further descriptor of the socket: non-blocking, with inline urgent data.
    ///
    /// # Errors
    /// Out of descriptors.
    pub(crate) fn socket<S: From<OwnedFd>>(&self) -> io::Result<S> {
        self.socket.try_clone().map(S::from)
    }
}

/// Takes the passed sockets and clears the variables: no child process may mistake the sockets
/// for own ones. Called once, before the process has threads.
pub(crate) fn take() -> Vec<PassedSocket> {
    let take = |name: &str| {
        let value = env::var(name).ok();
        // SAFETY: the process has no other thread yet.
        unsafe { env::remove_var(name) };
        value
    };
    take("LISTEN_PIDFDID");
    let (pid, count, names) = (
        take("LISTEN_PID"),
        take("LISTEN_FDS"),
        take("LISTEN_FDNAMES"),
    );
    let is_own = pid.is_some_and(|pid| pid.parse() == Ok(process::id()));
    let count: RawFd = count
        .filter(|_| is_own)
        .and_then(|count| count.parse().ok())
        .unwrap_or(0);
    let names = names.unwrap_or_default();
    let mut names = names.split(':');
    let mut passed = Vec::new();
    for fd in (0..count).map(|at| at + FIRST) {
        let name = names.next().filter(|name| !name.is_empty());
        // SAFETY: no pointers; a closed number is an error of the call.
        if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
            break;
        }
        // SAFETY: the descriptor is open, and the manager has passed the ownership.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        passed.push(PassedSocket {
            name: name.unwrap_or(NAMELESS).to_owned(),
            address: address_of(&socket).unwrap_or(PassedAddress::Unusable("no socket")),
            socket,
        });
    }
    passed
}

fn address_of(socket: &impl AsFd) -> io::Result<PassedAddress> {
    let socket = SockRef::from(socket);
    if socket.r#type()? != Type::STREAM {
        return Ok(PassedAddress::Unusable("no stream socket (ListenStream=)"));
    }
    if !socket.is_listener()? {
        return Ok(PassedAddress::Unusable(
            "no listening socket (Accept= has to be no)",
        ));
    }
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    if let Some(address) = address.as_socket() {
        socket.set_out_of_band_inline(true)?;
        return Ok(PassedAddress::Tcp(address));
    }
    let path = address
        .as_pathname()
        .map(|path| PassedAddress::Unix(path.into()));
    let name = address.as_abstract_namespace();
    let name = name.map(|name| PassedAddress::Abstract(String::from_utf8_lossy(name).into()));
    let other = PassedAddress::Unusable("neither a TCP nor a unix socket");
    Ok(path.or(name).unwrap_or(other))
}
