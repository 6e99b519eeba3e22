//! The kqueue event queue under [`super::readiness`]: edge-triggered (`EV_CLEAR`), each descriptor
//! registered once for both directions; the next wait passes the change to the kernel.
//!
//! An end (`EV_EOF`) arrives ahead of unread bytes, so reading goes on until a read returns the
//! end. On the write side `EV_EOF` also stands for our own FIN, so it says nothing of the peer.

use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use super::Notifier;
use super::options::Wake;
use super::readiness::{EventQueue, Ready};
use crate::sys::{Filter, KEvent, Kqueue as Queue, SocketRef};

/// Events taken in one call.
const EVENTS: usize = 512;

/// One queue, its pending changes and room for its events.
#[derive(Debug)]
pub(super) struct Kqueue {
    queue: Arc<Queue>,
    changes: Vec<KEvent>,
    events: Vec<KEvent>,
}

impl Wake for Queue {
    fn wake(&self) {
        Self::wake(self);
    }
}

impl Kqueue {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self {
            queue: Arc::new(Queue::open()?),
            changes: Vec::new(),
            events: vec![KEvent::NONE; EVENTS],
        })
    }
}

impl EventQueue for Kqueue {
    const REPORTS_URGENT_DATA: bool = false;

    fn register(&mut self, fd: SocketRef<'_>, token: u64) -> io::Result<()> {
        let token = usize::try_from(token).expect("a token is as wide as a pointer");
        for filter in [Filter::Read, Filter::Write] {
            self.changes.push(KEvent::watch(fd, filter, token));
        }
        Ok(())
    }

    fn wait(&mut self, timeout: Option<Duration>, to: &mut Vec<Ready>) -> io::Result<bool> {
        let count = match self.queue.call(&self.changes, &mut self.events, timeout) {
            // The kernel has applied the changes all the same (kevent(2)).
            Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
            result => result?,
        };
        self.changes.clear();
        let mut notified = false;
        let events = mem::take(&mut self.events);
        for event in &events[..count] {
            let token = event.token() as u64;
            if let Some(error) = event.error() {
                // An error for a closed socket has no owner. After a lack of memory the
                // registration is repeated with the next wait.
                if error.kind() == io::ErrorKind::OutOfMemory {
                    self.changes.push(event.again());
                }
                continue;
            }
            match event.filter() {
                Filter::Wake => notified = true,
                Filter::Read => to.push(Ready {
                    token,
                    readable: true,
                    writable: false,
                    ended: event.is_end(),
                }),
                Filter::Write => to.push(Ready {
                    token,
                    readable: false,
                    writable: true,
                    ended: false,
                }),
            }
        }
        self.events = events;
        Ok(notified)
    }

    fn notifier(&self) -> Notifier {
        Notifier(Arc::<Queue>::clone(&self.queue))
    }
}
