//! A session reduced to counts of bytes, driven by the tables of the close engine as `relay` and
//! `direction` drive one, with the laws of every end checked at each step.
//!
//! A script is any bytes: each is something that happens to the session. The property tests below
//! and the fuzz target `close_engine` run scripts. Knows no socket and no clock.

use super::close::{
    Action, BeforeRelay, Closing, Held, Phase, Sink, Source, action, before_relay, closing,
};

/// Steps within which a session must come to rest, and to its end when its peers have ended, and
/// read: more than the longest script can leave to be done.
const STEPS_MAX: usize = 4096;
/// What is played of a script, so that the steps suffice.
const SCRIPT_MAX: usize = 1000;

/// One socket and the peer behind it, each seen from where it is.
#[derive(Debug)]
struct Socket {
    /// What the peer has sent, and what corelane has not received of it yet.
    sent: usize,
    unread: usize,
    /// The peer has sent its FIN; it has reset.
    peer_fin: bool,
    peer_reset: bool,
    /// What corelane knows of that.
    read: Source,
    write_failed: bool,
    /// What corelane has sent and the peer has not acknowledged; what it has.
    kernel: usize,
    delivered: usize,
    /// corelane's own end: behind what the kernel holds, and in place of it.
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

    /// Receives what comes next, bytes first: how many, `None` if nothing has come. The end comes
    /// behind the last of them, or together with it, as a bulk move learns of it.
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
    /// Received and not sent: in user space.
    user: usize,
    ended: bool,
}

/// A session: a client, and an upstream unless it is an echo.
#[derive(Debug)]
pub(super) struct Session {
    /// There is no upstream yet.
    opens: bool,
    phase: Phase,
    sockets: Vec<Socket>,
    directions: Vec<Pump>,
    /// How many more the kernel of a sink takes.
    room: [usize; 2],
    /// Ends are learnt of together with the bytes before them.
    together: bool,
}

impl Session {
    /// One that begins by connecting.
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

    /// Plays a script to its end, and then lets the session come to its own.
    ///
    /// The first byte says what the session is and how the peers go on when the script is over.
    ///
    /// # Panics
    /// When a law is broken.
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
            // Whatever it waits for, a timeout ends it at once.
            if !session.is_over() {
                session.end();
            }
            session.go_on();
        }
        session.check_ends();
    }

    /// Something happens, by the lower half of the byte; to which socket, by the upper.
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

    /// The peers end if they have not, and read; then the session must end too. An upstream that
    /// `answers` ends only when its client has, as one that waits for all of a question does.
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

    /// corelane ends it.
    fn end(&mut self) {
        (self.opens, self.phase) = (false, Phase::Ending);
    }

    fn is_over(&self) -> bool {
        self.sockets[0].closed
    }

    /// As `Relay::step`: both directions as far as they go without waiting, then the end.
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

    /// One step of whichever direction can make one.
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

    /// While it connects; what the client sends is received and kept.
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

    /// As `Relay::settle`: closes the sockets once all of them can be.
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

    /// What each peer may have seen by now.
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

    /// What is done at once, whatever the other direction waits for.
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

    /// How it has ended for everybody, once it is over.
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

    /// Every short script of those things that differ, so that no corner is left to chance.
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
                for place in &mut script[2..] {
                    *place = happens[rest % happens.len()];
                    rest /= happens.len();
                }
                Session::play(&script);
            }
        }
    }
}
