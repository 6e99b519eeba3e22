//! The system calls of the layers above, sent to the simulated kernel or to the real kernel.
//!
//! A call that opens a descriptor asks the simulated kernel if this thread runs a world. A call on
//! a descriptor chooses the kernel by the descriptor's number.
#![expect(unsafe_code, reason = "descriptors by number")]

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::time::Duration;

use super::descriptor::FIRST_DESCRIPTOR;
use super::{is_installed, with};
use crate::sys::socket;
use crate::sys::unix::{self, ConnectStart};
use crate::sys::{PeerAddress, SocketRef, Time, clock, linux, listener_filter, options};

/// An open socket of either kernel, closed when dropped.
#[derive(Debug)]
pub struct OsSocket(RawFd);

impl Drop for OsSocket {
    fn drop(&mut self) {
        close(self.0);
    }
}

/// Closes a descriptor of either kernel. The simulated descriptors of a finished world are closed
/// already.
fn close(descriptor: RawFd) {
    if descriptor < FIRST_DESCRIPTOR {
        // SAFETY: the caller owns the descriptor and does not use the number again.
        drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
    } else if is_installed() {
        with(|kernel| kernel.close(descriptor));
    }
}

impl AsFd for OsSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: a real descriptor stays open as long as `self`; a simulated number is used by the
        // functions of this file only.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }
}

impl AsRawFd for OsSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl IntoRawFd for OsSocket {
    fn into_raw_fd(self) -> RawFd {
        std::mem::ManuallyDrop::new(self).0
    }
}

impl<T: Into<RealSocket>> From<T> for OsSocket {
    fn from(socket: T) -> Self {
        Self(socket.into().0.into_raw_fd())
    }
}

/// A socket of the real kernel.
#[derive(Debug)]
pub struct RealSocket(OwnedFd);

impl From<OwnedFd> for RealSocket {
    fn from(socket: OwnedFd) -> Self {
        Self(socket)
    }
}

impl From<TcpStream> for RealSocket {
    fn from(socket: TcpStream) -> Self {
        Self(socket.into())
    }
}

impl From<TcpListener> for RealSocket {
    fn from(socket: TcpListener) -> Self {
        Self(socket.into())
    }
}

impl From<socket2::Socket> for RealSocket {
    fn from(socket: socket2::Socket) -> Self {
        Self(socket.into())
    }
}

pub(crate) fn borrow(socket: &OsSocket) -> SocketRef<'_> {
    socket.as_fd()
}

/// The number of a simulated socket.
fn simulated(socket: SocketRef<'_>) -> Option<i32> {
    let number = socket.as_raw_fd();
    (number >= FIRST_DESCRIPTOR).then_some(number)
}

/// Runs a call on the kernel of a socket.
fn either<T>(
    socket: SocketRef<'_>,
    simulation: impl FnOnce(&mut super::Kernel, i32) -> Result<T, i32>,
    reality: impl FnOnce(SocketRef<'_>) -> io::Result<T>,
) -> io::Result<T> {
    match simulated(socket) {
        Some(number) => {
            with(|kernel| simulation(kernel, number)).map_err(io::Error::from_raw_os_error)
        }
        None => reality(socket),
    }
}

pub(crate) fn recv(socket: SocketRef<'_>, into: &mut [u8]) -> io::Result<usize> {
    match simulated(socket) {
        Some(number) => {
            with(|kernel| kernel.receive(number, into)).map_err(io::Error::from_raw_os_error)
        }
        None => unix::recv(socket, into),
    }
}

pub(crate) fn send(socket: SocketRef<'_>, parts: &[IoSlice<'_>]) -> io::Result<usize> {
    either(socket, |k, n| k.send(n, parts), |s| unix::send(s, parts))
}

pub(crate) fn accept(listener: SocketRef<'_>) -> io::Result<(OsSocket, PeerAddress)> {
    let simulation = |kernel: &mut super::Kernel, number| {
        let (socket, address) = kernel.accept(number)?;
        Ok((OsSocket(socket), address.into()))
    };
    either(listener, simulation, |socket| {
        let (socket, peer) = unix::accept(socket)?;
        Ok((socket.into(), peer))
    })
}

