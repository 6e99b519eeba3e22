//! Random sequences of all operations, checked against the promises of TCP and of the poller.
//!
//! A failure names its seed. `CORELANE_MODEL_SEED` runs one seed, `CORELANE_MODEL_RUNS` sets the
//! number of seeds.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::peer::{Random, pattern, reset, same};
use super::world::{World, is_cancelled, sleep};
use crate::poller::{Close, Event, Op, OpKind, RecvEnd, Socket};

const CONNECTIONS: usize = 4;
const STEPS: usize = 300;

/// One connection, and the facts that either side may rely on.
struct Line {
    socket: Socket,
    /// Seeds this connection's bytes, so that foreign bytes are noticed.
    name: u64,
    peer: Option<TcpStream>,
    peer_wrote: usize,
    peer_ended: bool,
    peer_sent_fin: bool,
    was_reset: bool,
    we_ended: bool,
    received: usize,
    /// The stream from the peer has ended.
    end_seen: bool,
    sent: usize,
    sending: usize,
    send_failed: bool,
    peer_got: usize,
}

impl Line {
    fn open(world: &mut World, name: u64) -> Self {
        let (socket, peer) = world.pair();
        if name.is_multiple_of(2) {
            world.tiny_send_buffer(socket);
        }
        peer.set_nonblocking(true).unwrap();
        Self {
            socket,
            name,
            peer: Some(peer),
            peer_wrote: 0,
            peer_ended: false,
            peer_sent_fin: false,
            was_reset: false,
            we_ended: false,
            received: 0,
            end_seen: false,
            sent: 0,
            sending: 0,
            send_failed: false,
            peer_got: 0,
        }
    }

    fn ours(&self, offset: usize, bytes: usize) -> Vec<u8> {
        pattern(self.name << 1, offset, bytes)
    }

    fn theirs(&self, offset: usize, bytes: usize) -> Vec<u8> {
        pattern(self.name << 1 | 1, offset, bytes)
    }

    /// Takes the events and checks them.
    fn settle(&mut self, world: &mut World) {
        let socket = self.socket;
        let got = world.take_got(socket);
        assert!(self.received + got.len() <= self.peer_wrote, "from nowhere");
        same(&got, &self.theirs(self.received, got.len()));
        self.received += got.len();
        if let Some(Event::RecvEnded(end)) = world.take_final(socket, OpKind::Recv) {
            match end {
                RecvEnd::Fin => {
                    assert!(self.peer_sent_fin, "a FIN that nobody sent");
                    assert_eq!(self.received, self.peer_wrote, "a FIN before the last byte");
                    self.end_seen = true;
                }
                RecvEnd::Failed(e) => {
                    assert!(self.was_reset, "{e}");
                    self.end_seen = true;
                }
            }
        }
        if let Some(event) = world.take_final(socket, OpKind::Send) {
            let cancelled = is_cancelled(&event);
            let (sent, result) = match event {
                Event::Sent(sent, result) => (sent, result),
                Event::SentLazily(sent) => (sent, Ok(())),
                event => panic!("{event:?}"),
            };
            assert!(sent <= self.sending);
            if result.is_ok() {
                assert_eq!(sent, self.sending);
            }
            assert!(result.is_ok() || cancelled || self.was_reset, "{result:?}");
            self.sent += sent;
            self.send_failed |= result.is_err() && !cancelled;
        }
        for kind in [OpKind::ReadReady, OpKind::WriteReady] {
            let event = world.take_final(socket, kind);
            if let Some(Event::ReadReady(Err(e)) | Event::WriteReady(Err(e))) = &event {
                assert!(e.get_ref().is_some(), "{e}");
            }
        }
    }

    fn submit(&mut self, world: &mut World, random: &mut Random) {
        let socket = self.socket;
        match random.below(6) {
            0 | 1 if !world.is_inflight(socket, OpKind::Recv) => world.submit(socket, Op::Recv),
            2 | 3
                if !world.is_inflight(socket, OpKind::Send)
                    && !self.send_failed
                    && !self.we_ended =>
            {
                let sizes = [1, 100, 5000, 60_000, 400_000];
                self.sending = random.size(&sizes);
                let chain = world.chain(&self.ours(self.sent, self.sending));
                let lazily = random.below(2) == 0;
                let op = if lazily { Op::SendLazily } else { Op::Send };
                world.submit(socket, op(chain));
            }
            4 if !world.is_inflight(socket, OpKind::ReadReady) => {
                world.submit(socket, Op::ReadReady);
            }
            5 if !world.is_inflight(socket, OpKind::WriteReady) => {
                world.submit(socket, Op::WriteReady);
            }
            _ => {}
        }
    }

