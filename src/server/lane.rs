//! A lane's thread: opens the lane, obeys commands between turns, and ends when it is drained.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::accept_points::AcceptPoints;
use super::command::{Command, LaneSenders, Switched};
use super::lane_sessions;
use crate::poller::BackEnd;
use crate::proxy::Handed;
use crate::runtime::{Cursor, Description, EndRequest, Lane, LaneOptions, Mailbox};
use crate::stats::nanos;
use crate::sys::{self, Time};

/// Slots of the lane's table per visit of the sessions.
const PAGE: usize = 1024;

/// The parts of a lane, fixed at the start.
#[derive(Debug)]
pub(crate) struct LanePlan {
    pub(crate) index: usize,
    pub(crate) cpu: Option<usize>,
    pub(crate) options: LaneOptions,
    pub(crate) may_fall_back: bool,
}

/// An open lane, and the error of the planned poller if the lane fell back.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) lane: Lane,
    pub(crate) refused: Option<io::Error>,
}

/// Opens a lane on the calling thread, pinned.
pub(crate) fn open(plan: &LanePlan) -> io::Result<Opened> {
    if let Some(cpu) = plan.cpu {
        sys::pin_to(cpu)?;
    }
    let mut options = plan.options;
    let mut refused = None;
    loop {
        match Lane::open(options, sys::now()) {
            Ok(lane) => return Ok(Opened { lane, refused }),
            Err(error) if plan.may_fall_back && options.back_end == BackEnd::IoUring => {
                // The self-test passed, but there was no room for this ring.
                refused = Some(error);
                options.back_end = BackEnd::Epoll;
            }
            // A system without overcommit refuses large reservations.
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory && halve(&mut options) => {}
            Err(error) => return Err(error),
        }
    }
}

fn halve(options: &mut LaneOptions) -> bool {
    let floor = 2 * usize::from(options.poller.receive_buffers);
    let enough = options.pool.buffers_max > floor;
    options.pool.buffers_max = (options.pool.buffers_max / 2).max(floor);
    enough
}

/// A lane that serves until a command ends it.
#[derive(Debug)]
pub(crate) struct Serving {
    lane: Lane,
    commands: Mailbox<Command>,
    handed: Mailbox<Handed>,
    points: AcceptPoints,
    stage: Stage,
}

/// How far the lane's end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Serving,
    /// Ends with the last session.
    Draining,
    /// Ends at the next turn.
    Aborting,
}

impl Serving {
    /// The lane of this index, and the senders to its mailboxes.
    pub(crate) fn new(lane: Lane, index: usize) -> (Self, LaneSenders) {
        let handle = lane.handle();
        let (to_commands, commands) = handle.mailbox();
        let (to_handed, handed) = handle.mailbox();
        let serving = Self {
            lane,
            commands,
            handed,
            points: AcceptPoints::new(handle, index),
            stage: Stage::Serving,
        };
        let senders = LaneSenders {
            commands: to_commands,
            handed: to_handed,
        };
        (serving, senders)
    }

    /// Obeys the waiting commands and turns once. When the lane has ended, returns the number of
    /// reset sessions.
    pub(crate) fn turn(&mut self, now: Time) -> io::Result<Option<usize>> {
        let before = self.stage;
        // Before the mailbox: if no accept loop is left, every handed connection is in the mailbox.
        let accepted_no_more = before != Stage::Serving && self.points.accept_no_more();
        self.obey();
        self.start_handed(now);
        // The commands of this turn may have started accept loops.
        let is_drained =
            accepted_no_more && self.points.accept_no_more() && self.lane.sessions() == 0;
        match self.stage {
            Stage::Serving => {}
            // The stop came with these commands: waiting clients are accepted first.
            _ if before == Stage::Serving => self.lane.handle().stay_awake(),
            Stage::Draining if !is_drained => {
                let (lane, points) = (self.lane.handle(), &self.points);
                // The turn that ends the last session must not sleep.
                let awake = || {
                    let is_drained = lane.sessions() == 0 && points.accept_no_more();
                    is_drained.then_some(Duration::ZERO)
                };
                self.lane.turn_within(now, awake)?;
                return Ok(None);
            }
            Stage::Draining | Stage::Aborting => return self.end(now).map(Some),
        }
        self.lane.turn(now)?;
        Ok(None)
    }