pub(crate) fn is_readable(socket: SocketRef<'_>) -> bool {
    match simulated(socket) {
        Some(number) => with(|kernel| kernel.readable(number)),
        None => unix::is_readable(socket),
    }
}

pub(crate) fn is_writable(socket: SocketRef<'_>) -> bool {
    match simulated(socket) {
        Some(number) => with(|kernel| kernel.writable(number)),
        None => unix::is_writable(socket),
    }
}

pub(crate) fn connect(socket: SocketRef<'_>, to: SocketAddr) -> io::Result<ConnectStart> {
    let simulation = |kernel: &mut super::Kernel, number| {
        kernel.connect(number, to)?;
        Ok(ConnectStart::InProgress)
    };
    either(socket, simulation, |s| unix::connect(s, to))
}

pub(crate) fn take_error(socket: SocketRef<'_>) -> io::Result<()> {
    let simulation = |kernel: &mut super::Kernel, number| match kernel.take_error(number) {
        Some(error) => Err(error),
        None => Ok(()),
    };
    either(socket, simulation, socket::take_error)
}

pub(crate) fn reset_on_close(socket: SocketRef<'_>) -> io::Result<()> {
    let simulation = |kernel: &mut super::Kernel, number| {
        kernel.set_reset_on_close(number, true);
        Ok(())
    };
    either(socket, simulation, socket::reset_on_close)
}

pub(crate) fn turn_away(listener: SocketRef<'_>) -> io::Result<()> {
    let simulation = |kernel: &mut super::Kernel, number| {
        kernel.turn_away(number);
        Ok(())
    };
    either(listener, simulation, listener_filter::turn_away)
}

pub(crate) fn stop_listening(listener: SocketRef<'_>) -> io::Result<()> {
    let simulation = |kernel: &mut super::Kernel, number| {
        kernel.stop_listening(number);
        Ok(())
    };
    either(listener, simulation, listener_filter::stop_listening)
}

/// A client whose SYN goes to a listener that turns away tries again.
pub(crate) fn prefer_listeners_from(
    listener: SocketRef<'_>,
    first: usize,
    count: usize,
) -> io::Result<()> {
    let simulation = |_: &mut super::Kernel, _| Ok(());
    let real =
        |listener: BorrowedFd<'_>| listener_filter::prefer_listeners_from(listener, first, count);
    either(listener, simulation, real)
}

pub(crate) fn fin_on_close(socket: SocketRef<'_>) -> io::Result<()> {
    let simulation = |kernel: &mut super::Kernel, number| {
        kernel.set_reset_on_close(number, false);
        Ok(())
    };
    either(socket, simulation, socket::fin_on_close)
}

/// A simulated socket always is.
pub(crate) fn is_nonblocking(socket: SocketRef<'_>) -> bool {
    let real = |socket: SocketRef<'_>| Ok(unix::is_nonblocking(socket));
    either(socket, |_, _| Ok(true), real).is_ok_and(|is| is)
}

pub(crate) fn shutdown_write(socket: SocketRef<'_>) -> io::Result<()> {
    either(socket, super::Kernel::shutdown, socket::shutdown_write)
}

pub(crate) fn local_address(socket: SocketRef<'_>) -> io::Result<SocketAddr> {
    let simulation = |kernel: &mut super::Kernel, number| {
        let (local, _) = kernel.addresses(number);
        local.ok_or(libc::EINVAL)
    };
    either(socket, simulation, socket::local_address)
}

/// A new TCP socket.
///
/// # Errors
/// The error of `socket(2)`.
pub fn stream_socket(to: SocketAddr) -> io::Result<OsSocket> {
    if is_installed() {
        let socket = with(super::Kernel::open_socket);
        return socket.map(OsSocket).map_err(io::Error::from_raw_os_error);
    }
    Ok(unix::stream_socket(to)?.into())
}

