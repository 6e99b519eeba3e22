//! The system calls of a completion port, thin and checked. The caller manages the memory passed
//! to a call: see [`super::ops`].
#![expect(unsafe_code, reason = "system calls")]

use std::ffi::c_void;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::windows::io::{AsRawHandle, AsRawSocket, FromRawHandle, OwnedHandle};
use std::ptr;
use std::time::Duration;

use socket2::{SockAddr, SockAddrStorage};
use windows_sys::Win32::Foundation::{HANDLE, INVALID_HANDLE_VALUE, WAIT_TIMEOUT};
use windows_sys::Win32::Networking::WinSock::{
    AcceptEx, GetAcceptExSockaddrs, LPFN_CONNECTEX, SIO_GET_EXTENSION_FUNCTION_POINTER,
    SO_UPDATE_ACCEPT_CONTEXT, SO_UPDATE_CONNECT_CONTEXT, SOCKADDR, SOCKET, SOL_SOCKET,
    WSA_IO_PENDING, WSABUF, WSAESHUTDOWN, WSAGetLastError, WSAGetOverlappedResult, WSAID_CONNECTEX,
    WSAIoctl, WSARecv, WSASend, setsockopt,
};
use windows_sys::Win32::Storage::FileSystem::SetFileCompletionNotificationModes;
use windows_sys::Win32::System::IO::{
    CancelIoEx, CreateIoCompletionPort, DeviceIoControl, GetQueuedCompletionStatusEx, OVERLAPPED,
    OVERLAPPED_ENTRY, PostQueuedCompletionStatus,
};

use super::super::options::Wake;
use crate::sys::OsSocket;

/// The key of completions posted by [`Port::wake`]; sockets' completions have a different key.
const WAKE: usize = usize::MAX;
/// Bytes that `AcceptEx` needs for one address.
pub(super) const ADDRESS_BYTES: usize = size_of::<SockAddrStorage>() + 16;

/// A completion port; closed when dropped.
#[derive(Debug)]
pub(super) struct Port(OwnedHandle);

/// The immediate outcome of a call that may continue in the kernel.
pub(super) enum Begun {
    /// Done, with this many bytes; a completion follows unless the socket skips completions.
    Done(usize),
    /// A completion will follow.
    Pending,
}

impl Port {
    pub(super) fn open() -> io::Result<Self> {
        // SAFETY: no pointers: a new port for one thread.
        let port = unsafe { CreateIoCompletionPort(INVALID_HANDLE_VALUE, ptr::null_mut(), 0, 1) };
        if port.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded, so the handle is open and has no owner yet.
        Ok(Self(unsafe { OwnedHandle::from_raw_handle(port) }))
    }

    /// Directs a socket's completions to this port, for as long as the socket is open. Returns
    /// whether immediately successful calls post no completion.
    pub(super) fn watch(&self, socket: &OsSocket) -> io::Result<bool> {
        /// `FILE_SKIP_COMPLETION_PORT_ON_SUCCESS | FILE_SKIP_SET_EVENT_ON_HANDLE` (`winbase.h`).
        const SKIP: u8 = 1 | 2;
        let handle = handle_of(socket);
        // SAFETY: both handles are open.
        let port = unsafe { CreateIoCompletionPort(handle, self.0.as_raw_handle(), 0, 0) };
        if port.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the handle is open.
        Ok(unsafe { SetFileCompletionNotificationModes(handle, SKIP) } != 0)
    }

