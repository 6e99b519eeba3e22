//! The simulated kernel for clients and upstreams: sockets of their own, without descriptors.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::kernel::Kernel;
use super::socket::{Owner, SockRef, Stage};

/// The result of a read of an outside socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Bytes(usize),
    Nothing,
    Fin,
    /// The error number of a reset or a timeout.
    Failed(i32),
}

impl Kernel {
    /// Listens for an upstream.
    pub(crate) fn outside_listen(
        &mut self,
        address: SocketAddr,
        backlog: usize,
        actor: u32,
    ) -> SockRef {
        let index = self.new_sock(Owner::Outside(actor));
        self.socks[index as usize].local = Some(address);
        self.listen_at(index, backlog);
        self.reference(index)
    }

    /// Accepts a pending connection for `actor`.
    pub(crate) fn outside_accept(&mut self, listener: SockRef, actor: u32) -> Option<SockRef> {
        let index = self.take_waiting(listener.index)?;
        self.socks[index as usize].owner = Some(Owner::Outside(actor));
        Some(self.reference(index))
    }

    /// Connects from an unused address.
    pub(crate) fn outside_connect(&mut self, to: SocketAddr, actor: u32) -> (SockRef, SocketAddr) {
        let number = self.outside_addresses;
        self.outside_addresses += 1;
        let ip = IpAddr::V4(Ipv4Addr::from_bits(0x0A00_0000 + number / 50_000));
        let port = u16::try_from(10_000 + number % 50_000).expect("below 60,000");
        let from = SocketAddr::new(ip, port);
        let index = self.new_sock(Owner::Outside(actor));
        self.socks[index as usize].local = Some(from);
        self.start_connect(index, to);
        (self.reference(index), from)
    }

    /// Whether the socket has connected, or the error.
    pub(crate) fn outside_connected(&mut self, socket: SockRef) -> Result<bool, i32> {
        let sock = &mut self.socks[socket.index as usize];
        match sock.stage {
            Stage::Connecting => Ok(false),
            Stage::Dead => match sock.take_error() {
                Some(error) if sock.input.is_empty() => Err(error),
                error => {
                    sock.error = error;
                    Ok(true)
                }
            },
            _ => Ok(true),
        }
    }

    /// Writes as many bytes as fit, or returns the error of a dead connection.
    pub(crate) fn outside_write(&mut self, socket: SockRef, bytes: &[u8]) -> Result<usize, i32> {
        let index = socket.index;
        let sock = &mut self.socks[index as usize];
        if sock.is_write_closed() {
            // The error stays for the read, after the bytes that have arrived.
            return Err(libc::EPIPE);
        }
        let count = bytes.len().min(sock.room());
        if count == 0 {
            sock.is_full = true;
            return Ok(0);
        }
        Ok(self.write_bytes(index, &bytes[..count]))
    }

    pub(crate) fn outside_read(&mut self, socket: SockRef, into: &mut [u8]) -> Got {
        match self.read_bytes(socket.index, into) {
            Ok(0) => Got::Fin,
            Ok(bytes) => Got::Bytes(bytes),
            Err(libc::EAGAIN) => Got::Nothing,
            Err(error) => Got::Failed(error),
        }
    }

    pub(crate) fn outside_shutdown(&mut self, socket: SockRef) -> bool {
        self.shut(socket.index).is_ok()
    }

    /// Closes, by reset on request or with unread input. Returns whether the close was a reset.
    pub(crate) fn outside_close(&mut self, socket: SockRef, reset: bool) -> bool {
        let sock = &mut self.socks[socket.index as usize];
        sock.reset_on_close = reset;
        let resets = sock.stage == Stage::Open && (reset || !sock.input.is_empty());
        self.let_go(socket.index);
        resets
    }

    /// The host is gone, without a word.
    pub(crate) fn outside_vanish(&mut self, socket: SockRef) {
        self.cut_off(socket.index);
        self.die(socket.index, None);
        self.let_go(socket.index);
    }

    /// The peer's address.
    pub(crate) fn outside_remote(&self, socket: SockRef) -> Option<SocketAddr> {
        self.socks[socket.index as usize].remote
    }

    /// How many bytes the peer's process has read and written, while the peer exists.
    pub(crate) fn other_end(&mut self, socket: SockRef) -> Option<(u64, u64)> {
        let peer = self.socks[socket.index as usize].peer?;
        self.sock(peer).map(|peer| (peer.read, peer.written))
    }
}
