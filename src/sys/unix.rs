//! Sockets, memory and limits on Unix.
//!
//! Every socket is non-blocking (`O_NONBLOCK`) from its creation or accept: a splice(2) on a
//! blocking socket sleeps in spite of `SPLICE_F_NONBLOCK`, and a lane must not sleep. Reads and
//! writes also carry `MSG_DONTWAIT`. A non-blocking socket makes no difference to io_uring: the
//! kernel tries without waiting, then polls (6.1 to 6.18, by source and by test).
#![expect(unsafe_code, reason = "system calls")]

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
#[cfg(not(target_os = "macos"))]
use std::os::fd::FromRawFd;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::NonNull;

#[cfg(not(target_os = "macos"))]
use socket2::SockAddrStorage;
use socket2::{SockAddr, SockRef};

#[cfg(not(target_os = "linux"))]
use super::bsd::{choose_port_at_connect, recv_now, send_now};
use super::handle::{OsSocket, SocketRef};
#[cfg(target_os = "linux")]
use super::linux::{choose_port_at_connect, recv_now, send_now, set_freebind};
use super::memory::pages_within;
#[cfg(not(target_os = "linux"))]
use super::not_linux::set_freebind;
use super::peer_address::PeerAddress;
use super::socket::{bind_to, tcp_socket};
use super::system_call::{NO_SIGNAL, checked, retry};

/// The socket, for a call.
pub(crate) fn borrow(socket: &OsSocket) -> SocketRef<'_> {
    socket.as_fd()
}

/// The flag of poll(2) for a FIN besides `POLLIN`, where the system has a flag.
#[cfg(target_os = "linux")]
const END: libc::c_short = libc::POLLRDHUP;
#[cfg(not(target_os = "linux"))]
const END: libc::c_short = 0;

/// Linux and FreeBSD (`SO_REUSEPORT_LB`) distribute connections over all listeners of a port. On
/// other systems a single lane listens and hands connections over.
pub(crate) const SPREADS_LISTENERS: bool = cfg!(any(target_os = "linux", target_os = "freebsd"));

/// Reads without waiting (`recv(2)`); 0 is the peer's FIN.
pub(crate) fn recv(socket: SocketRef<'_>, into: &mut [u8]) -> io::Result<usize> {
    retry(|| recv_now(socket, into))
}

/// Writes as much of `parts` as fits without waiting (`sendmsg(2)`), never raising `SIGPIPE`.
pub(crate) fn send(socket: SocketRef<'_>, parts: &[IoSlice<'_>]) -> io::Result<usize> {
    match parts {
        [one] => retry(|| send_now(socket, one)),
        _ => retry(|| SockRef::from(&socket).send_vectored_with_flags(parts, NO_SIGNAL)),
    }
}

/// Accepts a connection of a non-blocking listener; the socket is non-blocking and close-on-exec.
#[cfg(target_os = "macos")]
pub(crate) fn accept(listener: SocketRef<'_>) -> io::Result<(OsSocket, PeerAddress)> {
    loop {
        let (socket, address) = retry_accept(|| SockRef::from(&listener).accept())?;
        // A connection without a peer address was reset before the accept.
        if let Some(peer) = peer_of(&address) {
            socket.set_nonblocking(true)?;
            return Ok((socket.into(), peer));
        }
    }
}

/// Accepts a connection of a non-blocking listener (`accept4(2)`); the socket is non-blocking and
/// close-on-exec.
#[cfg(not(target_os = "macos"))]
pub(crate) fn accept(listener: SocketRef<'_>) -> io::Result<(OsSocket, PeerAddress)> {
    let mut storage = SockAddrStorage::zeroed();
    let mut length = storage.size_of();
    let fd = retry_accept(|| {
        let address = (&raw mut storage).cast();
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: storage and length are valid for writes, and the length is the storage's.
        let fd = unsafe { libc::accept4(listener.as_raw_fd(), address, &raw mut length, flags) };
        checked(fd).map(|_| fd)
    })?;
    // SAFETY: accept4 succeeded, so `fd` is open and has no owner yet.
    let socket = unsafe { OsSocket::from_raw_fd(fd) };
    // SAFETY: accept4 has written an address of this length.
    let address = unsafe { SockAddr::new(storage, length) };
    let peer = peer_of(&address).ok_or(io::ErrorKind::Unsupported)?;
    Ok((socket, peer))
}

fn peer_of(address: &SockAddr) -> Option<PeerAddress> {
    let unix = address.is_unix().then_some(PeerAddress::Unix);
    address.as_socket().map(PeerAddress::Inet).or(unix)
}

/// Whether a read would not block: data, FIN, error, or a connection to accept (`poll(2)`).
pub(crate) fn is_readable(socket: SocketRef<'_>) -> bool {
    poll(socket, libc::POLLIN | END)
}

/// Whether a write would not block.
pub(crate) fn is_writable(socket: SocketRef<'_>) -> bool {
    poll(socket, libc::POLLOUT)
}