    /// Takes up to `max` completions; waits for the first. Returns whether [`Port::wake`] was
    /// called; the wake's entries are removed.
    pub(super) fn wait(
        &self,
        timeout: Option<Duration>,
        entries: &mut Vec<OVERLAPPED_ENTRY>,
        max: u32,
    ) -> io::Result<bool> {
        entries.resize(
            usize::try_from(max).expect("few"),
            OVERLAPPED_ENTRY::default(),
        );
        let (port, into, mut count) = (self.0.as_raw_handle(), entries.as_mut_ptr(), 0);
        let millis = milliseconds(timeout);
        // SAFETY: `into` is valid for `max` writes, `count` for one.
        let ok = unsafe { GetQueuedCompletionStatusEx(port, into, max, &raw mut count, millis, 0) };
        if ok == 0 {
            let error = io::Error::last_os_error();
            entries.clear();
            return match error.raw_os_error() {
                Some(code) if code.cast_unsigned() == WAIT_TIMEOUT => Ok(false),
                _ => Err(error),
            };
        }
        entries.truncate(usize::try_from(count).expect("no more than max"));
        let all = entries.len();
        entries.retain(|entry| entry.lpCompletionKey != WAKE);
        Ok(entries.len() < all)
    }
}

impl Wake for Port {
    fn wake(&self) {
        // SAFETY: no pointers. Fails only without memory, and a wake has no fallback.
        unsafe { PostQueuedCompletionStatus(self.0.as_raw_handle(), 0, WAKE, ptr::null()) };
    }
}

/// Rounds up, so that a wait never ends before its timeout.
fn milliseconds(timeout: Option<Duration>) -> u32 {
    /// Also `INFINITE`.
    const FOR_EVER: u32 = u32::MAX;
    timeout.map_or(FOR_EVER, |time| {
        let millis = time.as_nanos().div_ceil(1_000_000);
        u32::try_from(millis).unwrap_or(FOR_EVER).min(FOR_EVER - 1)
    })
}

fn raw(socket: &OsSocket) -> SOCKET {
    usize::try_from(socket.as_raw_socket()).expect("a socket is as wide as a pointer")
}

fn handle_of(socket: &OsSocket) -> HANDLE {
    ptr::with_exposed_provenance_mut(raw(socket))
}

/// An error of a socket call. A connection shut for sending is a broken pipe, as on Unix.
fn socket_error(code: i32) -> io::Error {
    if code == WSAESHUTDOWN {
        return io::ErrorKind::BrokenPipe.into();
    }
    io::Error::from_raw_os_error(code)
}

fn last_socket_error() -> io::Error {
    // SAFETY: no arguments.
    socket_error(unsafe { WSAGetLastError() })
}

fn begun(ok: bool, bytes: u32) -> io::Result<Begun> {
    if ok {
        return Ok(Begun::Done(usize::try_from(bytes).expect("64 bits")));
    }
    // SAFETY: no arguments.
    match unsafe { WSAGetLastError() } {
        WSA_IO_PENDING => Ok(Begun::Pending),
        code => Err(socket_error(code)),
    }
}

/// Starts to wait for a connection.
///
/// # Safety
/// `overlapped` and `addresses` (two of [`ADDRESS_BYTES`]) stay untouched until the completion,
/// and `accepted` stays open.
pub(super) unsafe fn accept(
    listener: &OsSocket,
    accepted: &OsSocket,
    addresses: *mut u8,
    overlapped: *mut OVERLAPPED,
) -> io::Result<Begun> {
    let bytes = u32::try_from(ADDRESS_BYTES).expect("144");
    let (listener, accepted, mut got) = (raw(listener), raw(accepted), 0);
    let into = addresses.cast();
    // SAFETY: by this function's contract.
    let ok = unsafe {
        AcceptEx(
            listener,
            accepted,
            into,
            0,
            bytes,
            bytes,
            &raw mut got,
            overlapped,
        )
    };
    begun(ok != 0, got)
}