    /// The number of sessions in the lane's table, for the checks of the simulator.
    #[cfg(feature = "sim")]
    pub(crate) fn sessions(&self) -> usize {
        self.lane.sessions()
    }

    /// The number of accept loops, those that stop included, for the checks of the simulator.
    #[cfg(feature = "sim")]
    pub(crate) fn accept_loops(&self) -> usize {
        self.points.accept_loops()
    }

    /// Serves until a command ends the lane; returns the number of reset sessions.
    pub(super) fn serve(mut self) -> io::Result<usize> {
        loop {
            if let Some(cut) = self.turn(sys::now())? {
                return Ok(cut);
            }
        }
    }

    /// Starts the sessions of connections that other lanes have handed over.
    fn start_handed(&mut self, now: Time) {
        if let Some(first) = self.handed.receive() {
            self.lane.enter_at(now, || {
                self.lane.record_handed_over();
                self.points.start_handed(first);
                while let Some(handed) = self.handed.receive() {
                    self.lane.record_handed_over();
                    self.points.start_handed(handed);
                }
            });
        }
    }

    fn obey(&mut self) {
        while let Some(command) = self.commands.receive() {
            match command {
                Command::Switch(switch, reply) => {
                    let (points, began) = (&mut self.points, sys::now());
                    self.lane.enter(|| points.switch(switch));
                    let pause = sys::now().since(began);
                    self.lane.handle().stats().switch_pause.record(nanos(pause));
                    reply.send(Switched { pause });
                }
                Command::Pause { points, is_paused } => {
                    self.lane.enter(|| self.points.pause(&points, is_paused));
                }
                Command::Drain => {
                    let points = &mut self.points;
                    self.lane.enter(|| points.stop());
                    self.stage = Stage::Draining;
                }
                Command::Sessions(command) => lane_sessions::obey(&mut self.lane, command),
                Command::Abort => self.stage = Stage::Aborting,
            }
        }
    }

    /// Ends the lane: resets the remaining sessions and returns the number.
    fn end(&mut self, now: Time) -> io::Result<usize> {
        // The process may have been frozen while the grace passed: peers may have ended sessions in
        // time.
        self.lane.settle(now)?;
        let mut cut = self.lane.sessions() + self.points.in_transit();
        if self.lane.sessions() > 0 {
            let stats = Arc::clone(self.lane.handle().stats());
            let before = stats.begun.value();
            self.reset_sessions(now);
            self.lane.settle(now)?;
            // A permit of these sessions may have let an accept loop start another session.
            let begun = usize::try_from(stats.begun.value() - before).unwrap_or(usize::MAX);
            cut += begun.min(self.lane.sessions());
        }
        // Dropping a session resets its connections as well.
        self.lane.abort_tasks();
        Ok(cut)
    }

