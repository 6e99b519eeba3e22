//! Sockets, memory and affinity on Windows.
//!
//! Every socket is non-blocking and overlapped: the poller waits by completions, reads by hand, and
//! both kinds of call go together on one socket.
#![expect(unsafe_code, reason = "system calls")]

use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::windows::io::{AsRawSocket, AsSocket};
use std::ptr::NonNull;

use socket2::SockRef;
use windows_sys::Win32::Foundation::{
    ERROR_COMMITMENT_LIMIT, ERROR_NOT_ENOUGH_MEMORY, ERROR_TOO_MANY_OPEN_FILES,
};
#[cfg(test)]
use windows_sys::Win32::Networking::WinSock::{FIONREAD, ioctlsocket};
use windows_sys::Win32::Networking::WinSock::{
    POLLERR, POLLHUP, POLLRDNORM, POLLWRNORM, SO_EXCLUSIVEADDRUSE, SOL_SOCKET, WSAEMFILE,
    WSAENOBUFS, WSAESHUTDOWN, WSAPOLLFD, WSAPoll, setsockopt,
};
use windows_sys::Win32::System::Memory::{
    MEM_COMMIT, MEM_RELEASE, MEM_RESERVE, MEM_RESET, PAGE_READWRITE, VirtualAlloc, VirtualFree,
};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetCurrentThread, GetProcessAffinityMask, SetThreadAffinityMask,
};

use super::handle::{OsSocket, SocketRef};
use super::memory::pages_within;
use super::not_linux::{no_option, set_freebind};
use super::peer_address::PeerAddress;
use super::socket::{bind_to, tcp_socket};

/// Windows binds a port to a single socket: one lane listens and hands connections over.
pub(crate) const SPREADS_LISTENERS: bool = false;

/// The number of sockets that a process may plan with. Windows has no practical limit, but commits
/// memory for every reserved buffer.
const SOCKETS_MAX: usize = 8192;

/// The socket, for a call.
pub(crate) fn borrow(socket: &OsSocket) -> SocketRef<'_> {
    socket.as_socket()
}

/// Reads what is there without waiting; 0 is the peer's FIN.
pub(crate) fn recv(socket: SocketRef<'_>, into: &mut [u8]) -> io::Result<usize> {
    (&*SockRef::from(&socket)).read(into)
}

/// Writes as much of `parts` as fits without waiting.
pub(crate) fn send(socket: SocketRef<'_>, parts: &[IoSlice<'_>]) -> io::Result<usize> {
    let sent = (&*SockRef::from(&socket)).write_vectored(parts);
    sent.map_err(|error| match error.raw_os_error() {
        // A connection after shutdown is a broken pipe, as on Unix.
        Some(WSAESHUTDOWN) => io::ErrorKind::BrokenPipe.into(),
        _ => error,
    })
}

/// Takes one connection off a non-blocking listener's queue. Not inherited by child processes.
pub(crate) fn accept(listener: SocketRef<'_>) -> io::Result<(OsSocket, PeerAddress)> {
    loop {
        match SockRef::from(&listener).accept() {
            // The connection has gone before the accept.
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => {}
            Err(e) => return Err(e),
            // A connection without a peer address has gone, too.
            Ok((socket, address)) => {
                if let Some(address) = address.as_socket() {
                    return Ok((socket.into(), address.into()));
                }
            }
        }
    }
}

/// Whether a read would not block: data, FIN, error, or a connection to accept (`WSAPoll`).
pub(crate) fn is_readable(socket: SocketRef<'_>) -> bool {
    poll(socket, POLLRDNORM) != 0
}

/// Whether a write would not block.
pub(crate) fn is_writable(socket: SocketRef<'_>) -> bool {
    poll(socket, POLLWRNORM) != 0
}

/// The current result of `WSAPoll`; ends and errors are always included.
fn poll(socket: SocketRef<'_>, events: i16) -> i16 {
    let mut entry = WSAPOLLFD {
        fd: raw(socket),
        events,
        revents: 0,
    };
    // SAFETY: the pointer is valid for an entry during the call. A failed call leaves `revents`
    // zero.
    unsafe { WSAPoll(&raw mut entry, 1, 0) };
    entry.revents
}

