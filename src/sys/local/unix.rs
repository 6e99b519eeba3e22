//! Local sockets with the user of each peer (unix(7), `SO_PEERCRED`).
#![expect(unsafe_code, reason = "a system call")]

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

/// A connection of a local socket, in an async runtime.
pub(super) type LocalStream = tokio::net::UnixStream;

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
    path: PathBuf,
    /// Device and inode of the file.
    file: (u64, u64),
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
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => return Err(LocalError::NoSocket),
            Ok(_) if is_live(path) => return Err(LocalError::Live),
            _ => {}
        }
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}", process::id()));
        let beside = PathBuf::from(name);
        Self::bind_beside(path, &beside, mode).map_err(|error| {
            _ = fs::remove_file(&beside);
            LocalError::System(error)
        })
    }

    fn bind_beside(path: &Path, beside: &Path, mode: u32) -> io::Result<Self> {
        // Of an earlier process with the same number.
        match fs::remove_file(beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(beside)?;
        listener.set_nonblocking(true)?;
        fs::set_permissions(beside, fs::Permissions::from_mode(mode))?;
        let file = identity(beside)?;
        fs::rename(beside, path)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            file,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The socket in the async runtime of the calling thread.
    pub(crate) fn accepting(&self) -> io::Result<LocalAccepting> {
        let listener = self.listener.try_clone()?;
        tokio::net::UnixListener::from_std(listener).map(LocalAccepting)
    }

    /// Removes the file, unless the file is a successor's. Returns whether no file of this socket
    /// is left.
    pub(crate) fn remove(&self) -> bool {
        let is_own = identity(&self.path).is_ok_and(|file| file == self.file);
        !is_own || fs::remove_file(&self.path).is_ok()
    }
}

/// A listening socket of an async runtime.
#[derive(Debug)]
pub(crate) struct LocalAccepting(tokio::net::UnixListener);

impl LocalAccepting {
    pub(crate) async fn accept(&self) -> io::Result<LocalStream> {
        let (stream, _) = self.0.accept().await?;
        Ok(stream)
    }
}

/// The far end of a connection (`SO_PEERCRED`, unix(7)).
pub(crate) fn local_peer(stream: &LocalStream) -> io::Result<LocalPeer> {
    let credentials = stream.peer_cred()?;
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

/// Whether a process listens at the path. A full backlog and a refused permission mean a process.
fn is_live(path: &Path) -> bool {
    match UnixStream::connect(path) {
        Ok(_) => true,
        Err(error) => !matches!(
            error.kind(),
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound
        ),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

/// The user of this process.
pub(crate) fn effective_user() -> u32 {
    // SAFETY: no pointers; the call does not fail.
    unsafe { libc::geteuid() }
}

/// The number of a user of this name or number, if there is such a user.
pub(crate) fn user_number(user: &str) -> Option<u32> {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let entries = users.lines().map(|line| line.split(':'));
    let mut numbers = entries.filter_map(|mut entry| {
        let is_named = entry.next() == Some(user);
        entry.nth(1).filter(|_| is_named)?.parse().ok()
    });
    numbers.next().or_else(|| user.parse().ok())
}

/// A descriptor without data.
pub(crate) fn null_file() -> io::Result<File> {
    File::open("/dev/null")
}
