//! Local sockets with the user of each peer (unix(7), `SO_PEERCRED`).
#![expect(unsafe_code, reason = "a system call")]

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use socket2::SockRef;

use super::super::socket_file::{SocketFile, SocketName, bind_file, socket_name};
use super::stream::LocalStream;

/// Connections that may wait for an accept.
const BACKLOG: i32 = 128;

/// The process at the far end of a local connection, at the time of the connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LocalPeer {
    pub(crate) uid: u32,
    /// `None` where the system does not say.
    pub(crate) pid: Option<i32>,
}

/// The reason of a failed bind.
#[derive(Debug)]
pub(crate) enum LocalError {
    /// A process listens at the path already.
    Live,
    /// The file at the path is no socket.
    NoSocket,
    /// The system has no local sockets with names of peers.
    #[expect(dead_code, reason = "for the other systems")]
    Unsupported,
    System(io::Error),
}

/// A listening socket with a file.
#[derive(Debug)]
pub(crate) struct LocalListener {
    listener: UnixListener,
    file: SocketFile,
}

impl LocalListener {
    /// Whether the folder of the path exists, and no file of a further kind is in the way.
    pub(crate) fn check(path: &Path) -> Result<(), LocalError> {
        if let Ok(found) = fs::symlink_metadata(path) {
            let is_socket = found.file_type().is_socket();
            return is_socket.then_some(()).ok_or(LocalError::NoSocket);
        }
        let folder = path.parent().unwrap_or(path);
        fs::metadata(folder).map(drop).map_err(LocalError::System)
    }

    /// Listens at `path`, with the permissions `mode`. The file of a dead process is replaced. The
    /// file appears with the permissions, and with a listening socket: a rename moves the file
    /// from a name beside the path.
    pub(crate) fn bind(path: &Path, mode: u32) -> Result<Self, LocalError> {
        match socket_name(path).map_err(LocalError::System)? {
            SocketName::OtherFile => return Err(LocalError::NoSocket),
            SocketName::Taken(_) => return Err(LocalError::Live),
            SocketName::Free | SocketName::LeftBehind => {}
        }
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}", process::id()));
        Self::bind_beside(path, &PathBuf::from(name), mode).map_err(LocalError::System)
    }

    fn bind_beside(path: &Path, beside: &Path, mode: u32) -> io::Result<Self> {
        let (listener, mut file) = bind_file::<UnixListener>(beside, mode)?;
        SockRef::from(&listener).listen(BACKLOG)?;
        file.move_to(path)?;
        Ok(Self { listener, file })
    }

    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// The socket in the async runtime of the calling thread.
    pub(crate) fn accepting(&self) -> io::Result<LocalAccepting> {
        let listener = self.listener.try_clone()?;
        tokio::net::UnixListener::from_std(listener).map(LocalAccepting)
    }

    /// Removes the file, unless the file is a successor's. Returns whether no file of this socket
    /// is left.
    pub(crate) fn remove(&self) -> bool {
        self.file.remove()
    }
}

/// A listening socket of an async runtime.
#[derive(Debug)]
pub(crate) struct LocalAccepting(tokio::net::UnixListener);

impl LocalAccepting {
    pub(crate) async fn accept(&self) -> io::Result<LocalStream> {
        let (stream, _) = self.0.accept().await?;
        Ok(LocalStream::new(stream))
    }
}

/// The far end of a connection (`SO_PEERCRED`, unix(7)).
pub(crate) fn local_peer(stream: &LocalStream) -> io::Result<LocalPeer> {
    let credentials = stream.0.peer_cred()?;
    Ok(LocalPeer {
        uid: credentials.uid(),
        pid: credentials.pid(),
    })
}

/// Connects, for blocking calls of at most `patience` each.
pub(crate) fn connect_local(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    Ok(stream)
}

/// The user of this process.
pub(crate) fn effective_user() -> u32 {
    // SAFETY: no pointers; the call does not fail.
    unsafe { libc::geteuid() }
}

/// A descriptor without data.
pub(crate) fn null_file() -> io::Result<File> {
    File::open("/dev/null")
}
