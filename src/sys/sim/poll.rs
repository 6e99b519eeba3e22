//! Event queues of the simulated kernel, and how a change of a socket reaches rings and queues.

use super::descriptor::File;
use super::fault::{Fault, Mark};
use super::kernel::Kernel;
use super::polling::{Changed, Edge, Kind, Polling, Queue, Sleep};
use super::socket::{Owner, Watch};

impl Kernel {
    pub(super) fn new_polling(&mut self, kind: Kind) -> u32 {
        let sleep = Sleep::Not;
        self.polling.push(Some(Polling { kind, sleep }));
        u32::try_from(self.polling.len() - 1).expect("few pollers")
    }

    /// Opens an event queue.
    pub(crate) fn open_queue(&mut self) -> u32 {
        self.new_polling(Kind::Queue(Queue::default()))
    }

    /// How many pollers were opened; the last poller has the number below.
    pub(crate) fn pollers(&self) -> u32 {
        u32::try_from(self.polling.len()).expect("few pollers")
    }

    pub(super) fn queue(&mut self, poller: u32) -> &mut Queue {
        match &mut self.polling[poller as usize] {
            Some(Polling {
                kind: Kind::Queue(queue),
                ..
            }) => queue,
            other => panic!("no event queue but {other:?}"),
        }
    }

    /// Whether a poller has events, and until when the poller sleeps otherwise.
    pub(crate) fn poller_state(&self, poller: u32) -> (bool, Sleep) {
        match &self.polling[poller as usize] {
            None => (false, Sleep::Until(None)),
            Some(Polling { kind, sleep }) => {
                let ready = match kind {
                    Kind::Ring(ring) => ring.has_something(),
                    Kind::Queue(queue) => !queue.ready.is_empty(),
                };
                (ready, *sleep)
            }
        }
    }

    pub(super) fn falls_asleep(&mut self, poller: u32, sleep: Sleep) {
        if matches!(sleep, Sleep::Until(_)) {
            self.pass(Mark::LaneFellAsleep);
        }
        if let Some(polling) = &mut self.polling[poller as usize] {
            polling.sleep = sleep;
        }
    }

    /// Wakes all waiters of a socket after a change.
    pub(super) fn wake(&mut self, index: u32) {
        let sock = &mut self.socks[index as usize];
        if let Some(Owner::Outside(actor)) = sock.owner {
            self.roused.push(actor);
            return;
        }
        if let Some(watch) = sock.watch {
            self.edge(watch, index);
        }
        for place in 0..self.socks[index as usize].ops.len() {
            let Watch { poller, token } = self.socks[index as usize].ops[place];
            self.ring(poller).rouse(token);
        }
    }

    fn edge(&mut self, watch: Watch, index: u32) {
        if self.polling[watch.poller as usize].is_none() {
            return;
        }
        let token = watch.token;
        let changed = Changed::Socket { index, token };
        let queue = self.queue(watch.poller);
        if queue.ready.contains(&changed) {
            self.pass(Mark::EdgeCoalesced);
        } else {
            queue.ready.push_back(changed);
        }
    }

    /// Watches a socket from now on. The present state is the first edge.
    pub(crate) fn watch(&mut self, poller: u32, descriptor: i32, token: u64) -> Result<(), i32> {
        match self.file(descriptor) {
            Some(File::Event(counter)) => {
                let watcher = (poller, u32::MAX);
                self.counters[counter as usize].1.push(watcher);
                Ok(())
            }
            _ => {
                if self.strikes(Fault::WatchRefused, 12) {
                    return Err(libc::ENOMEM);
                }
                let index = self.socket(descriptor);
                let watch = Watch { poller, token };
                self.socks[index as usize].watch = Some(watch);
                self.edge(watch, index);
                Ok(())
            }
        }
    }

    /// Removes the watch of a closed descriptor.
    pub(super) fn unwatch(&mut self, index: u32) {
        let watch = self.socks[index as usize].watch.take();
        // The queue may have been closed before.
        let open = |watch: &Watch| self.polling[watch.poller as usize].is_some();
        if let Some(watch) = watch.filter(open) {
            let token = watch.token;
            let queue = self.queue(watch.poller);
            queue
                .ready
                .retain(|changed| *changed != Changed::Socket { index, token });
        }
    }