fn raw(socket: SocketRef<'_>) -> usize {
    usize::try_from(socket.as_raw_socket()).expect("a socket is as wide as a pointer")
}

/// Whether the connection is over. Windows may also return true after the peer's FIN.
pub(crate) fn is_closed(socket: SocketRef<'_>) -> bool {
    poll(socket, POLLRDNORM) & (POLLHUP | POLLERR) != 0
}

/// A new TCP socket of the address's family, not inherited by child processes. Urgent data stays in
/// the stream (RFC 6093).
///
/// # Errors
/// The error of `WSASocketW`: no socket, no memory, unknown family.
pub(crate) fn stream_socket(to: SocketAddr) -> io::Result<OsSocket> {
    Ok(tcp_socket(to)?.into())
}

/// A non-blocking socket bound to an exclusive address (`SO_EXCLUSIVEADDRUSE`); then [`listen`]. An
/// IPv6 socket accepts IPv6 only. Accepted sockets inherit the options.
///
/// # Errors
/// The error of `bind`.
pub(crate) fn bind_shared(address: SocketAddr, freebind: bool) -> io::Result<OsSocket> {
    let socket = tcp_socket(address)?;
    if freebind {
        set_freebind(socket.as_socket())?;
    }
    let on = 1_u32.to_ne_bytes();
    let (fd, length) = (raw(socket.as_socket()), 4);
    // SAFETY: the value is valid for a read of four bytes.
    let rc = unsafe { setsockopt(fd, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, on.as_ptr(), length) };
    if rc != 0 {
        return Err(io::Error::last_os_error());
    }
    bind_to(&socket, address)?;
    Ok(socket.into())
}

/// Binds a socket to an address to connect from, and to a port of the system's choice.
pub(crate) fn bind_source(socket: SocketRef<'_>, source: IpAddr) -> io::Result<()> {
    SockRef::from(&socket).bind(&SocketAddr::new(source, 0).into())
}

/// Whether a process listens on the address already.
///
/// # Errors
/// Any further reason why the address cannot be bound.
pub(crate) fn port_is_taken(address: SocketAddr, freebind: bool) -> io::Result<bool> {
    match bind_shared(address, freebind) {
        Ok(_) => Ok(false),
        // An exclusive socket of another process answers "permission denied".
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Ok(true),
        Err(e) => Err(e),
    }
}

/// How many sockets a process may plan with.
///
/// # Errors
/// Never.
#[expect(clippy::unnecessary_wraps, reason = "other systems may fail")]
pub fn file_limit() -> io::Result<usize> {
    Ok(SOCKETS_MAX)
}

/// Whether the machine lacks sockets or memory.
pub(crate) fn is_out_of_resources(error: &io::Error) -> bool {
    let codes = [
        WSAEMFILE.cast_unsigned(),
        WSAENOBUFS.cast_unsigned(),
        ERROR_TOO_MANY_OPEN_FILES,
        ERROR_NOT_ENOUGH_MEMORY,
    ];
    let code = error.raw_os_error().map(i32::cast_unsigned);
    code.is_some_and(|code| codes.contains(&code))
}

/// The remedy for a lack of sockets or memory.
pub(crate) fn shortage_remedy(_error: &io::Error) -> &'static str {
    "have more memory, or lower runtime.max_sessions"
}

/// The CPUs of the first processor group that this process may use, ascending.
///
/// # Errors
/// The error of `GetProcessAffinityMask`.
pub(crate) fn cpus() -> io::Result<Vec<usize>> {
    let (mut allowed, mut system) = (0_usize, 0_usize);
    // SAFETY: no arguments; the handle needs no closing.
    let process = unsafe { GetCurrentProcess() };
    // SAFETY: both pointers are valid for a write.
    if unsafe { GetProcessAffinityMask(process, &raw mut allowed, &raw mut system) } == 0 {
        return Err(io::Error::last_os_error());
    }
    let bits = 0..usize::try_from(usize::BITS).expect("64");
    Ok(bits.filter(|cpu| allowed >> cpu & 1 == 1).collect())
}