/// Gives an accepted socket its full functions and returns the peer's address, which `AcceptEx`
/// has written; `NotConnected` when the peer is gone.
pub(super) fn accepted(
    listener: &OsSocket,
    socket: &OsSocket,
    addresses: &[u8; 2 * ADDRESS_BYTES],
) -> io::Result<SocketAddr> {
    let from = raw(listener);
    let length = i32::try_from(size_of::<SOCKET>()).expect("eight");
    let value = (&raw const from).cast();
    // SAFETY: the value is valid for a read of its length.
    let rc = unsafe {
        setsockopt(
            raw(socket),
            SOL_SOCKET,
            SO_UPDATE_ACCEPT_CONTEXT,
            value,
            length,
        )
    };
    if rc != 0 {
        return Err(last_socket_error());
    }
    let bytes = u32::try_from(ADDRESS_BYTES).expect("144");
    let (mut local, mut remote): (*mut SOCKADDR, *mut SOCKADDR) =
        (ptr::null_mut(), ptr::null_mut());
    let (mut local_length, mut remote_length) = (0, 0);
    // SAFETY: `AcceptEx` has filled the buffer; each pointer is valid for a write.
    unsafe {
        GetAcceptExSockaddrs(
            addresses.as_ptr().cast(),
            0,
            bytes,
            bytes,
            &raw mut local,
            &raw mut local_length,
            &raw mut remote,
            &raw mut remote_length,
        );
    }
    let mut storage = SockAddrStorage::zeroed();
    let length = usize::try_from(remote_length).unwrap_or(0);
    if remote.is_null() || length > size_of_val(&storage) {
        return Err(io::ErrorKind::NotConnected.into());
    }
    // SAFETY: the address lies in the buffer, and fits the storage by the check above.
    unsafe { ptr::copy_nonoverlapping(remote.cast::<u8>(), (&raw mut storage).cast(), length) };
    // SAFETY: an address of this length was copied.
    let address = unsafe { SockAddr::new(storage, remote_length) };
    address
        .as_socket()
        .ok_or_else(|| io::ErrorKind::NotConnected.into())
}

/// Starts to connect a bound socket.
///
/// # Safety
/// `overlapped` stays untouched until the completion.
pub(super) unsafe fn connect(
    socket: &OsSocket,
    to: SocketAddr,
    overlapped: *mut OVERLAPPED,
) -> io::Result<Begun> {
    let mut function: LPFN_CONNECTEX = None;
    let guid = WSAID_CONNECTEX;
    let fd = raw(socket);
    let length = |bytes: usize| u32::try_from(bytes).expect("few");
    let mut got = 0;
    // SAFETY: both buffers are valid for their lengths during the call.
    let rc = unsafe {
        WSAIoctl(
            fd,
            SIO_GET_EXTENSION_FUNCTION_POINTER,
            (&raw const guid).cast(),
            length(size_of_val(&guid)),
            (&raw mut function).cast::<c_void>(),
            length(size_of_val(&function)),
            &raw mut got,
            ptr::null_mut(),
            None,
        )
    };
    let Some(connect) = function.filter(|_| rc == 0) else {
        return Err(last_socket_error());
    };
    let address = SockAddr::from(to);
    let (name, length) = (address.as_ptr().cast(), address.len());
    // SAFETY: the call copies the address; the rest by this function's contract.
    let ok = unsafe { connect(fd, name, length, ptr::null(), 0, &raw mut got, overlapped) };
    begun(ok != 0, 0)
}

/// Gives a connected socket its full functions.
pub(super) fn connected(socket: &OsSocket) -> io::Result<()> {
    // SAFETY: the call reads no value.
    let rc = unsafe {
        setsockopt(
            raw(socket),
            SOL_SOCKET,
            SO_UPDATE_CONNECT_CONTEXT,
            ptr::null(),
            0,
        )
    };
    if rc == 0 {
        Ok(())
    } else {
        Err(last_socket_error())
    }
}

/// Starts to wait for bytes or the end, without a buffer.
///
/// # Safety
/// `overlapped` stays untouched until the completion.
pub(super) unsafe fn probe(socket: &OsSocket, overlapped: *mut OVERLAPPED) -> io::Result<Begun> {
    let nothing = WSABUF {
        len: 0,
        buf: ptr::null_mut(),
    };
    let (mut got, mut flags) = (0, 0);
    let (from, into) = (&raw const nothing, &raw mut got);
    // SAFETY: the call copies the list of buffers; the rest by this function's contract.
    let rc = unsafe { WSARecv(raw(socket), from, 1, into, &raw mut flags, overlapped, None) };
    begun(rc == 0, got)
}