    fn peer_acts(&mut self, random: &mut Random) {
        let Some(mut peer) = self.peer.as_ref() else {
            return;
        };
        match random.below(24) {
            0 if !self.peer_ended => {
                peer.shutdown(Shutdown::Write).unwrap();
                (self.peer_ended, self.peer_sent_fin) = (true, true);
            }
            1 => {
                self.was_reset = true;
                self.peer_ended = true;
                reset(self.peer.take().unwrap());
            }
            2..=12 if !self.peer_ended => {
                let sizes = [1, 1000, 4096, 20_000, 200_000];
                let bytes = random.size(&sizes);
                match peer.write(&self.theirs(self.peer_wrote, bytes)) {
                    Ok(bytes) => self.peer_wrote += bytes,
                    Err(e) => assert_eq!(e.kind(), ErrorKind::WouldBlock),
                }
            }
            _ => {
                let mut part = vec![0; 1 + random.below(100_000)];
                match peer.read(&mut part) {
                    Ok(0) => assert!(self.we_ended, "a FIN that we did not send"),
                    Ok(bytes) => {
                        same(&part[..bytes], &self.ours(self.peer_got, bytes));
                        self.peer_got += bytes;
                    }
                    Err(e) => assert_eq!(e.kind(), ErrorKind::WouldBlock),
                }
            }
        }
    }

    /// Closes at any stage, and checks the end that the peer sees.
    fn close(mut self, world: &mut World, how: Close) {
        self.settle(world);
        let in_flight = world.is_inflight(self.socket, OpKind::Send);
        // Bytes of a send in flight may have gone out as well.
        let most = self.sent + if in_flight { self.sending } else { 0 };
        world.close(self.socket, how);
        let Some(peer) = self.peer.take() else {
            return;
        };
        peer.set_nonblocking(false).unwrap();
        let (rest, end) = world.peer_reads(peer);
        same(&rest, &self.ours(self.peer_got, rest.len()));
        let got = self.peer_got + rest.len();
        assert!(got <= most, "the peer got more than was sent");
        if how == Close::Reset || in_flight {
            assert!(end.is_err() || self.we_ended, "a FIN for a reset");
        }
        if end.is_ok() {
            assert_eq!(got, self.sent, "a FIN before the last byte");
        }
    }
}

fn step(world: &mut World, lines: &mut [Line], random: &mut Random, names: &mut u64) {
    let line = &mut lines[random.below(CONNECTIONS)];
    match random.below(40) {
        0..12 => line.submit(world, random),
        12..26 => line.peer_acts(random),
        26..31 => {
            let kinds = [
                OpKind::Recv,
                OpKind::Send,
                OpKind::ReadReady,
                OpKind::WriteReady,
            ];
            world.cancel(line.socket, kinds[random.below(kinds.len())]);
        }
        31 => {
            *names += 1;
            let how = [Close::Fin, Close::Reset][random.below(2)];
            let next = Line::open(world, *names);
            std::mem::replace(line, next).close(world, how);
        }
        32 if !world.is_inflight(line.socket, OpKind::Send)
            && !line.was_reset
            && !line.we_ended =>
        {
            world.shutdown(line.socket);
            line.we_ended = true;
        }
        33 => {
            world.turn(sleep(Duration::from_micros(200)));
        }
        34..38 => {
            world.look();
        }
        _ => {}
    }
    for line in lines {
        line.settle(world);
    }
}

/// Without further obstacles, everything arrives.
fn finish(mut line: Line, world: &mut World) {
    let socket = line.socket;
    world.meanwhile("the last of the send", |world| {
        if let Some(mut peer) = line.peer.as_ref() {
            let mut part = vec![0; 64 * 1024];
            if let Ok(bytes) = peer.read(&mut part) {
                same(&part[..bytes], &line.ours(line.peer_got, bytes));
                line.peer_got += bytes;
            }
        }
        !world.is_inflight(socket, OpKind::Send)
    });
    line.settle(world);
    if !line.was_reset && !line.end_seen {
        if !line.peer_ended {
            let peer = line.peer.as_ref().unwrap();
            peer.shutdown(Shutdown::Write).unwrap();
            (line.peer_ended, line.peer_sent_fin) = (true, true);
        }
        while !line.end_seen {
            if !world.is_inflight(socket, OpKind::Recv) {
                world.submit(socket, Op::Recv);
            }
            world.until("the end of the stream", |world| {
                !world.is_inflight(socket, OpKind::Recv)
            });
            line.settle(world);
        }
    }
    line.close(world, Close::Fin);
}

#[expect(clippy::print_stdout, reason = "the seed of a failure")]
pub(super) fn random(world: &mut World) {
    let number = |name| std::env::var(name).ok().map(|n| n.parse::<u64>().unwrap());
    let runs = number("CORELANE_MODEL_RUNS").unwrap_or(20);
    let seeds = number("CORELANE_MODEL_SEED").map_or(0..runs, |seed| seed..seed + 1);
    for seed in seeds {
        // The harness shows this output when the case fails.
        println!("CORELANE_MODEL_SEED={seed} {:?}", world.plenty);
        let mut random = Random(seed);
        let mut names = seed * 1000;
        let mut lines = Vec::new();
        for _ in 0..CONNECTIONS {
            names += 1;
            lines.push(Line::open(world, names));
        }
        for _ in 0..STEPS {
            step(world, &mut lines, &mut random, &mut names);
        }
        for line in lines {
            finish(line, world);
        }
    }
}