pub(crate) fn bind_shared(address: SocketAddr, freebind: bool) -> io::Result<OsSocket> {
    if is_installed() {
        let socket = with(|kernel| {
            let socket = kernel.open_socket()?;
            kernel.bind(socket, address);
            Ok(socket)
        });
        return socket.map(OsSocket).map_err(io::Error::from_raw_os_error);
    }
    Ok(unix::bind_shared(address, freebind)?.into())
}

pub(crate) fn port_is_taken(address: SocketAddr, freebind: bool) -> io::Result<bool> {
    if is_installed() {
        let taken = with(|kernel| kernel.port_is_taken(address));
        return taken.map_err(io::Error::from_raw_os_error);
    }
    unix::port_is_taken(address, freebind)
}

pub(crate) fn listen(socket: SocketRef<'_>, backlog: u32) -> io::Result<()> {
    let simulation = |kernel: &mut super::Kernel, number| {
        kernel.listen(number, backlog);
        Ok(())
    };
    either(socket, simulation, |s| socket::listen(s, backlog))
}

pub(crate) fn bind_source(socket: SocketRef<'_>, source: IpAddr) -> io::Result<()> {
    let simulation = |kernel: &mut super::Kernel, number| {
        kernel.bind_source(number, SocketAddr::new(source, 0));
        Ok(())
    };
    either(socket, simulation, |s| unix::bind_source(s, source))
}

/// Sets an option that the simulated kernel records.
fn note(
    socket: SocketRef<'_>,
    simulation: impl FnOnce(&mut super::Kernel, i32),
    reality: impl FnOnce(SocketRef<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let simulation = |kernel: &mut super::Kernel, number| {
        simulation(kernel, number);
        Ok(())
    };
    either(socket, simulation, reality)
}

pub(crate) fn set_nodelay(socket: SocketRef<'_>) -> io::Result<()> {
    note(socket, |_, _| {}, options::set_nodelay)
}

pub(crate) fn set_keepalive(
    socket: SocketRef<'_>,
    idle: Duration,
    interval: Duration,
    count: u32,
) -> io::Result<()> {
    let all = idle.as_secs() + interval.as_secs() * u64::from(count);
    note(
        socket,
        |kernel, number| kernel.set_patience(number, Some(all), None),
        |socket| options::set_keepalive(socket, idle, interval, count),
    )
}

pub(crate) fn set_user_timeout(socket: SocketRef<'_>, time: Duration) -> io::Result<()> {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    note(
        socket,
        |kernel, number| kernel.set_patience(number, None, Some(nanos)),
        |socket| linux::set_user_timeout(socket, time),
    )
}

pub(crate) fn set_send_buffer(socket: SocketRef<'_>, bytes: usize) -> io::Result<()> {
    note(
        socket,
        |kernel, number| kernel.set_buffers(number, Some(bytes), None),
        |socket| options::set_send_buffer(socket, bytes),
    )
}

pub(crate) fn set_receive_buffer(socket: SocketRef<'_>, bytes: usize) -> io::Result<()> {
    note(
        socket,
        |kernel, number| kernel.set_buffers(number, None, Some(bytes)),
        |socket| options::set_receive_buffer(socket, bytes),
    )
}

pub(crate) fn set_largest_segment(socket: SocketRef<'_>, bytes: u32) -> io::Result<()> {
    note(socket, |_, _| {}, |s| linux::set_largest_segment(s, bytes))
}

pub(crate) fn set_notsent_lowat(socket: SocketRef<'_>, bytes: u32) -> io::Result<()> {
    note(socket, |_, _| {}, |s| linux::set_notsent_lowat(s, bytes))
}

pub(crate) fn set_congestion(socket: SocketRef<'_>, name: &str) -> io::Result<()> {
    note(socket, |_, _| {}, |s| linux::set_congestion(s, name))
}

pub(crate) fn set_fast_open(socket: SocketRef<'_>, queue: u32) -> io::Result<()> {
    note(socket, |_, _| {}, |s| linux::set_fast_open(s, queue))
}

pub(crate) fn set_fast_open_connect(socket: SocketRef<'_>) -> io::Result<()> {
    note(socket, |_, _| {}, linux::set_fast_open_connect)
}

