//! How simulated connections begin or fail.

use std::net::SocketAddr;

use super::fault::{Fault, Mark};
use super::kernel::{Event, Kernel, MILLI, SECOND};
use super::socket::{Owner, SockRef, Stage};

/// SYNs are repeated after 1, 2, 4 ... seconds, six times, before the connect fails (tcp(7),
/// `tcp_syn_retries`).
const SYN_TRIES: u32 = 6;

impl Kernel {
    /// Starts a connect from a bound socket.
    pub(super) fn start_connect(&mut self, index: u32, to: SocketAddr) {
        let from = self.reference(index);
        let sock = &mut self.socks[index as usize];
        sock.stage = Stage::Connecting;
        sock.remote = Some(to);
        let corelanes = sock.owner == Some(Owner::Corelane);
        if corelanes && self.strikes(Fault::ConnectUnreachable, 8) {
            let after = self.random.between(1, 2_000) as u64 * MILLI;
            self.give_up_after(index, after, libc::EHOSTUNREACH);
            return;
        }
        if corelanes && self.strikes(Fault::ConnectBlackHole, 8) {
            self.give_up_after(index, 127 * SECOND, libc::ETIMEDOUT);
            return;
        }
        let delay = if corelanes && self.strikes(Fault::ConnectLate, 4) {
            self.random.between(1, 5_000) as u64 * MILLI
        } else {
            self.latency()
        };
        let lost = 0;
        self.at(self.now + delay, Event::Syn { from, to, lost });
    }

    pub(super) fn on_syn(&mut self, from: SockRef, to: SocketAddr, lost: u32) {
        let Some(client) = self.sock(from) else {
            return;
        };
        if client.stage != Stage::Connecting {
            return;
        }
        let (corelanes, remote) = (client.owner == Some(Owner::Corelane), client.local);
        let itself = remote == Some(to);
        let refused = corelanes && self.strikes(Fault::ConnectRefused, 6);
        let group: Vec<u32> = self
            .listeners
            .iter()
            .filter(|(address, _)| *address == to)
            .map(|&(_, listener)| listener)
            .collect();
        if itself && group.is_empty() {
            self.meet_itself(from);
            return;
        }
        if refused || group.is_empty() {
            let delay = self.latency();
            let refused = true;
            self.at(self.now + delay, Event::SynAck { to: from, refused });
            return;
        }
        let listener = self.random.pick(&group);
        let waiting = &self.socks[listener as usize];
        let turns_away = waiting.turns_away;
        if turns_away || waiting.queue.len() > waiting.backlog {
            self.pass(if turns_away {
                Mark::TurnedAway
            } else {
                Mark::BacklogOverflow
            });
            if lost == SYN_TRIES {
                self.give_up_after(from.index, 0, libc::ETIMEDOUT);
            } else {
                let at = self.now + (SECOND << lost);
                let lost = lost + 1;
                self.at(at, Event::Syn { from, to, lost });
            }
            return;
        }
        if lost > 0 {
            self.pass(Mark::ConnectAfterSynRetry);
        }
        self.queue_up(listener, from, to, remote);
    }

    /// Adds a connection to a listener's backlog, and answers the client.
    fn queue_up(
        &mut self,
        listener: u32,
        from: SockRef,
        to: SocketAddr,
        remote: Option<SocketAddr>,
    ) {
        let parent = &self.socks[listener as usize];
        let owner = parent.owner.expect("somebody listens");
        let (user_timeout, keepalive) = (parent.user_timeout, parent.keepalive);
        let resets = parent.reset_on_close;
        let index = self.new_sock(owner);
        let sock = &mut self.socks[index as usize];
        sock.is_waiting = true;
        sock.stage = Stage::Open;
        (sock.local, sock.remote, sock.peer) = (Some(to), remote, Some(from));
        (sock.user_timeout, sock.keepalive) = (user_timeout, keepalive);
        sock.reset_on_close = resets;
        self.socks[listener as usize].queue.push_back(index);
        let server = self.reference(index);
        self.socks[from.index as usize].peer = Some(server);
        self.wake(listener);
        // Nothing overtakes the answer.
        self.transmit(
            index,
            Event::SynAck {
                to: from,
                refused: false,
            },
        );
    }

    /// A simultaneous open of a socket with the socket itself (RFC 9293 §3.5).
    fn meet_itself(&mut self, from: SockRef) {
        self.pass(Mark::ConnectedToItself);
        let sock = &mut self.socks[from.index as usize];
        sock.stage = Stage::Open;
        sock.peer = Some(from);
        self.wake(from.index);
    }

    pub(super) fn on_syn_ack(&mut self, to: SockRef, refused: bool) {
        let Some(sock) = self.sock(to) else {
            return;
        };
        if sock.stage != Stage::Connecting {
            return;
        }
        if refused {
            self.die(to.index, Some(libc::ECONNREFUSED));
            return;
        }
        sock.stage = Stage::Open;
        self.wake(to.index);
        // Bytes that the server has written meanwhile wait for the end of the handshake.
        if let Some(peer) = self.socks[to.index as usize].peer {
            self.at(self.now, Event::Window { to: peer });
        }
    }
}
