//! A model of a session that counts bytes. The tables of the close engine drive the model as they
//! drive `opening`, `relay` and `pump`, and every step checks the laws of the tables.
//!
//! A script is a sequence of bytes, each an event of the session. The property tests below and the
//! fuzz target `close_engine` run scripts. Knows no socket and no clock.

use super::close::{
    Action, BeforeRelay, Closing, Held, Phase, Sink, Source, action, before_relay, closing,
};

/// The most steps to a state of rest, and to the end of the session after the ends of its peers.
/// More than the longest script can need.
const STEPS_MAX: usize = 4096;
/// The most bytes of a script, so that `STEPS_MAX` suffices.
const SCRIPT_MAX: usize = 1000;

/// A socket and its peer.
#[derive(Debug)]
struct Socket {
    /// Bytes sent by the peer, and the part that corelane has not received.
    sent: usize,
    unread: usize,
    /// The peer has sent its FIN; the peer has reset.
    peer_fin: bool,
    peer_reset: bool,
    /// The state of the peer as corelane knows it.
    read: Source,
    write_failed: bool,
    /// Bytes sent by corelane: not acknowledged, and acknowledged.
    kernel: usize,
    delivered: usize,
    /// The end sent by corelane: a FIN behind the bytes in the kernel, or a reset instead of the
    /// bytes.
    fin: bool,
    reset: bool,
    closed: bool,
}

impl Socket {
    fn new() -> Self {
        Self {
            sent: 0,
            unread: 0,
            peer_fin: false,
            peer_reset: false,
            read: Source::Open,
            write_failed: false,
            kernel: 0,
            delivered: 0,
            fin: false,
            reset: false,
            closed: false,
        }
    }

    fn as_sink(&self) -> Sink {
        if self.write_failed || self.read == Source::Reset {
            Sink::Gone
        } else {
            Sink::Open
        }
    }

    fn sees_fin(&self) -> bool {
        self.fin && self.kernel == 0 && !self.reset && !self.peer_reset
    }

    fn peer_has_ended(&self) -> bool {
        self.peer_fin || self.peer_reset
    }

    fn peer_sends(&mut self) {
        if !self.peer_has_ended() && !self.reset {
            self.sent += 1;
            self.unread += 1;
        }
    }

    fn peer_resets(&mut self) {
        if !self.closed {
            self.peer_reset = true;
            self.kernel = 0;
        }
    }

    fn peer_acknowledges(&mut self) {
        if self.kernel > 0 && !self.reset {
            self.kernel -= 1;
            self.delivered += 1;
        }
    }

    /// Receives the next byte or the end, bytes first. Returns the number of bytes, `None` without
    /// an arrival. `together`: the end arrives with the last byte, as in a bulk move.
    fn receive(&mut self, together: bool) -> Option<usize> {
        let bytes = self.unread.min(1);
        self.unread -= bytes;
        if self.unread == 0 && self.peer_has_ended() && (together || bytes == 0) {
            self.read = if self.peer_reset {
                Source::Reset
            } else {
                Source::Fin
            };
        }
        (bytes > 0 || self.read != Source::Open).then_some(bytes)
    }

    fn reset(&mut self) {
        (self.reset, self.kernel) = (true, 0);
    }
}

#[derive(Debug)]
struct Pump {
    source: usize,
    sink: usize,
    /// Bytes in user space: received and not sent.
    user: usize,
    ended: bool,
}

/// A session with a client, and with an upstream except for an echo.
#[derive(Debug)]
pub(super) struct Session {
    /// There is no upstream yet.
    opens: bool,
    phase: Phase,
    sockets: Vec<Socket>,
    directions: Vec<Pump>,
    /// Free room in the kernel of each sink, in bytes.
    room: [usize; 2],
    /// Ends arrive together with the last byte.
    together: bool,
}

impl Session {
    /// A session that begins with an opening.
    fn proxied() -> Self {
        Self::of(true, 2, &[(0, 1), (1, 0)])
    }

    fn echo() -> Self {
        Self::of(false, 1, &[(0, 0)])
    }

    fn of(opens: bool, sockets: usize, directions: &[(usize, usize)]) -> Self {
        let direction = |&(source, sink)| Pump {
            source,
            sink,
            user: 0,
            ended: false,
        };
        Self {
            opens,
            phase: Phase::Relaying,
            sockets: (0..sockets).map(|_| Socket::new()).collect(),
            directions: directions.iter().map(direction).collect(),
            room: [0; 2],
            together: false,
        }
    }

    /// Plays a script, and then brings the session to its end.
    ///
    /// The first byte of the script chooses the kind of session and the behaviour of the peers
    /// after the script.
    ///
    /// # Panics
    /// If a law is broken.
    pub(super) fn play(script: &[u8]) {
        let (&kind, script) = script.split_first().unwrap_or((&0, &[]));
        let mut session = if kind & 1 == 0 {
            Self::proxied()
        } else {
            Self::echo()
        };
        session.together = kind & 4 != 0;
        for &byte in script.iter().take(SCRIPT_MAX) {
            session.happen(byte);
            session.go_on();
        }
        if kind & 2 == 0 {
            session.settle(kind & 8 != 0);
        } else {
            // A timeout ends the session at once, whatever the session waits for.
            if !session.is_over() {
                session.end();
            }
            session.go_on();
        }
        session.check_ends();
    }

