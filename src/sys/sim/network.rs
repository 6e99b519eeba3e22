//! The simulated network and TCP's rules: the order of segments, and the effect of each.
//!
//! Sources: RFC 9293; where the RFC leaves a choice, Linux (`tcp_reset`, `tcp_close`,
//! `tcp_recvmsg`).

use super::fault::{Fault, Mark};
use super::kernel::{Event, Kernel, MICRO, MILLI, SECOND, TIME_WAIT};
use super::socket::{NOWHERE, Owner, SockRef, Stage};

/// Largest segment.
const SEGMENT: usize = 1 << 16;
/// How long data is sent again before the connection is given up (tcp(7), `tcp_retries2`).
const RETRANSMISSION: u64 = 924 * SECOND;

impl Kernel {
    pub(super) fn latency(&mut self) -> u64 {
        if self.strikes(Fault::SlowNetwork, 4) {
            return self.random.between(1, 40) as u64 * MILLI;
        }
        self.random.between(2, 60) as u64 * MICRO
    }

    /// Sends a segment of a socket after all earlier segments.
    pub(super) fn transmit(&mut self, from: u32, event: Event) {
        let arrival = self.now + self.latency();
        let sock = &mut self.socks[from as usize];
        sock.last_arrival = sock.last_arrival.max(arrival);
        let arrival = sock.last_arrival;
        self.at(arrival, event);
    }

    /// The peer's socket, unless dead or cut off.
    fn peer_of(&mut self, index: u32) -> Option<SockRef> {
        let sock = &self.socks[index as usize];
        if sock.is_cut_off {
            return None;
        }
        sock.peer
    }

    /// Sends as many bytes as the window allows, and the FIN after the last byte.
    pub(super) fn pump(&mut self, index: u32) {
        let sock = &self.socks[index as usize];
        if sock.stage != Stage::Open {
            return;
        }
        if sock.is_cut_off {
            if !sock.output.is_empty() || sock.fin_wanted && !sock.fin_sent {
                let patience = sock.user_timeout.unwrap_or(RETRANSMISSION);
                self.give_up_after(index, patience, libc::ETIMEDOUT);
            }
            return;
        }
        let Some(peer) = sock.peer else { return };
        while !self.socks[index as usize].output.is_empty() {
            // A dead peer receives everything, and answers with a reset.
            let window = self.sock(peer).map_or(SEGMENT, |peer| peer.window());
            let most = self.socks[index as usize]
                .output
                .len()
                .min(window)
                .min(SEGMENT);
            if most == 0 {
                self.pass(Mark::ReceiveWindowFull);
                return;
            }
            let bytes = if most > 1 && self.strikes(Fault::SplitSegments, 3) {
                self.random.between(1, most)
            } else {
                most
            };
            self.put_on_wire(index, peer, bytes);
        }
        let sock = &mut self.socks[index as usize];
        if sock.fin_wanted && !sock.fin_sent {
            sock.fin_sent = true;
            self.transmit(index, Event::Fin { to: peer });
        }
    }

    fn put_on_wire(&mut self, index: u32, peer: SockRef, bytes: usize) {
        let mut output = std::mem::take(&mut self.socks[index as usize].output);
        if self.sock(peer).is_some() {
            let wire = &mut self.socks[peer.index as usize].wire;
            wire.extend(output.drain(..bytes));
        } else {
            output.drain(..bytes);
        }
        let sock = &mut self.socks[index as usize];
        sock.output = output;
        sock.unacknowledged += bytes;
        let bytes = u32::try_from(bytes).expect("a segment");
        self.transmit(index, Event::Data { to: peer, bytes });
    }

    /// Carries out an event.
    pub(super) fn happen(&mut self, event: Event) {
        if self.trace.verbose {
            let now = self.now / MICRO;
            self.trace.say(format_args!("{now} us: {event:?}"));
        }
        match event {
            Event::Syn { from, to, lost } => self.on_syn(from, to, lost),
            Event::SynAck { to, refused } => self.on_syn_ack(to, refused),
            Event::Data { to, bytes } => self.on_data(to, bytes),
            Event::Ack { to, bytes } => self.on_ack(to, bytes as usize),
            Event::Window { to } => {
                if self.sock(to).is_some() {
                    self.pump(to.index);
                }
            }
            Event::Fin { to } => self.on_fin(to),
            Event::FinAck { to } => {
                if let Some(sock) = self.sock(to) {
                    // And all earlier bytes (RFC 9293 §3.4).
                    sock.acknowledged += sock.unacknowledged as u64;
                    sock.unacknowledged = 0;
                    sock.fin_acknowledged = true;
                    self.close_if_over(to.index);
                }
            }
            Event::Reset { to } => self.on_reset(to),
            Event::GiveUp { to, error } => self.on_give_up(to, error),
            Event::Actor(actor) => self.roused.push(actor),
        }
    }

