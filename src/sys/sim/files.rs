//! The simulated system calls on sockets, by descriptor.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::descriptor::File;
use super::fault::{Fault, Mark};
use super::kernel::{Kernel, SECOND};
use super::socket::{Owner, Stage};

/// The first ephemeral port.
const FIRST_PORT: u16 = 32_768;
/// The first port of bind(2). Ports are never reused, so a new port is always free.
const FIRST_BOUND_PORT: u16 = 20_000;
/// The smallest buffers: `SOCK_MIN_SNDBUF` and `SOCK_MIN_RCVBUF` of Linux on x86-64.
const SEND_BUFFER_MIN: usize = 4608;
const RECEIVE_BUFFER_MIN: usize = 2304;
/// The capacity of a pipe in bytes.
const PIPE: usize = 64 * 1024;

type Result<T> = std::result::Result<T, i32>;

impl Kernel {
    /// socket(2).
    pub(crate) fn open_socket(&mut self) -> Result<i32> {
        if !self.may_open(1) {
            self.marks.strike(Fault::FewDescriptors);
            return Err(libc::EMFILE);
        }
        let index = self.new_sock(Owner::Corelane);
        Ok(self.install(File::Socket(index)))
    }

    /// bind(2). Port 0 is any free port (ip(7)).
    pub(crate) fn bind(&mut self, descriptor: i32, mut address: SocketAddr) {
        if address.port() == 0 {
            self.bound_ports += 1;
            address.set_port(FIRST_BOUND_PORT + self.bound_ports);
        }
        self.bind_source(descriptor, address);
    }

    /// bind(2) of a source address. The connect chooses port 0 (`IP_BIND_ADDRESS_NO_PORT`, ip(7)).
    pub(crate) fn bind_source(&mut self, descriptor: i32, address: SocketAddr) {
        let index = self.socket(descriptor);
        self.socks[index as usize].local = Some(address);
    }

    /// listen(2).
    pub(crate) fn listen(&mut self, descriptor: i32, backlog: u32) {
        let index = self.socket(descriptor);
        let small = self.faults.has(Fault::SmallBacklog);
        if small {
            self.marks.strike(Fault::SmallBacklog);
        }
        self.listen_at(index, if small { 1 } else { backlog as usize });
    }

    pub(super) fn listen_at(&mut self, index: u32, backlog: usize) {
        let sock = &mut self.socks[index as usize];
        sock.backlog = backlog;
        if std::mem::replace(&mut sock.stage, Stage::Listening) == Stage::Listening {
            // listen(2) again changes the backlog.
            return;
        }
        let address = sock.local.expect("bound before");
        self.listeners.push((address, index));
    }

    /// The addresses that sockets listen on, in the order of listen(2).
    pub(crate) fn listening(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().map(|&(address, _)| address)
    }

    /// Whether bind(2) without `SO_REUSEPORT` finds a listener of this address. A new process
    /// during an upgrade gets the sockets of its predecessor, and does not ask.
    pub(crate) fn port_is_taken(&self, address: SocketAddr) -> Result<bool> {
        if !self.may_open(1) {
            return Err(libc::EMFILE);
        }
        Ok(!self.is_upgrading && self.listening().any(|other| other == address))
    }

    /// accept(2).
    pub(crate) fn accept(&mut self, descriptor: i32) -> Result<(i32, SocketAddr)> {
        let listener = self.socket(descriptor);
        if self.socks[listener as usize].stage != Stage::Listening {
            return Err(libc::EINVAL);
        }
        // Linux also checks the limit before the backlog.
        if !self.may_open(1) {
            self.marks.strike(Fault::FewDescriptors);
            self.pass(Mark::AcceptWithoutDescriptor);
            return Err(libc::EMFILE);
        }
        let index = self.take_waiting(listener).ok_or(libc::EAGAIN)?;
        self.accepted_open += 1;
        self.pass(Mark::AcceptedConnection);
        let remote = self.socks[index as usize].remote.ok_or(libc::ENOTCONN)?;
        Ok((self.install(File::Socket(index)), remote))
    }

    pub(super) fn take_waiting(&mut self, listener: u32) -> Option<u32> {
        let index = self.socks[listener as usize].queue.pop_front()?;
        let sock = &mut self.socks[index as usize];
        (sock.is_waiting, sock.was_accepted) = (false, true);
        sock.accepted_at = self.now;
        if sock.is_dead() {
            self.pass(Mark::AbortedInTheBacklog);
        }
        Some(index)
    }