/// Pins the calling thread to a CPU of its processor group.
///
/// # Errors
/// `InvalidInput` when the process may not use the CPU.
pub(crate) fn pin_to(cpu: usize) -> io::Result<()> {
    let bit = u32::try_from(cpu)
        .ok()
        .and_then(|cpu| 1_usize.checked_shl(cpu));
    let mask = bit.ok_or(io::ErrorKind::InvalidInput)?;
    // SAFETY: no arguments; the handle needs no closing.
    let thread = unsafe { GetCurrentThread() };
    // SAFETY: no pointers but the thread's own handle.
    if unsafe { SetThreadAffinityMask(thread, mask) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// How many bytes fit into the socket's send buffer: unknown on Windows.
pub(crate) fn send_room(_socket: SocketRef<'_>) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// How many sent bytes the peer has not acknowledged: unknown on Windows, so no reset waits for an
/// acknowledgement.
#[expect(clippy::unnecessary_wraps, reason = "other systems may fail")]
pub(crate) fn unacknowledged(_socket: SocketRef<'_>) -> io::Result<usize> {
    Ok(0)
}

/// How many received bytes are unread (`FIONREAD`).
#[cfg(test)]
pub(crate) fn unread(socket: SocketRef<'_>) -> io::Result<usize> {
    let mut bytes = 0_u32;
    // SAFETY: the request writes a single word; the pointer is valid for the write.
    if unsafe { ioctlsocket(raw(socket), FIONREAD, &raw mut bytes) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
}

/// Windows has no `TCP_CONGESTION` for single sockets.
pub(crate) fn set_congestion(_socket: SocketRef<'_>, _name: &str) -> io::Result<()> {
    Err(no_option("TCP_CONGESTION"))
}

/// A range of zeroed memory. A page is allocated at its first use, but Windows commits all pages at
/// once and refuses a range above the commit limit.
#[derive(Debug)]
pub(crate) struct Region {
    base: NonNull<u8>,
    bytes: usize,
}

impl Region {
    /// Reserves `bytes` of memory.
    pub(crate) fn reserve(bytes: usize) -> io::Result<Self> {
        let how = MEM_RESERVE | MEM_COMMIT;
        // SAFETY: a fresh allocation overlaps no existing memory.
        let base = unsafe { VirtualAlloc(std::ptr::null(), bytes, how, PAGE_READWRITE) };
        let Some(base) = NonNull::new(base.cast()) else {
            let error = io::Error::last_os_error();
            let limit = ERROR_COMMITMENT_LIMIT.cast_signed();
            return Err(match error.raw_os_error() {
                Some(code) if code == limit => io::ErrorKind::OutOfMemory.into(),
                _ => error,
            });
        };
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
        /// The page size of every processor that Windows supports today (`GetSystemInfo`).
        const PAGE: usize = 4096;
        assert!(start + bytes <= self.bytes, "a stretch outside the region");
        let (start, end) = pages_within(start, bytes, PAGE);
        let bytes = end.saturating_sub(start);
        if bytes == 0 {
            return;
        }
        // SAFETY: the stretch lies inside the allocation, by the assertion.
        let from = unsafe { self.base.add(start) };
        // SAFETY: by this function's contract the pages are unused. A failure keeps the pages.
        unsafe { VirtualAlloc(from.as_ptr().cast(), bytes, MEM_RESET, PAGE_READWRITE) };
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the base is the allocation's, and the owner is being dropped.
        unsafe { VirtualFree(self.base.as_ptr().cast(), 0, MEM_RELEASE) };
    }
}

/// Whether a child process would inherit the socket.
#[cfg(test)]
pub(crate) fn is_inherited(socket: &OsSocket) -> bool {
    use windows_sys::Win32::Foundation::{GetHandleInformation, HANDLE_FLAG_INHERIT};
    let mut flags = 0;
    let handle = std::ptr::with_exposed_provenance_mut(raw(borrow(socket)));
    // SAFETY: the pointer is valid for a write.
    let ok = unsafe { GetHandleInformation(handle, &raw mut flags) };
    ok == 0 || flags & HANDLE_FLAG_INHERIT != 0
}

/// Starts to connect a non-blocking socket, without a completion port: the other end of a test.
#[cfg(test)]
pub(crate) fn connect(socket: SocketRef<'_>, to: SocketAddr) -> io::Result<()> {
    match SockRef::from(&socket).connect(&to.into()) {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(()),
        result => result,
    }
}