    /// An event. The lower half of the byte is the kind, the upper half chooses the socket.
    fn happen(&mut self, byte: u8) {
        let at = usize::from(byte >> 4) % self.sockets.len();
        match byte % 16 {
            8 => self.opens = false,
            9 if !self.is_over() => self.end(),
            _ if self.opens && at == 1 => {}
            0..=3 => self.sockets[at].peer_sends(),
            4 | 5 => self.room[at] += 1,
            6 | 7 => self.sockets[at].peer_acknowledges(),
            10 => self.sockets[at].peer_fin |= !self.sockets[at].peer_reset,
            11 => self.sockets[at].peer_resets(),
            _ => {
                self.room[at] += 16;
                (0..16).for_each(|_| self.sockets[at].peer_acknowledges());
            }
        }
    }

    /// Both peers read and end; then the session must end too. An upstream that `answers` ends only
    /// after the FIN of the client, as a server that waits for the whole request.
    fn settle(&mut self, answers: bool) {
        for _ in 0..STEPS_MAX {
            self.opens = false;
            for at in 0..self.sockets.len() {
                self.room[at] += 1;
                let socket = &mut self.sockets[at];
                socket.peer_acknowledges();
                if at == 0 || !answers {
                    socket.peer_fin |= !socket.peer_reset;
                } else if socket.sees_fin() && !socket.peer_has_ended() {
                    (0..3).for_each(|_| socket.peer_sends());
                    socket.peer_fin = true;
                }
            }
            self.go_on();
            let quiet = self.sockets.iter().all(|socket| socket.kernel == 0);
            if self.is_over() && quiet {
                return;
            }
        }
    }

    /// corelane ends the session.
    fn end(&mut self) {
        (self.opens, self.phase) = (false, Phase::Ending);
    }

    fn is_over(&self) -> bool {
        self.sockets[0].closed
    }

    /// As `Relay::step`: both directions as far as possible without waiting, then the end.
    fn go_on(&mut self) {
        let mut steps = 0;
        while !self.is_over() && self.step() {
            self.check();
            steps += 1;
            assert!(steps < STEPS_MAX, "it turns for ever: {self:?}");
        }
        self.check();
        self.check_at_rest();
    }

    /// A step of the first direction that can make a step.
    fn step(&mut self) -> bool {
        if self.directions.iter().all(|direction| direction.ended) {
            return self.close();
        }
        if self.opens {
            return self.step_opening();
        }
        let mut all = 0..self.directions.len();
        all.any(|at| !self.directions[at].ended && self.step_direction(at))
    }

    /// A step of the opening: receives and keeps bytes of the client.
    fn step_opening(&mut self) -> bool {
        let (read, held) = (self.sockets[0].read, self.held(0));
        match before_relay(read, held) {
            BeforeRelay::GoOn if held == Held::User || read != Source::Open => false,
            BeforeRelay::GoOn => match self.sockets[0].receive(self.together) {
                Some(bytes) => {
                    self.directions[0].user += bytes;
                    true
                }
                None => false,
            },
            BeforeRelay::GiveUp => {
                self.directions.iter_mut().for_each(|d| d.ended = true);
                true
            }
        }
    }

    fn step_direction(&mut self, at: usize) -> bool {
        let Pump { source, sink, .. } = self.directions[at];
        let held = self.held(at);
        let (read, as_sink) = (self.sockets[source].read, self.sockets[sink].as_sink());
        match action(self.phase, read, held, as_sink) {
            Action::Move | Action::Flush if held == Held::User => return self.send(at),
            Action::Move => match self.sockets[source].receive(self.together) {
                Some(bytes) => self.directions[at].user += bytes,
                None => return false,
            },
            Action::Flush => panic!("nothing to flush: {self:?}"),
            Action::AwaitAcks => {
                assert!(self.sockets[sink].kernel > 0, "waits for nothing: {self:?}");
                return false;
            }
            Action::SendFin => {
                assert_ne!(self.phase, Phase::Ending, "a FIN of its own: {self:?}");
                assert_ne!(held, Held::User, "a FIN before all bytes: {self:?}");
                self.sockets[sink].fin = true;
                self.directions[at].ended = true;
            }
            Action::ResetSink | Action::Discard | Action::ResetBoth => {
                self.directions[at].ended = true;
            }
        }
        true
    }

    fn held(&self, at: usize) -> Held {
        let direction = &self.directions[at];
        match (direction.user, self.sockets[direction.sink].kernel) {
            (0, 0) => Held::Nothing,
            (0, _) => Held::Kernel,
            _ => Held::User,
        }
    }