/// Starts to send buffers.
///
/// # Safety
/// `overlapped` and the buffers stay untouched until the completion.
pub(super) unsafe fn send(
    socket: &OsSocket,
    parts: &[WSABUF],
    overlapped: *mut OVERLAPPED,
) -> io::Result<Begun> {
    let (from, count) = (parts.as_ptr(), u32::try_from(parts.len()).expect("few"));
    let mut sent = 0;
    // SAFETY: the call copies the list of buffers; the rest by this function's contract.
    let rc = unsafe { WSASend(raw(socket), from, count, &raw mut sent, 0, overlapped, None) };
    begun(rc == 0, sent)
}

/// `AFD_POLL_INFO` of one socket, as in msafd, wepoll and mio.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Poll {
    timeout: i64,
    handles: u32,
    exclusive: u32,
    handle: HANDLE,
    events: u32,
    status: i32,
}

const _: () = assert!(size_of::<Poll>() == 32);

/// `AFD_POLL_RECEIVE | _DISCONNECT | _ABORT | _ACCEPT`.
const READ: u32 = 0x1 | 0x8 | 0x10 | 0x80;
/// `AFD_POLL_SEND | _ABORT | _CONNECT_FAIL`.
const WRITE: u32 = 0x4 | 0x10 | 0x100;

impl Poll {
    pub(super) fn of(socket: &OsSocket, write: bool) -> Self {
        Self {
            timeout: i64::MAX,
            handles: 1,
            exclusive: 0,
            handle: handle_of(socket),
            events: if write { WRITE } else { READ },
            status: 0,
        }
    }
}

/// Starts to wait for readiness.
///
/// # Safety
/// `overlapped` and `poll` stay untouched until the completion.
pub(super) unsafe fn poll(
    socket: &OsSocket,
    poll: *mut Poll,
    overlapped: *mut OVERLAPPED,
) -> io::Result<Begun> {
    const IOCTL_AFD_POLL: u32 = 0x0001_2024;
    let bytes = u32::try_from(size_of::<Poll>()).expect("32");
    let (handle, poll, mut got) = (handle_of(socket), poll.cast::<c_void>(), 0);
    let into = &raw mut got;
    // SAFETY: by this function's contract; the call wants one buffer for input and output.
    let ok = unsafe {
        DeviceIoControl(
            handle,
            IOCTL_AFD_POLL,
            poll,
            bytes,
            poll,
            bytes,
            into,
            overlapped,
        )
    };
    begun(ok != 0, 0)
}

/// Requests the end of one call, or of all of the socket's calls. Each call still completes.
pub(super) fn cancel(socket: &OsSocket, overlapped: *const OVERLAPPED) {
    // SAFETY: the system compares the pointer only. A completed call is not found.
    unsafe { CancelIoEx(handle_of(socket), overlapped) };
}

/// The result of a completed call: its bytes, and its error.
///
/// # Safety
/// `overlapped` belongs to a completed call on this socket.
pub(super) unsafe fn result(
    socket: &OsSocket,
    overlapped: *const OVERLAPPED,
) -> (usize, io::Result<()>) {
    let (mut bytes, mut flags) = (0, 0);
    let (into, flags) = (&raw mut bytes, &raw mut flags);
    // SAFETY: by this function's contract; the call does not wait.
    let ok = unsafe { WSAGetOverlappedResult(raw(socket), overlapped, into, 0, flags) };
    let result = if ok == 0 {
        Err(last_socket_error())
    } else {
        Ok(())
    };
    // A cancelled send, too, reports the bytes sent.
    // SAFETY: the call has completed, so the kernel no longer writes to the block.
    let counted = unsafe { (*overlapped).InternalHigh };
    (counted, result)
}

/// Whether an error is a cancelled call's.
pub(super) fn is_cancelled(error: &io::Error) -> bool {
    /// `WSA_OPERATION_ABORTED`.
    const ABORTED: i32 = 995;
    error.raw_os_error() == Some(ABORTED)
}

/// A block without a call.
pub(super) fn fresh() -> OVERLAPPED {
    // SAFETY: a block of zeroes is valid.
    unsafe { mem::zeroed() }
}