    fn on_data(&mut self, to: SockRef, bytes: u32) {
        let now = self.now;
        let Some(sock) = self.sock(to) else { return };
        if sock.is_cut_off || sock.is_dead() {
            return;
        }
        let from = sock.peer;
        let arrived: usize = bytes as usize;
        if sock.is_orphan {
            // No application will read the bytes: RFC 1122 §4.2.2.13.
            self.pass(Mark::ResetForLateData);
            self.reset(to.index);
            return;
        }
        if sock.input.is_empty() {
            sock.unread_since = now;
        }
        let (first, last) = sock.wire.as_slices();
        let from_first = arrived.min(first.len());
        sock.input.extend(&first[..from_first]);
        sock.input.extend(&last[..arrived - from_first]);
        sock.wire.drain(..arrived);
        self.wake(to.index);
        let Some(from) = from else { return };
        let delay = if self.strikes(Fault::SlowAcks, 3) {
            self.random.between(1, 40) as u64 * MILLI
        } else {
            self.random.between(2, 30) as u64 * MICRO
        };
        self.at(self.now + delay, Event::Ack { to: from, bytes });
    }

    fn on_ack(&mut self, to: SockRef, bytes: usize) {
        let now = self.now;
        let Some(sock) = self.sock(to) else { return };
        if sock.stage != Stage::Open {
            return;
        }
        // Bytes acknowledged with a FIN are not acknowledged again.
        let bytes = bytes.min(sock.unacknowledged);
        sock.unacknowledged -= bytes;
        sock.acknowledged += bytes as u64;
        sock.acknowledged_at = now;
        let wakes = sock.is_full && sock.is_writable();
        if wakes {
            sock.is_full = false;
        }
        self.pump(to.index);
        if wakes {
            self.wake(to.index);
        }
        self.close_if_over(to.index);
    }

    fn on_fin(&mut self, to: SockRef) {
        let Some(sock) = self.sock(to) else { return };
        if sock.is_cut_off || sock.is_dead() {
            return;
        }
        debug_assert!(sock.wire.is_empty(), "a FIN arrives behind the data");
        sock.fin_received = true;
        let (with_data, simultaneous) = (sock.read + sock.input.len() as u64, sock.fin_sent);
        self.pass(if with_data > 0 {
            Mark::FinAfterData
        } else {
            Mark::FinWithoutData
        });
        if simultaneous {
            self.pass(Mark::SimultaneousClose);
        }
        self.wake(to.index);
        if let Some(peer) = self.socks[to.index as usize].peer {
            let delay = self.random.between(2, 30) as u64 * MICRO;
            self.at(self.now + delay, Event::FinAck { to: peer });
        }
        self.close_if_over(to.index);
    }

    /// Both FINs are acknowledged: the connection is over. The side that closed first keeps its
    /// ports for a while.
    fn close_if_over(&mut self, index: u32) {
        let now = self.now;
        let sock = &mut self.socks[index as usize];
        let acknowledged = sock.fin_acknowledged && sock.output.is_empty();
        if sock.stage != Stage::Open || !sock.fin_received || !acknowledged {
            return;
        }
        sock.stage = Stage::Dead;
        let corelanes = sock.owner == Some(Owner::Corelane);
        if let (true, Some(local), Some(remote)) = (corelanes, sock.local, sock.remote) {
            let key = (local.ip(), local.port(), remote);
            if let Some(until) = self.ports.get_mut(&key) {
                *until = now + TIME_WAIT;
                self.pass(Mark::TimeWaitHeldPort);
            }
        }
        self.wake(index);
        self.free_if_done(index);
    }

    fn on_reset(&mut self, to: SockRef) {
        let Some(sock) = self.sock(to) else { return };
        if sock.is_dead() || sock.is_cut_off {
            return;
        }
        // `tcp_reset`: the error depends on the state.
        let error = match sock.stage {
            Stage::Connecting => libc::ECONNREFUSED,
            // CLOSE_WAIT, and no later state.
            _ if sock.fin_received && !sock.fin_wanted => libc::EPIPE,
            _ => libc::ECONNRESET,
        };
        if sock.is_waiting {
            self.pass(Mark::ResetBeforeAccept);
        }
        self.die(to.index, Some(error));
    }

    fn on_give_up(&mut self, to: SockRef, error: i32) {
        let Some(sock) = self.sock(to) else { return };
        if sock.is_dead() {
            return;
        }
        let connecting = sock.stage == Stage::Connecting;
        if !connecting && !sock.is_cut_off {
            return;
        }
        if !connecting {
            let busy = !sock.output.is_empty() || sock.unacknowledged > 0 || sock.fin_wanted;
            self.pass(if busy {
                Mark::RetransmissionGaveUp
            } else {
                Mark::KeepaliveGaveUp
            });
        }
        self.die(to.index, Some(error));
    }

    pub(super) fn give_up_after(&mut self, index: u32, after: u64, error: i32) {
        let to = self.reference(index);
        self.at(self.now.saturating_add(after), Event::GiveUp { to, error });
    }