    fn send(&mut self, at: usize) -> bool {
        let sink = self.directions[at].sink;
        let socket = &mut self.sockets[sink];
        assert!(!socket.fin, "bytes behind a FIN: {self:?}");
        if socket.peer_reset {
            socket.write_failed = true;
            return true;
        }
        if self.room[sink] == 0 {
            return false;
        }
        self.room[sink] -= 1;
        self.directions[at].user -= 1;
        socket.kernel += 1;
        true
    }

    /// As `Relay::settle`: closes both sockets as soon as both can be closed.
    fn close(&mut self) -> bool {
        let orderly = self
            .sockets
            .iter()
            .all(|socket| socket.read == Source::Fin && !socket.write_failed);
        let how = |at: usize| {
            let socket = &self.sockets[at];
            let held = match socket.kernel {
                0 => Held::Nothing,
                _ => Held::Kernel,
            };
            closing(self.phase, orderly, held, socket.as_sink())
        };
        let all: Vec<Closing> = (0..self.sockets.len()).map(how).collect();
        if all.contains(&Closing::AwaitAcks) {
            let waits = self.sockets.iter().any(|socket| socket.kernel > 0);
            assert!(waits, "waits for nothing: {self:?}");
            return false;
        }
        for (socket, how) in self.sockets.iter_mut().zip(all) {
            match how {
                Closing::Fin => socket.fin = true,
                Closing::Reset => socket.reset(),
                Closing::AwaitAcks => unreachable!("none waits"),
            }
            socket.closed = true;
        }
        true
    }

    /// Checks everything that peers may have seen so far.
    fn check(&self) {
        for direction in &self.directions {
            let (from, to) = (
                &self.sockets[direction.source],
                &self.sockets[direction.sink],
            );
            let received = from.sent - from.unread;
            let on_the_way = direction.user + to.kernel + to.delivered;
            assert!(on_the_way <= received, "bytes from nowhere: {self:?}");
            if to.fin {
                assert!(
                    from.peer_fin,
                    "a FIN that the source did not send: {self:?}"
                );
                assert_ne!(from.read, Source::Open, "a FIN before it came: {self:?}");
            }
            if to.sees_fin() {
                assert_eq!(to.delivered, from.sent, "a FIN before all bytes: {self:?}");
            }
            let by_corelane = self.phase == Phase::Ending;
            if to.reset && !to.peer_reset && !by_corelane {
                assert!(from.peer_reset, "a reset for less than one: {self:?}");
                assert_eq!(
                    to.delivered, from.sent,
                    "a reset before all bytes: {self:?}"
                );
            }
        }
    }

    /// Checks actions that must not wait for the opposite direction.
    fn check_at_rest(&self) {
        if self.is_over() {
            return;
        }
        assert_ne!(self.phase, Phase::Ending, "its end waits: {self:?}");
        let gone = self.sockets[0].read == Source::Reset;
        assert!(!(self.opens && gone), "connects for nobody: {self:?}");
        for direction in self.directions.iter().filter(|_| !self.opens) {
            let (from, to) = (
                &self.sockets[direction.source],
                &self.sockets[direction.sink],
            );
            let all_sent = from.read == Source::Fin && direction.user == 0;
            if all_sent && to.as_sink() == Sink::Open {
                assert!(to.fin, "a FIN that is kept back: {self:?}");
            }
        }
    }

    /// Checks the end that each peer has seen.
    fn check_ends(&self) {
        assert!(self.is_over(), "it hangs: {self:?}");
        let reset = self.sockets.iter().any(|socket| socket.peer_reset);
        for direction in &self.directions {
            let (from, to) = (
                &self.sockets[direction.source],
                &self.sockets[direction.sink],
            );
            if to.peer_reset {
                continue;
            }
            assert!(to.fin || to.reset, "a peer that sees no end: {self:?}");
            if self.phase == Phase::Ending {
                assert!(to.reset, "corelane's own end is a reset: {self:?}");
            } else if !reset {
                assert!(!to.reset, "nobody has reset: {self:?}");
                assert_eq!(to.kernel + to.delivered, from.sent, "lost: {self:?}");
            } else if !from.peer_fin {
                assert!(to.reset, "a reset became a FIN: {self:?}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};
    use proptest::{collection, test_runner::Config};

    use super::Session;

    proptest! {
        #![proptest_config(Config::with_cases(2048))]

        #[test]
        fn no_script_breaks_a_law(script in collection::vec(any::<u8>(), 0..300)) {
            Session::play(&script);
        }
    }

    /// All short scripts of events with different effects, so that coverage is no matter of luck.
    #[test]
    fn no_script_of_three_breaks_a_law() {
        let happens: Vec<u8> = [0, 4, 6, 8, 9, 10, 11, 12]
            .into_iter()
            .flat_map(|what| [what, what + 16])
            .collect();
        let mut script = [0; 5];
        for kind in 0..16 {
            for number in 0..happens.len().pow(3) {
                let mut rest = number;
                (script[0], script[1]) = (kind, 8);
                for event in &mut script[2..] {
                    *event = happens[rest % happens.len()];
                    rest /= happens.len();
                }
                Session::play(&script);
            }
        }
    }
}