    /// Takes the edges, and returns whether the counter changed. A timeout of `None` is for ever.
    pub(crate) fn take_edges(
        &mut self,
        poller: u32,
        timeout: Option<u64>,
        edges: &mut Vec<Edge>,
    ) -> bool {
        let until = timeout.map(|t| self.now.saturating_add(t));
        let sleep = if timeout == Some(0) {
            Sleep::Not
        } else {
            Sleep::Until(until)
        };
        let mut ready = std::mem::take(&mut self.queue(poller).ready);
        let mut notified = false;
        if self.faults.has(Fault::ShuffledCompletions) && ready.len() > 1 {
            self.marks.strike(Fault::ShuffledCompletions);
            self.random.shuffle(ready.make_contiguous());
        }
        for changed in ready.drain(..) {
            match changed {
                Changed::Counter => notified = true,
                Changed::Socket { index, token } => self.report(index, token, edges),
            }
        }
        if self.strikes(Fault::SpuriousEdge, 6) {
            self.spurious_edge(poller, edges);
        }
        let asleep = if notified || !edges.is_empty() {
            Sleep::Not
        } else {
            sleep
        };
        self.falls_asleep(poller, asleep);
        notified
    }

    /// An edge reports the state at the time of the call.
    fn report(&mut self, index: u32, token: u64, edges: &mut Vec<Edge>) {
        let sock = &mut self.socks[index as usize];
        let ended = sock.is_ended();
        let edge = Edge {
            token,
            readable: ended || sock.is_readable(),
            writable: sock.poll_writable(),
            ended,
        };
        if edge.readable || edge.writable {
            edges.push(edge);
        }
    }

    fn spurious_edge(&mut self, poller: u32, edges: &mut Vec<Edge>) {
        let index = self.random.below(self.socks.len().max(1));
        let Some(sock) = self.socks.get(index) else {
            return;
        };
        if let Some(watch) = sock.watch.filter(|watch| watch.poller == poller) {
            self.pass(Mark::EdgeSpurious);
            let index = u32::try_from(index).expect("few sockets");
            self.report(index, watch.token, edges);
        }
    }

    /// Closes a poller.
    pub(crate) fn close_poller(&mut self, poller: u32) {
        // A queue's watches end with the queue (epoll(7)).
        for sock in &mut self.socks {
            sock.watch = sock.watch.filter(|watch| watch.poller != poller);
        }
        if let Some(Polling {
            kind: Kind::Ring(ring),
            ..
        }) = self.polling[poller as usize].take()
        {
            assert!(
                ring.is_quiet(),
                "invariant I6: a ring is closed with operations in flight"
            );
        }
    }

    /// Opens a counter that wakes its poller; returns a descriptor.
    pub(crate) fn open_counter(&mut self) -> Result<i32, i32> {
        // A lane's own descriptor, so the limit on descriptors does not apply.
        self.counters.push((0, Vec::new()));
        let counter = u32::try_from(self.counters.len() - 1).expect("few counters");
        Ok(self.install(File::Event(counter)))
    }

    pub(crate) fn signal(&mut self, descriptor: i32) {
        let Some(File::Event(counter)) = self.file(descriptor) else {
            // The lane has ended.
            return;
        };
        self.counters[counter as usize].0 += 1;
        let watchers = self.counters[counter as usize].1.clone();
        for (poller, token) in watchers {
            let Some(polling) = &mut self.polling[poller as usize] else {
                continue;
            };
            if matches!(polling.sleep, Sleep::Until(_)) {
                self.marks.pass(Mark::NotifierWokeSleeper);
            }
            match &mut polling.kind {
                Kind::Ring(ring) => ring.rouse(u64::from(token)),
                Kind::Queue(queue) => {
                    if !queue.ready.contains(&Changed::Counter) {
                        queue.ready.push_back(Changed::Counter);
                    }
                }
            }
        }
    }
}