    /// Ends the connection on this side: unsent bytes are lost, received bytes stay readable.
    pub(super) fn die(&mut self, index: u32, error: Option<i32>) {
        let sock = &mut self.socks[index as usize];
        sock.stage = Stage::Dead;
        sock.error = error;
        sock.lost += sock.output.len() + sock.unacknowledged;
        sock.output.clear();
        sock.wire.clear();
        sock.unacknowledged = 0;
        if sock.is_orphan {
            sock.input.clear();
        }
        self.free_port(index);
        self.wake(index);
        self.free_if_done(index);
    }

    fn free_port(&mut self, index: u32) {
        let sock = &self.socks[index as usize];
        if let (Some(Owner::Corelane), Some(local), Some(remote)) =
            (sock.owner, sock.local, sock.remote)
        {
            self.ports.remove(&(local.ip(), local.port(), remote));
        }
    }

    /// Ends a connection by a reset, after the bytes on the wire.
    pub(super) fn reset(&mut self, index: u32) {
        if self.socks[index as usize].stage == Stage::Open
            && let Some(to) = self.peer_of(index)
        {
            self.transmit(index, Event::Reset { to });
        }
        self.die(index, None);
    }

    /// The last reference is gone: close(2) by the application.
    pub(super) fn app_closes(&mut self, index: u32) {
        let sock = &mut self.socks[index as usize];
        if self.trace.verbose {
            let (owner, stage, unread) = (sock.owner, sock.stage, sock.input.len());
            let ending = if sock.reset_on_close { "reset" } else { "FIN" };
            self.trace.say(format_args!(
                "socket {index} of {owner:?} is closed by {ending}: {stage:?}, {unread} unread"
            ));
        }
        let sock = &mut self.socks[index as usize];
        sock.is_orphan = true;
        if sock.was_accepted && sock.owner == Some(Owner::Corelane) {
            self.accepted_open -= 1;
        }
        let sock = &mut self.socks[index as usize];
        let unread_bytes = sock.input.len() as u64;
        let unread = unread_bytes > 0;
        sock.input.clear();
        let used = !sock.is_waiting && sock.remote.is_some();
        if sock.owner == Some(Owner::Corelane) && used {
            let (local, remote) = (
                sock.local.unwrap_or(NOWHERE),
                sock.remote.unwrap_or(NOWHERE),
            );
            let (read, written, accepted_at) = (sock.read, sock.written, sock.accepted_at);
            let outstanding = !sock.output.is_empty() || sock.unacknowledged > 0;
            let acknowledged_since = if outstanding || sock.is_dead() {
                u64::MAX
            } else {
                sock.acknowledged_at
            };
            let unread_since = sock.unread_since;
            self.closed.push(super::kernel::Closed {
                local,
                remote,
                read,
                written,
                unread: unread_bytes,
                unread_since,
                acknowledged_since,
                accepted_at,
            });
        }
        let sock = &mut self.socks[index as usize];
        match sock.stage {
            Stage::Listening => self.end_listening(index),
            Stage::Open if unread => {
                self.pass(Mark::ResetForUnreadInput);
                self.reset(index);
            }
            Stage::Open if sock.reset_on_close => {
                self.pass(Mark::ResetOnPurpose);
                self.reset(index);
            }
            Stage::Open => {
                sock.fin_wanted = true;
                self.pump(index);
                self.close_if_over(index);
            }
            Stage::Connecting => {
                if let Some(to) = sock.peer {
                    // The peer took the connection as established.
                    self.transmit(index, Event::Reset { to });
                }
                self.die(index, None);
            }
            Stage::New => self.die(index, None),
            Stage::Dead => self.free_if_done(index),
        }
    }

    pub(super) fn end_listening(&mut self, index: u32) {
        self.listeners.retain(|&(_, listener)| listener != index);
        while let Some(waiting) = self.socks[index as usize].queue.pop_front() {
            self.pass(Mark::BacklogResetByClose);
            self.socks[waiting as usize].reset_on_close = true;
            self.let_go(waiting);
        }
        self.die(index, None);
    }

    /// Cuts both directions of a connection.
    pub(super) fn cut_off(&mut self, index: u32) {
        let both = [Some(self.reference(index)), self.socks[index as usize].peer];
        for end in both.into_iter().flatten() {
            let Some(sock) = self.sock(end) else { continue };
            if sock.is_dead() {
                continue;
            }
            sock.is_cut_off = true;
            let busy = !sock.output.is_empty() || sock.unacknowledged > 0;
            let patience = match (busy, sock.keepalive) {
                (true, _) => Some(sock.user_timeout.unwrap_or(RETRANSMISSION)),
                (false, keepalive) => keepalive,
            };
            if let Some(patience) = patience {
                self.give_up_after(end.index, patience, libc::ETIMEDOUT);
            }
        }
    }
}