fn poll(socket: SocketRef<'_>, events: libc::c_short) -> bool {
    let mut entry = libc::pollfd {
        fd: socket.as_raw_fd(),
        events,
        revents: 0,
    };
    let ready = retry(|| {
        // SAFETY: the pointer is valid for a pollfd during the call.
        checked(unsafe { libc::poll(&raw mut entry, 1, 0) })
    });
    ready.is_ok_and(|ready| ready > 0)
}

/// Whether a failed accept concerns a single connection, already gone (accept(2): errors pending on
/// the new socket are passed on).
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNABORTED
                | libc::EPROTO
                | libc::ENETDOWN
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::EHOSTUNREACH
        )
    )
}

/// The immediate result of a connect.
pub(crate) enum ConnectStart {
    /// The handshake is done.
    Done,
    /// The handshake goes on; the socket becomes writable at the end.
    InProgress,
}

/// Starts to connect a non-blocking socket (`connect(2)`).
pub(crate) fn connect(socket: SocketRef<'_>, to: SocketAddr) -> io::Result<ConnectStart> {
    match SockRef::from(&socket).connect(&to.into()) {
        Ok(()) => Ok(ConnectStart::Done),
        // POSIX: an interrupted connect goes on like a non-blocking connect.
        Err(e) if matches!(e.raw_os_error(), Some(libc::EINPROGRESS | libc::EINTR)) => {
            Ok(ConnectStart::InProgress)
        }
        Err(e) => Err(e),
    }
}

/// A new TCP socket of the address's family, non-blocking and close-on-exec.
///
/// Urgent data stays in the stream (`SO_OOBINLINE`, socket(7)), as RFC 6093 recommends. Otherwise
/// the kernel would remove the urgent byte from the stream.
///
/// # Errors
/// The error of `socket(2)`: no descriptor, no memory, unknown family.
pub(crate) fn stream_socket(to: SocketAddr) -> io::Result<OsSocket> {
    Ok(tcp_socket(to)?.into())
}

/// A non-blocking socket bound to an address that the lanes share (`SO_REUSEPORT`, on FreeBSD
/// `SO_REUSEPORT_LB`); then `listen`. With `freebind` no interface needs to have the address.
///
/// An IPv6 socket accepts IPv6 only, so that `0.0.0.0` and `[::]` can be bound side by side.
/// Accepted sockets inherit inline urgent data; see [`stream_socket`].
///
/// # Errors
/// The error of `bind(2)`.
pub(crate) fn bind_shared(address: SocketAddr, freebind: bool) -> io::Result<OsSocket> {
    let socket = tcp_socket(address)?;
    if freebind {
        set_freebind(socket.as_fd())?;
    }
    socket.set_reuse_address(true)?;
    #[cfg(target_os = "freebsd")]
    socket.set_reuse_port_lb(true)?;
    #[cfg(not(target_os = "freebsd"))]
    socket.set_reuse_port(true)?;
    bind_to(&socket, address)?;
    Ok(socket.into())
}

/// Binds a socket to a source address. The connect chooses the port, so that a port serves many
/// destinations (`IP_BIND_ADDRESS_NO_PORT`, Linux 4.2).
pub(crate) fn bind_source(socket: SocketRef<'_>, source: IpAddr) -> io::Result<()> {
    choose_port_at_connect(socket)?;
    SockRef::from(&socket).bind(&SocketAddr::new(source, 0).into())
}

/// Whether the socket's reads and writes never wait.
pub(crate) fn is_nonblocking(socket: SocketRef<'_>) -> bool {
    // SAFETY: no pointers.
    let flags = unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_GETFL) };
    flags & libc::O_NONBLOCK != 0
}

/// Whether a process listens on the address already.
///
/// With `SO_REUSEPORT` a second server would join silently and receive a share of the connections,
/// so this bind goes without the option. The socket does not listen, since its connections would be
/// reset.
///
/// # Errors
/// Any further reason why the address cannot be bound.
pub(crate) fn port_is_taken(address: SocketAddr, freebind: bool) -> io::Result<bool> {
    let socket = tcp_socket(address)?;
    if freebind {
        set_freebind(socket.as_fd())?;
    }
    socket.set_reuse_address(true)?;
    // SO_REUSEADDR alone allows a bind beside a bound socket, but not beside a listener.
    match bind_to(&socket, address) {
        Ok(()) => Ok(false),
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => Ok(true),
        Err(e) => Err(e),
    }
}

/// Raises the soft limit on descriptors to the hard limit and returns the limit (`RLIMIT_NOFILE`).
///
/// # Errors
/// The error of `getrlimit(2)`. A failed increase is not an error.
pub fn file_limit() -> io::Result<usize> {
    let mut limit = MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: the pointer is valid for a write of an rlimit.
    checked(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, limit.as_mut_ptr()) })?;
    // SAFETY: getrlimit succeeded and so filled the struct.
    let mut limit = unsafe { limit.assume_init() };
    if limit.rlim_cur < limit.rlim_max {
        let raised = libc::rlimit {
            rlim_cur: limit.rlim_max,
            ..limit
        };
        // SAFETY: the pointer is valid for a read of an rlimit.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } == 0 {
            limit = raised;
        }
    }
    Ok(usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX))
}