pub(crate) fn send_room(socket: SocketRef<'_>) -> io::Result<usize> {
    either(socket, |k, n| Ok(k.figures(n).room), linux::send_room)
}

pub(crate) fn unacknowledged(socket: SocketRef<'_>) -> io::Result<usize> {
    let simulation = |kernel: &mut super::Kernel, n| Ok(kernel.figures(n).unacknowledged);
    either(socket, simulation, linux::unacknowledged)
}

/// The simulated machine has memory enough.
pub(crate) fn trim_heap() {}

pub(crate) fn unread(socket: SocketRef<'_>) -> io::Result<usize> {
    either(socket, |k, n| Ok(k.figures(n).unread), linux::unread)
}

pub(crate) fn acknowledged_total(socket: SocketRef<'_>) -> io::Result<u64> {
    let simulation = |kernel: &mut super::Kernel, n| Ok(kernel.figures(n).acknowledged);
    either(socket, simulation, linux::acknowledged_total)
}

/// The simulated kernel puts no SYN off.
pub(crate) fn is_connecting(socket: SocketRef<'_>) -> bool {
    simulated(socket).is_none() && linux::is_connecting(socket)
}

pub(crate) fn is_closed(socket: SocketRef<'_>) -> bool {
    match simulated(socket) {
        Some(number) => with(|kernel| kernel.figures(number).is_closed),
        None => linux::is_closed(socket),
    }
}

/// The present time: of this thread's world, or of the machine.
#[must_use]
pub fn now() -> Time {
    if is_installed() {
        return Time::from_nanos(with(|kernel| {
            // Lets a spinning poller make progress.
            kernel.now += 100;
            kernel.now
        }));
    }
    clock::now()
}

/// A counter that wakes a poller.
#[derive(Debug)]
pub(crate) enum EventFd {
    Real(linux::EventFd),
    Simulated(OsSocket),
}

impl EventFd {
    pub(crate) fn open() -> io::Result<Self> {
        if is_installed() {
            let counter = with(super::Kernel::open_counter);
            let counter = counter.map_err(io::Error::from_raw_os_error)?;
            return Ok(Self::Simulated(OsSocket(counter)));
        }
        Ok(Self::Real(linux::EventFd::open()?))
    }

    pub(crate) fn signal(&self) {
        match self {
            Self::Real(counter) => counter.signal(),
            Self::Simulated(counter) if is_installed() => {
                with(|kernel| kernel.signal(counter.0));
            }
            Self::Simulated(_) => {}
        }
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Real(counter) => counter.as_fd(),
            Self::Simulated(counter) => counter.as_fd(),
        }
    }
}

/// A pipe that carries bytes from socket to socket.
#[derive(Debug)]
pub(crate) enum Pipe {
    Real(linux::Pipe),
    Simulated(OsSocket),
}

impl Pipe {
    pub(crate) fn open(bytes: i32) -> io::Result<Self> {
        if is_installed() {
            let pipe = with(super::Kernel::open_pipe).map_err(io::Error::from_raw_os_error)?;
            return Ok(Self::Simulated(OsSocket(pipe)));
        }
        Ok(Self::Real(linux::Pipe::open(bytes)?))
    }

    pub(crate) fn fill(&self, from: SocketRef<'_>, max: usize) -> io::Result<usize> {
        match self {
            Self::Real(pipe) => pipe.fill(from, max),
            Self::Simulated(pipe) => with(|k| k.splice_in(pipe.0, from.as_raw_fd(), max))
                .map_err(io::Error::from_raw_os_error),
        }
    }

    pub(crate) fn drain(&self, to: SocketRef<'_>, max: usize) -> io::Result<usize> {
        match self {
            Self::Real(pipe) => pipe.drain(to, max),
            Self::Simulated(pipe) => with(|k| k.splice_out(pipe.0, to.as_raw_fd(), max))
                .map_err(io::Error::from_raw_os_error),
        }
    }

    pub(crate) fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Real(pipe) => pipe.read(into),
            Self::Simulated(pipe) => Ok(with(|kernel| kernel.read_pipe(pipe.0, into))),
        }
    }
}
