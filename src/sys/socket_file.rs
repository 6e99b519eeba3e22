//! Unix sockets to listen on (unix(7)), with files.
//!
//! A bind fails while a file has the name, also after the end of the process. Only a connect tells
//! whether a process listens.

use std::fs::{self, File, Permissions};
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use super::handle::SocketRef;

/// The state of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SocketName {
    Free,
    /// A socket without a listening process.
    LeftBehind,
    /// A process listens: `process 812 (nginx)` if known.
    Taken(Option<String>),
    /// No socket.
    OtherFile,
}

/// The file of an open unix socket. Drop removes the file, unless a successor has replaced the
/// file.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    id: (u64, u64),
}

/// The state of a path. A listening process gets a connection, closed at once.
pub(crate) fn socket_name(path: &Path) -> io::Result<SocketName> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => return Ok(SocketName::OtherFile),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(SocketName::Free),
        Err(error) => return Err(error),
    }
    let socket = unix_socket()?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Ok(SocketName::Taken(peer_process(&socket))),
        Err(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => Ok(SocketName::LeftBehind),
            io::ErrorKind::NotFound => Ok(SocketName::Free),
            // A full backlog, a refused permission, a datagram socket: signs of a process.
            _ => Ok(SocketName::Taken(None)),
        },
    }
}

/// A non-blocking socket bound to a path, and the file with the permissions `mode`. Replaces the
/// file of an ended process.
///
/// # Errors
/// The errors of `bind(2)` and `chmod(2)`.
pub(crate) fn bind_file<S: From<OwnedFd>>(path: &Path, mode: u32) -> io::Result<(S, SocketFile)> {
    if socket_name(path)? == SocketName::LeftBehind {
        fs::remove_file(path)?;
    }
    let socket = unix_socket()?;
    // On Linux the file never has more permissions than the socket. Where the call fails, nobody
    // can connect before `listen` either.
    let socket = File::from(OwnedFd::from(socket));
    drop(socket.set_permissions(Permissions::from_mode(mode)));
    let socket = Socket::from(OwnedFd::from(socket));
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile {
        path: path.to_owned(),
        id: id(&fs::symlink_metadata(path)?),
    };
    // The bind has applied the umask.
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok((OwnedFd::from(socket).into(), file))
}

/// A non-blocking socket bound to an abstract name (Linux only). Every process of the network
/// namespace can connect.
///
/// # Errors
/// `AddrInUse`; `Unsupported` elsewhere.
pub(crate) fn bind_abstract<S: From<OwnedFd>>(name: &str) -> io::Result<S> {
    if !cfg!(target_os = "linux") {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let socket = unix_socket()?;
    socket.bind(&SockAddr::unix(format!("\0{name}"))?)?;
    Ok(OwnedFd::from(socket).into())
}

/// Makes the system refuse further connections to a unix socket. The backlog stays.
pub(crate) fn refuse(listener: SocketRef<'_>) -> io::Result<()> {
    SockRef::from(&listener).shutdown(Shutdown::Read)
}

impl SocketFile {
    #[cfg(not(loom))]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Renames the file, and replaces a file of that name.
    ///
    /// # Errors
    /// The errors of `rename(2)`.
    #[cfg(not(loom))]
    pub(crate) fn move_to(&mut self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)?;
        path.clone_into(&mut self.path);
        Ok(())
    }

    /// Removes the file, unless the file is a successor's. Returns whether no file of this socket
    /// is left.
    pub(crate) fn remove(&self) -> bool {
        let found = fs::symlink_metadata(&self.path);
        !found.is_ok_and(|found| id(&found) == self.id) || fs::remove_file(&self.path).is_ok()
    }

    /// Changes the permissions.
    ///
    /// # Errors
    /// The errors of `chmod(2)`.
    pub(crate) fn set_mode(&self, mode: u32) -> io::Result<()> {
        fs::set_permissions(&self.path, Permissions::from_mode(mode))
    }

    /// Changes the owner and the group; `None` changes nothing.
    ///
    /// # Errors
    /// The errors of `chown(2)`.
    pub(crate) fn give_to(&self, owner: Option<u32>, group: Option<u32>) -> io::Result<()> {
        chown(&self.path, owner, group)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // The next start replaces a file that is left.
        self.remove();
    }
}

/// Device and inode.
fn id(of: &fs::Metadata) -> (u64, u64) {
    (of.dev(), of.ino())
}

fn unix_socket() -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The listening process of a connection (`SO_PEERCRED`).
#[cfg(target_os = "linux")]
fn peer_process(socket: &Socket) -> Option<String> {
    let pid = super::linux::peer_pid(socket)?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(format!("process {pid} ({})", name.trim_end()))
}

#[cfg(not(target_os = "linux"))]
fn peer_process(_socket: &Socket) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};
    use std::{env, fs, io, process};

    use super::{SockRef, SocketFile, SocketName, socket_name};

    fn bind_file(path: &Path, mode: u32) -> io::Result<(OwnedFd, SocketFile)> {
        super::bind_file(path, mode)
    }

    fn path(name: &str) -> PathBuf {
        env::temp_dir().join(format!("corelane-{}-{name}", process::id()))
    }

    #[test]
    fn a_name_is_free_or_taken_or_left_behind() {
        let path = path("names.sock");
        assert_eq!(socket_name(&path).unwrap(), SocketName::Free);
        let (socket, file) = bind_file(&path, 0o646).unwrap();
        // Regardless of the umask.
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o646);
        assert_eq!(socket_name(&path).unwrap(), SocketName::LeftBehind);
        SockRef::from(&socket).listen(1).unwrap();
        let SocketName::Taken(holder) = socket_name(&path).unwrap() else {
            panic!("it is taken");
        };
        if cfg!(target_os = "linux") {
            let us = format!("process {} (", process::id());
            assert!(holder.unwrap().starts_with(&us));
        }
        bind_file(&path, 0o646).unwrap_err();
        drop(file);
        assert_eq!(socket_name(&path).unwrap(), SocketName::Free);
    }

    #[test]
    fn the_file_of_a_successor_stays() {
        let path = path("successor.sock");
        let (_socket, file) = bind_file(&path, 0o600).unwrap();
        let (_successor, of_successor) = bind_file(&path, 0o600).unwrap();
        drop(file);
        assert!(path.exists());
        drop(of_successor);
        assert!(!path.exists());
    }

    #[test]
    fn an_ordinary_file_is_never_replaced() {
        let path = path("file.sock");
        fs::write(&path, "precious").unwrap();
        assert_eq!(socket_name(&path).unwrap(), SocketName::OtherFile);
        bind_file(&path, 0o646).unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        fs::remove_file(&path).unwrap();
    }
}