/// Whether the machine lacks descriptors or memory.
pub(crate) fn is_out_of_resources(error: &io::Error) -> bool {
    let codes = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    error
        .raw_os_error()
        .is_some_and(|code| codes.contains(&code))
}

/// The remedy for a lack of descriptors or memory.
pub(crate) fn shortage_remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EMFILE) => {
            "raise the limit on descriptors (LimitNOFILE, ulimit -n), or lower runtime.max_sessions"
        }
        Some(libc::ENFILE) => "raise the machine's limit on open files (Linux: fs.file-max)",
        Some(libc::ENOBUFS | libc::ENOMEM) => {
            "raise the limit on memory, or lower runtime.max_sessions"
        }
        _ => "none is known; see accept(2)",
    }
}

/// Pages given back are dropped at once (madvise(2)); the BSDs know no better than soon.
#[cfg(target_os = "linux")]
const RELEASE: libc::c_int = libc::MADV_DONTNEED;
#[cfg(not(target_os = "linux"))]
const RELEASE: libc::c_int = libc::MADV_FREE;

/// Address space is not counted as memory; FreeBSD has no such flag and needs none.
#[cfg(any(target_os = "linux", target_os = "macos", target_os = "netbsd"))]
const RESERVE: libc::c_int = libc::MAP_NORESERVE;
#[cfg(not(any(target_os = "linux", target_os = "macos", target_os = "netbsd")))]
const RESERVE: libc::c_int = 0;

/// A range of zeroed memory. A page is allocated at its first use (`mmap(2)`).
#[derive(Debug)]
pub(crate) struct Region {
    base: NonNull<u8>,
    bytes: usize,
}

impl Region {
    /// Reserves `bytes` of address space.
    pub(crate) fn reserve(bytes: usize) -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON | RESERVE;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh anonymous mapping overlaps no existing memory.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, bytes })
    }

    /// The page-aligned start.
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Returns the whole pages of a range to the system. The contents of these pages are undefined
    /// afterwards.
    ///
    /// # Safety
    /// Neither the process nor the kernel holds a reference into the range.
    pub(crate) unsafe fn release(&self, start: usize, bytes: usize) {
        assert!(start + bytes <= self.bytes, "a stretch outside the region");
        // SAFETY: no pointers.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let page = usize::try_from(page).unwrap_or(usize::MAX);
        let (start, end) = pages_within(start, bytes, page);
        let bytes = end.saturating_sub(start);
        if bytes == 0 {
            return;
        }
        // SAFETY: the stretch lies inside the mapping, by the assertion.
        let from = unsafe { self.base.add(start) };
        // SAFETY: by this function's contract the pages are unused. A failure keeps the pages.
        unsafe { libc::madvise(from.as_ptr().cast(), bytes, RELEASE) };
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: base and length describe the mapping, and the owner is being dropped.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

/// Repeats an accept that a signal interrupts or whose connection has gone.
fn retry_accept<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match retry(&mut call) {
            Err(e) if is_of_one_connection(&e) => {}
            result => return result,
        }
    }
}

/// Whether a child process would inherit the socket.
#[cfg(test)]
pub(crate) fn is_inherited(socket: &impl AsRawFd) -> bool {
    // SAFETY: no pointers.
    let flags = unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_GETFD) };
    flags & libc::FD_CLOEXEC == 0
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io;

    use super::{
        accept, bind_shared, borrow, is_nonblocking, is_of_one_connection, is_out_of_resources,
        retry_accept, stream_socket,
    };
    use crate::sys::socket::{listen, local_address};

    /// A splice(2) on a blocking socket sleeps in spite of its flags.
    #[test]
    fn no_socket_is_ever_blocking() {
        let listener = bind_shared("127.0.0.1:0".parse().unwrap(), false).unwrap();
        listen(borrow(&listener), 1).unwrap();
        let address = local_address(borrow(&listener)).unwrap();
        let _client = std::net::TcpStream::connect(address).unwrap();
        let accepted = retry_accept(|| match accept(borrow(&listener)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(io::ErrorKind::Interrupted.into())
            }
            result => result,
        });
        let made = stream_socket(address).unwrap();
        for socket in [&listener, &accepted.unwrap().0, &made] {
            assert!(is_nonblocking(borrow(socket)));
        }
    }

    /// Errors of a single connection are skipped, errors of the machine are returned.
    #[test]
    fn an_accept_passes_over_what_is_gone_and_tells_the_rest() {
        let gone = [
            libc::ECONNABORTED,
            libc::EPROTO,
            libc::EINTR,
            libc::ENETDOWN,
        ];
        for told in [
            libc::EMFILE,
            libc::ENFILE,
            libc::ENOBUFS,
            libc::ENOMEM,
            libc::EAGAIN,
        ] {
            let mut errors: VecDeque<i32> = gone.into_iter().chain([told]).collect();
            let result: io::Result<()> = retry_accept(|| {
                let code = errors.pop_front().expect("it has been told");
                Err(io::Error::from_raw_os_error(code))
            });
            let error = result.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(told));
            assert!(!is_of_one_connection(&error));
            assert_eq!(is_out_of_resources(&error), told != libc::EAGAIN);
        }
    }
}