    /// connect(2) of a non-blocking socket.
    pub(crate) fn connect(&mut self, descriptor: i32, to: SocketAddr) -> Result<()> {
        let index = self.socket(descriptor);
        self.begin_connect(index, to)
    }

    pub(super) fn begin_connect(&mut self, index: u32, to: SocketAddr) -> Result<()> {
        let bound = self.socks[index as usize].local;
        if let Some(bound) = bound.filter(|bound| bound.port() != 0) {
            self.ports.insert((bound.ip(), bound.port(), to), u64::MAX);
            self.start_connect(index, to);
            return Ok(());
        }
        let source = bound.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |bound| bound.ip());
        let count = self.limits.ports;
        let start = self.random.below(count.into());
        let now = self.now;
        let free = (0..usize::from(count)).find_map(|shift| {
            let offset = u16::try_from((start + shift) % usize::from(count)).ok()?;
            let port = FIRST_PORT + offset;
            let until = self.ports.get(&(source, port, to));
            until.is_none_or(|&until| until <= now).then_some(port)
        });
        let Some(port) = free else {
            self.marks.strike(Fault::FewPorts);
            self.pass(Mark::ConnectedWithoutPort);
            return Err(libc::EADDRNOTAVAIL);
        };
        self.ports.insert((source, port, to), u64::MAX);
        self.socks[index as usize].local = Some(SocketAddr::new(source, port));
        self.start_connect(index, to);
        Ok(())
    }

    /// `SO_ERROR`.
    pub(crate) fn take_error(&mut self, descriptor: i32) -> Option<i32> {
        let index = self.socket(descriptor);
        self.socks[index as usize].take_error()
    }

    /// recv(2) without waiting.
    pub(crate) fn receive(&mut self, descriptor: i32, into: &mut [u8]) -> Result<usize> {
        let index = self.socket(descriptor);
        let max = if self.strikes(Fault::ShortReceive, 3) {
            self.random.between(1, 16).min(into.len())
        } else {
            into.len()
        };
        self.read_bytes(index, &mut into[..max])
    }

    pub(super) fn read_bytes(&mut self, index: u32, into: &mut [u8]) -> Result<usize> {
        let sock = &mut self.socks[index as usize];
        let count = into.len().min(sock.input.len());
        if count == 0 {
            return self.read_nothing(index);
        }
        let (first, last) = sock.input.as_slices();
        let from_first = count.min(first.len());
        into[..from_first].copy_from_slice(&first[..from_first]);
        into[from_first..count].copy_from_slice(&last[..count - from_first]);
        sock.input.drain(..count);
        self.has_read(index, count);
        Ok(count)
    }

    /// Bytes were read from a socket's input, so the peer may send more.
    pub(super) fn has_read(&mut self, index: u32, bytes: usize) {
        let sock = &mut self.socks[index as usize];
        sock.read += bytes as u64;
        if sock.is_dead() {
            self.pass(Mark::ReceiveAfterReset);
            return;
        }
        if let Some(peer) = sock.peer {
            let waits = self.sock(peer).is_some_and(|peer| !peer.output.is_empty());
            if waits {
                let delay = self.random.between(2, 40) as u64 * 1_000;
                let event = super::kernel::Event::Window { to: peer };
                self.at(self.now + delay, event);
            }
        }
    }

    /// The result of a read of an empty input, in the order of Linux: the FIN, the error, the end
    /// of a connection whose error was returned, else would-block.
    pub(super) fn end_of_input(&mut self, index: u32) -> Option<i32> {
        let sock = &mut self.socks[index as usize];
        if sock.fin_received {
            return Some(0);
        }
        if let Some(error) = sock.take_error() {
            self.pass(Mark::ErrorToldToReceive);
            return Some(-error);
        }
        match sock.stage {
            Stage::Dead => Some(0),
            Stage::Open | Stage::Connecting => None,
            Stage::New | Stage::Listening => Some(-libc::ENOTCONN),
        }
    }

    /// The same as the result of a call.
    fn read_nothing(&mut self, index: u32) -> Result<usize> {
        match self.end_of_input(index) {
            None => Err(libc::EAGAIN),
            Some(0) => Ok(0),
            Some(error) => Err(-error),
        }
    }

    pub(super) fn send_error(&mut self, index: u32) -> Option<i32> {
        let sock = &mut self.socks[index as usize];
        if sock.error.is_none() && !sock.is_write_closed() {
            return match sock.stage {
                Stage::New | Stage::Listening => Some(libc::EPIPE),
                _ => None,
            };
        }
        match sock.take_error() {
            Some(error) => {
                self.pass(Mark::ErrorToldToSend);
                Some(error)
            }
            None => Some(libc::EPIPE),
        }
    }

    /// The most bytes that the next send takes; 0 makes the send wait.
    pub(super) fn send_room(&mut self, index: u32) -> usize {
        let sock = &mut self.socks[index as usize];
        let room = match sock.stage {
            Stage::Open => sock.room(),
            _ => 0,
        };
        if room == 0 {
            sock.is_full = true;
            self.pass(Mark::SendBufferFull);
            return 0;
        }
        if self.strikes(Fault::ShortSend, 3) {
            return self.random.between(1, room.min(16));
        }
        room
    }

    pub(super) fn write_bytes(&mut self, index: u32, bytes: &[u8]) -> usize {
        self.socks[index as usize].output.extend(bytes);
        self.has_written(index, bytes.len());
        bytes.len()
    }

    /// Bytes were put into a socket's output.
    fn has_written(&mut self, index: u32, bytes: usize) {
        let sock = &mut self.socks[index as usize];
        sock.written += bytes as u64;
        if sock.room() == 0 {
            sock.is_full = true;
        }
        self.pump(index);
    }

    /// send(2) without waiting.
    pub(crate) fn send(
        &mut self,
        descriptor: i32,
        parts: &[std::io::IoSlice<'_>],
    ) -> Result<usize> {
        let index = self.socket(descriptor);
        if let Some(error) = self.send_error(index) {
            return Err(error);
        }
        let room = self.send_room(index);
        if room == 0 {
            return Err(libc::EAGAIN);
        }
        let mut taken = 0;
        for part in parts {
            let count = part.len().min(room - taken);
            self.socks[index as usize].output.extend(&part[..count]);
            taken += count;
        }
        if parts.len() > 1 {
            self.pass(Mark::SendGathered);
        }
        self.has_written(index, taken);
        Ok(taken)
    }

    /// shutdown(2) of the write side.
    pub(crate) fn shutdown(&mut self, descriptor: i32) -> Result<()> {
        let index = self.socket(descriptor);
        self.shut(index)
    }

    pub(super) fn shut(&mut self, index: u32) -> Result<()> {
        let sock = &mut self.socks[index as usize];
        if sock.stage != Stage::Open {
            return Err(libc::ENOTCONN);
        }
        sock.fin_wanted = true;
        self.pump(index);
        Ok(())
    }

    pub(crate) fn readable(&self, descriptor: i32) -> bool {
        self.socks[self.socket(descriptor) as usize].is_readable()
    }

    pub(crate) fn writable(&mut self, descriptor: i32) -> bool {
        let index = self.socket(descriptor) as usize;
        self.socks[index].poll_writable()
    }

    /// No new connection reaches a listener from now on.
    pub(crate) fn turn_away(&mut self, descriptor: i32) {
        let index = self.socket(descriptor);
        self.socks[index as usize].turns_away = true;
    }

    /// shutdown(2) of a listener: the address is free before the descriptor is closed.
    pub(crate) fn stop_listening(&mut self, descriptor: i32) {
        let index = self.socket(descriptor);
        self.end_listening(index);
    }

    pub(crate) fn set_reset_on_close(&mut self, descriptor: i32, resets: bool) {
        let index = self.socket(descriptor);
        self.socks[index as usize].reset_on_close = resets;
    }

    pub(crate) fn set_buffers(
        &mut self,
        descriptor: i32,
        send: Option<usize>,
        receive: Option<usize>,
    ) {
        let index = self.socket(descriptor);
        let sock = &mut self.socks[index as usize];
        // Doubled, and never below the minimum for a segment (socket(7), `SOCK_MIN_SNDBUF`).
        let size = |wanted: Option<usize>, least: usize| wanted.map(|bytes| least.max(2 * bytes));
        sock.send_buffer = size(send, SEND_BUFFER_MIN).unwrap_or(sock.send_buffer);
        sock.receive_buffer = size(receive, RECEIVE_BUFFER_MIN).unwrap_or(sock.receive_buffer);
    }

    /// Silence and unacknowledged data for how long, in seconds and nanoseconds.
    pub(crate) fn set_patience(
        &mut self,
        descriptor: i32,
        keepalive: Option<u64>,
        user_timeout: Option<u64>,
    ) {
        let index = self.socket(descriptor);
        let sock = &mut self.socks[index as usize];
        sock.keepalive = keepalive.map(|seconds| seconds * SECOND).or(sock.keepalive);
        sock.user_timeout = user_timeout.or(sock.user_timeout);
    }

    /// Local and remote address.
    pub(crate) fn addresses(&self, descriptor: i32) -> (Option<SocketAddr>, Option<SocketAddr>) {
        let sock = &self.socks[self.socket(descriptor) as usize];
        let connected = sock.stage == Stage::Open;
        (sock.local, sock.remote.filter(|_| connected))
    }

    /// The socket's counts of bytes, and whether the connection is over.
    pub(crate) fn figures(&self, descriptor: i32) -> Figures {
        let sock = &self.socks[self.socket(descriptor) as usize];
        Figures {
            unread: sock.input.len(),
            unacknowledged: sock.unacknowledged_in_all(),
            acknowledged: sock.acknowledged,
            is_closed: sock.is_dead(),
            room: sock.room(),
        }
    }

    /// pipe(2).
    pub(crate) fn open_pipe(&mut self) -> Result<i32> {
        if !self.may_open(2) {
            self.marks.strike(Fault::FewDescriptors);
            return Err(libc::EMFILE);
        }
        self.pipes.push(Some(std::collections::VecDeque::new()));
        let pipe = u32::try_from(self.pipes.len() - 1).expect("few pipes");
        // A single descriptor represents both ends, so it counts twice against the limit above.
        self.open += 1;
        Ok(self.install(File::Pipe(pipe)))
    }

    fn pipe(&mut self, descriptor: i32) -> &mut std::collections::VecDeque<u8> {
        let Some(File::Pipe(pipe)) = self.file(descriptor) else {
            panic!("invariant I6: a pipe is used after its close");
        };
        self.pipes[pipe as usize].as_mut().expect("open")
    }

    /// splice(2) from a socket into a pipe.
    pub(crate) fn splice_in(&mut self, pipe: i32, socket: i32, max: usize) -> Result<usize> {
        let index = self.socket(socket);
        if self.strikes(Fault::NoSplice, 2) {
            return Err(libc::EINVAL);
        }
        let held = self.pipe(pipe).len();
        assert_eq!(
            held, 0,
            "invariant I4: a pipe holds bytes of another session"
        );
        let max = self.short_splice(max.min(PIPE));
        let sock = &mut self.socks[index as usize];
        let count = max.min(sock.input.len());
        if count == 0 {
            return self.read_nothing(index);
        }
        let bytes: Vec<u8> = sock.input.drain(..count).collect();
        self.pipe(pipe).extend(bytes);
        self.has_read(index, count);
        Ok(count)
    }

    /// splice(2) from a pipe into a socket.
    pub(crate) fn splice_out(&mut self, pipe: i32, socket: i32, max: usize) -> Result<usize> {
        let index = self.socket(socket);
        // An empty pipe is looked at first (`splice_to_socket`).
        if self.pipe(pipe).is_empty() {
            return Err(libc::EAGAIN);
        }
        if let Some(error) = self.send_error(index) {
            return Err(error);
        }
        let room = self.send_room(index);
        if room == 0 {
            return Err(libc::EAGAIN);
        }
        let count = self.short_splice(max.min(room));
        let held = self.pipe(pipe);
        let count = count.min(held.len());
        let bytes: Vec<u8> = held.drain(..count).collect();
        if !held.is_empty() {
            self.pass(Mark::PipeLeftOver);
        }
        self.pass(Mark::SplicedBytes);
        Ok(self.write_bytes(index, &bytes))
    }

    /// read(2) from a pipe.
    pub(crate) fn read_pipe(&mut self, pipe: i32, into: &mut [u8]) -> usize {
        let held = self.pipe(pipe);
        let count = into.len().min(held.len());
        for (to, byte) in into.iter_mut().zip(held.drain(..count)) {
            *to = byte;
        }
        count
    }

    fn short_splice(&mut self, max: usize) -> usize {
        if max > 1 && self.strikes(Fault::ShortSplice, 4) {
            self.random.between(1, max)
        } else {
            max
        }
    }
}

/// A socket's counts of bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) unread: usize,
    pub(crate) unacknowledged: usize,
    pub(crate) acknowledged: u64,
    pub(crate) is_closed: bool,
    pub(crate) room: usize,
}
