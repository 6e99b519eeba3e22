//! The peers: plain blocking sockets, their bytes, and addresses that do not answer.
#![expect(clippy::disallowed_methods, reason = "peers are threads that block")]

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, SockRef, Type};

pub(super) use crate::poller::pattern::pattern;
use crate::sys::{self, OsSocket};

/// Long enough for the slowest machine, short enough to notice a hang.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// Compares without printing megabytes.
pub(super) fn same(got: &[u8], expected: &[u8]) {
    let differ = got.iter().zip(expected).position(|(a, b)| a != b);
    assert_eq!(differ, None, "the first byte that differs");
    assert_eq!(got.len(), expected.len(), "bytes");
}

pub(super) fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
}

/// A non-blocking listener with a long backlog.
pub(super) fn wide_listener() -> (OsSocket, SocketAddr) {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = sys::bind_shared(any, false).unwrap();
    sys::listen(sys::borrow(&listener), 4096).unwrap();
    let address = sys::local_address(sys::borrow(&listener)).unwrap();
    (listener, address)
}

/// An established connection; reads and writes of the second end fail after the patience.
pub(super) fn pair() -> (TcpStream, TcpStream) {
    let listener = listener();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (ours, _) = listener.accept().unwrap();
    (ours, patient(peer))
}

pub(super) fn patient(peer: TcpStream) -> TcpStream {
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    peer.set_write_timeout(Some(PATIENCE)).unwrap();
    peer.set_nodelay(true).unwrap();
    peer
}

/// Closes with a reset.
pub(super) fn reset(peer: TcpStream) {
    SockRef::from(&peer)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(peer);
}

/// Reads to the end of the stream; fails the test after the patience.
pub(super) fn read_all(mut peer: &TcpStream) -> (Vec<u8>, io::Result<()>) {
    let (mut all, mut part) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        match peer.read(&mut part) {
            Ok(0) => return (all, end_again(peer)),
            Ok(n) => all.extend(&part[..n]),
            Err(e) => {
                let late = matches!(
                    e.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                );
                assert!(!late, "the peer saw no end");
                return (all, Err(e));
            }
        }
    }
}

/// Reads once more to learn how the stream has ended.
///
/// Wine's server may consume a reset that arrives during a read (`SO_ERROR`, reported once on
/// Linux), and the read then looks like an orderly end. The next read reports the reset.
fn end_again(mut peer: &TcpStream) -> io::Result<()> {
    peer.read(&mut [0])
        .map(|bytes| assert_eq!(bytes, 0, "bytes behind the end"))
}

/// A peer that writes all bytes and reads none.
pub(super) fn writes(peer: &TcpStream, data: Vec<u8>) -> JoinHandle<()> {
    let mut peer = peer.try_clone().unwrap();
    thread::spawn(move || peer.write_all(&data).unwrap())
}

/// A peer that reads this many bytes.
pub(super) fn reads(peer: &TcpStream, bytes: usize) -> JoinHandle<Vec<u8>> {
    let mut peer = peer.try_clone().unwrap();
    thread::spawn(move || {
        let mut got = vec![0; bytes];
        peer.read_exact(&mut got).unwrap();
        got
    })
}

/// An address whose listener drops every SYN because its backlog is full, until dropped.
pub(super) struct BlackHole {
    pub(super) address: SocketAddr,
    _sockets: Vec<socket2::Socket>,
}

impl BlackHole {
    pub(super) fn open() -> Self {
        let stream = || socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let listener = stream();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        listener.bind(&any.into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut sockets = vec![listener];
        for _ in 0..8 {
            let filler = stream();
            filler.set_nonblocking(true).unwrap();
            // In progress, or connected while there is room.
            drop(filler.connect(&address));
            sockets.push(filler);
        }
        Self {
            address: address.as_socket().unwrap(),
            _sockets: sockets,
        }
    }
}

/// Pseudo-random numbers, reproducible by seed (splitmix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ z >> 31) >> 16).unwrap() % bound
    }

    /// At least 1 and at most a random choice of these sizes.
    pub(super) fn size(&mut self, sizes: &[usize]) -> usize {
        let most = sizes[self.below(sizes.len())];
        1 + self.below(most)
    }
}