    /// Asks every session to end.
    fn reset_sessions(&mut self, now: Time) {
        let mut oldest: Option<Description> = None;
        let mut cursor = Some(Cursor::default());
        while let Some(from) = cursor {
            cursor = self.lane.visit_sessions(from, PAGE, |session| {
                let is_older = |session: &Description| {
                    let oldest = oldest.as_ref();
                    oldest.is_none_or(|oldest| session.id < oldest.id)
                };
                let older = session.describe().filter(is_older);
                oldest = older.or_else(|| oldest.take());
                session.ask_to_end(EndRequest::Shutdown);
            });
        }
        if let Some(oldest) = oldest {
            let age = Duration::from_secs(now.since(oldest.since).as_secs());
            tracing::info!(
                sessions = self.lane.sessions(),
                oldest = %oldest.id,
                listener = &*oldest.listener,
                client = %oldest.client,
                stage = oldest.stage,
                ?age,
                "resetting the sessions of a lane"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{Shutdown, SocketAddr, TcpStream};
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::changeable::{Bound, Changeable};
    use super::super::command::{Command, LaneSenders};
    use super::super::in_service::InService;
    use super::Serving;
    use crate::config::Config;
    use crate::control::Reply;
    use crate::poller::BackEnd;
    use crate::proxy::Handoff;
    use crate::runtime::{Cursor, Description, Lane, LaneOptions};
    use crate::sys;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A lane, turned by hand.
    struct Turned {
        serving: Serving,
        senders: LaneSenders,
        service: InService,
        handoff: Arc<Handoff>,
    }

    impl Turned {
        fn new() -> Self {
            // A back end that no system refuses.
            let back_end = BackEnd::ALL[BackEnd::ALL.len() - 1];
            let lane = Lane::open(LaneOptions::new(back_end), sys::now()).unwrap();
            let (serving, senders) = Serving::new(lane, 0);
            Self {
                serving,
                service: InService::new(1),
                handoff: Handoff::over(vec![senders.handed.clone()]),
                senders,
            }
        }

        /// Puts this configuration into service; returns the addresses in the order of the file.
        fn configure(&mut self, text: &str) -> Vec<SocketAddr> {
            let config = Config::parse(text, "a test").unwrap();
            let changeable = Changeable::new(&config, 100, Bound::Configured);
            let prepared = self.service.bind(changeable, sys::now(), &mut |_| Ok(()));
            let prepared = prepared.unwrap();
            prepared.listen().unwrap();
            for switch in self.service.apply(prepared, &self.handoff) {
                let switch = Command::Switch(switch, Reply::to(drop));
                self.senders.commands.send(switch);
            }
            let points = self.service.points();
            let of = |name: &str| points.iter().find(|point| &*point.listener == name);
            let names = config.listeners.iter().map(|listener| &*listener.name);
            names
                .map(|name| of(name).unwrap().at.tcp().unwrap())
                .collect()
        }

        /// Turns until `done`.
        fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
            let end = sys::now() + PATIENCE;
            while !done(self) {
                assert!(sys::now() < end, "{what}");
                self.senders.remote().rouse();
                let ended = self.serving.turn(sys::now()).unwrap();
                assert_eq!(ended, None, "{what}: the lane has ended");
            }
        }

        /// Turns until the lane has ended; returns the number of reset sessions. Sleeps as the lane
        /// does, no longer than the background task's timer.
        fn until_ended(&mut self) -> usize {
            let end = sys::now() + PATIENCE;
            loop {
                if let Some(cut) = self.serving.turn(sys::now()).unwrap() {
                    return cut;
                }
                assert!(sys::now() < end, "the lane does not end");
            }
        }

        /// The sessions of the lane, by id.
        fn sessions(&mut self) -> Vec<Description> {
            let mut all = Vec::new();
            let mut cursor = Some(Cursor::default());
            while let Some(from) = cursor {
                let lane = &mut self.serving.lane;
                cursor = lane.visit_sessions(from, 1, |session| all.extend(session.describe()));
            }
            all.sort_by_key(|session| session.id);
            all
        }

        fn spawn_background_task(&self) {
            let lane = self.serving.lane.handle();
            let end = lane.now() + PATIENCE;
            lane.spawn(&"background", lane.sleep_until(end));
        }

        fn connect(&mut self, to: SocketAddr) -> TcpStream {
            let client = TcpStream::connect(to).unwrap();
            client.set_nonblocking(true).unwrap();
            self.expect_echo(&client);
            client
        }

        fn expect_echo(&mut self, mut client: &TcpStream) {
            client.write_all(b"hello").unwrap();
            let (mut buffer, mut got) = ([0; 5], 0);
            self.until("an echo", |_| {
                match client.read(&mut buffer[got..]) {
                    Ok(count) => got += count,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
                got == buffer.len()
            });
            assert_eq!(&buffer, b"hello");
        }

        fn expect_end(&mut self, mut client: &TcpStream) {
            client.shutdown(Shutdown::Write).unwrap();
            self.until("the end of a session", |_| {
                matches!(client.read(&mut [0]), Ok(0))
            });
        }
    }

    fn echo(names: &[&str]) -> String {
        let listener = |name: &&str| {
            format!("[[listener]]\nname = \"{name}\"\nbind = \"127.0.0.1:0\"\nservice = \"echo\"\n")
        };
        names.iter().map(listener).collect()
    }

    #[test]
    fn a_background_task_does_not_hold_a_stop() {
        let mut turned = Turned::new();
        turned.spawn_background_task();
        let address = turned.configure(&echo(&["only"]))[0];
        let client = turned.connect(address);
        turned.senders.commands.send(Command::Drain);
        turned.expect_end(&client);
        assert_eq!(turned.until_ended(), 0);
    }

    /// The kernel connects clients from `listen` on, before the lane has read a command.
    #[test]
    fn a_stop_before_the_first_turn_serves_the_clients_of_the_backlog() {
        let mut turned = Turned::new();
        let address = turned.configure(&echo(&["only"]))[0];
        let client = TcpStream::connect(address).unwrap();
        client.set_nonblocking(true).unwrap();
        turned.senders.commands.send(Command::Drain);
        turned.expect_echo(&client);
        turned.expect_end(&client);
        assert_eq!(turned.until_ended(), 0);
    }

    #[test]
    fn an_abort_resets_the_sessions_and_counts_no_other_task() {
        let mut turned = Turned::new();
        turned.spawn_background_task();
        let address = turned.configure(&echo(&["only"]))[0];
        let clients = [turned.connect(address), turned.connect(address)];
        turned.senders.commands.send(Command::Drain);
        turned.senders.commands.send(Command::Abort);
        assert_eq!(turned.until_ended(), clients.len());
        for mut client in &clients {
            client.set_nonblocking(false).unwrap();
            let error = client.read(&mut [0]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
    }

    /// Whether a new client is connected. A stopped listener gives no answer.
    fn is_answered(address: SocketAddr) -> bool {
        TcpStream::connect_timeout(&address, Duration::from_millis(10)).is_ok()
    }

    #[test]
    fn one_listener_is_removed_and_the_others_go_on() {
        let mut turned = Turned::new();
        let addresses = turned.configure(&echo(&["first", "second"]));
        let client = turned.connect(addresses[0]);
        assert_eq!(turned.configure(&echo(&["second"])), addresses[1..]);
        turned.until("the first listener stops", |_| !is_answered(addresses[0]));
        turned.expect_echo(&client);
        turned.connect(addresses[1]);
    }

    /// A session keeps the first generation, and a listener of both has one socket all along.
    #[test]
    fn sessions_keep_the_generation_that_they_began_with() {
        let mut turned = Turned::new();
        let both = turned.configure(&echo(&["stays", "goes"]));
        let clients = [turned.connect(both[0]), turned.connect(both[1])];
        let after = turned.configure(&echo(&["new", "stays"]));
        assert_eq!(after[1], both[0], "the same port");
        let later = [turned.connect(after[1]), turned.connect(after[0])];
        turned.until("the listener stops", |_| !is_answered(both[1]));
        for client in clients.iter().chain(&later) {
            turned.expect_echo(client);
        }
        // The connections of `is_answered` end as well.
        turned.until("four sessions", |turned| {
            turned.serving.lane.sessions() == 4
        });
        let sessions = turned.sessions();
        let of: Vec<_> = sessions
            .iter()
            .map(|one| (one.generation, &*one.listener))
            .collect();
        assert_eq!(of, [(0, "stays"), (0, "goes"), (1, "stays"), (1, "new")]);
        let all = clients.iter().chain(&later);
        let addresses = all
            .clone()
            .map(|client| client.local_addr().unwrap().into());
        assert!(sessions.iter().map(|one| one.client).eq(addresses));
        assert!(sessions.windows(2).all(|pair| pair[0].id < pair[1].id));
        turned.senders.commands.send(Command::Drain);
        for client in all {
            turned.expect_end(client);
        }
        assert_eq!(turned.until_ended(), 0);
    }

    /// Whatever the configuration does with the listener, unless it removes the listener: even then
    /// clients from before are served.
    #[test]
    fn clients_that_wait_in_the_backlog_are_served_after_a_change() {
        let same = echo(&["one"]);
        for (changed, what) in [
            (same.clone(), "nothing"),
            (same.clone() + "backlog = 7\n", "the backlog"),
            (same.clone() + "timeouts.idle = '7s'\n", "a timeout"),
            (same.clone() + "socket.nodelay = false\n", "an option"),
            (same.clone() + &echo(&["two"]), "a second listener"),
            (echo(&["two"]), "the name, and with it the port"),
        ] {
            let mut turned = Turned::new();
            let address = turned.configure(&same)[0];
            let waiting = [(); 3].map(|()| TcpStream::connect(address).unwrap());
            turned.configure(&changed);
            for client in &waiting {
                client.set_nonblocking(true).unwrap();
                turned.expect_echo(client);
            }
            turned.until(what, |turned| turned.sessions().len() == 3);
            let renamed = changed == echo(&["two"]);
            let expected = u32::from(!renamed);
            let sessions = turned.sessions();
            let of_new = |one: &Description| one.generation == expected;
            assert!(sessions.iter().all(of_new), "{what}: {sessions:?}");
        }
    }

    /// New sockets with other options take over the port at once: no client waits for a second.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_listener_with_other_options_answers_all_along() {
        let mut turned = Turned::new();
        let mut text = echo(&["one"]);
        let address = turned.configure(&text)[0];
        for change in [
            "nodelay = false",
            "keepalive = 'off'",
            "user_timeout = '9s'",
        ] {
            text.push_str(&format!("socket.{change}\n"));
            assert_eq!(turned.configure(&text), [address], "{change}");
            for _ in 0..40 {
                assert!(is_answered(address), "{change}");
            }
            turned.until("the old accept loop ends", |turned| {
                turned.serving.lane.tasks() == turned.serving.lane.sessions() + 1
            });
        }
    }

    /// The sockets of a removed listener serve the backlog for a while, on a port of this process.
    #[cfg(target_os = "linux")]
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's own thread")]
    fn a_removed_listener_can_be_added_again_at_once() {
        let mut turned = Turned::new();
        let port = turned.configure(&echo(&["one"]))[0].port();
        let at = |ip: &str| {
            format!("[[listener]]\nname = \"a\"\nbind = \"{ip}:{port}\"\nservice = \"echo\"\n")
        };
        for text in [&at("127.0.0.1"), &echo(&["other"]), &at("127.0.0.1")] {
            turned.configure(text);
            turned.until("the switch", |turned| {
                turned.serving.points.accept_loops() > 1
            });
        }
        // To a wildcard and back: sockets of both are bound at the same time.
        for ip in ["127.0.0.1", "0.0.0.0", "127.0.0.1"] {
            turned.configure(&at(ip));
            // A SYN to a socket that stops is repeated after a second.
            let to = SocketAddr::from(([127, 0, 0, 1], port));
            let connecting = std::thread::spawn(move || TcpStream::connect(to));
            turned.until("a connection", |_| connecting.is_finished());
            let client = connecting.join().unwrap().unwrap();
            client.set_nonblocking(true).unwrap();
            turned.expect_echo(&client);
        }
    }

    /// Otherwise a reload an hour fills the memory in a year.
    #[test]
    fn a_lane_forgets_configurations_without_sessions() {
        let mut turned = Turned::new();
        let configurations = [echo(&["one", "two"]), echo(&["two", "three"])];
        for _ in 0..50 {
            for text in &configurations {
                let address = turned.configure(text)[0];
                let client = turned.connect(address);
                turned.expect_end(&client);
            }
        }
        turned.until("the old accept loops end", |turned| {
            turned.serving.lane.tasks() == 2
        });
        turned.configure(&configurations[0]);
        turned.until("the switch", |turned| turned.serving.points.contexts() <= 4);
    }
}
