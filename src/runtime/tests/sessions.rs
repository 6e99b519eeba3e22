//! The table of sessions: how they are listed, continued and asked to end.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::lane;
use crate::runtime::{
    Control, Cursor, Description, EndRequest, Lane, PeerAddress, Session, SessionId, Time,
};
use crate::sys;

/// A session that lasts until it is asked to end.
struct Lasting {
    id: u64,
    stage: &'static str,
    asked: Rc<RefCell<Vec<u64>>>,
    ends: bool,
}

pub(super) fn description(id: u64, stage: &'static str) -> Description {
    Description {
        id: SessionId(id),
        kind: "test",
        stage,
        generation: 0,
        listener: "test".into(),
        client: PeerAddress::Unix,
        upstream: None,
        endpoint: None,
        since: Time::ZERO,
        active: Time::ZERO,
        is_ending: false,
        from_client: 0,
        to_client: 0,
    }
}

impl Future for Lasting {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.ends {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Session for Lasting {
    fn describe(&self) -> Description {
        description(self.id, self.stage)
    }

    fn ask_to_end(mut self: Pin<&mut Self>, _: EndRequest) {
        self.ends = true;
        self.asked.borrow_mut().push(self.id);
    }
}

fn spawn(lane: &Lane, id: u64, asked: &Rc<RefCell<Vec<u64>>>) {
    let session = Lasting {
        id,
        stage: "relay",
        asked: Rc::clone(asked),
        ends: false,
    };
    lane.handle().spawn_session(&"session", session);
}

fn turn(lane: &mut Lane) {
    lane.handle().remote().rouse();
    lane.turn(sys::now()).unwrap();
}

/// The ids in the next two slots, and where the listing goes on.
fn page(lane: &mut Lane, from: Cursor) -> (Vec<u64>, Option<Cursor>) {
    let mut ids = Vec::new();
    let next = lane.visit_sessions(from, 2, |session| {
        ids.extend(session.describe().map(|session| session.id.0));
    });
    (ids, next)
}

/// Sessions come and go between the pages; the lane turns meanwhile.
#[test]
fn a_session_that_lives_throughout_a_listing_is_in_it_once() {
    let mut lane = lane();
    let asked = Rc::default();
    lane.handle().spawn(&"background", std::future::pending());
    for id in 0..20 {
        spawn(&lane, id, &asked);
    }
    turn(&mut lane);
    assert_eq!((lane.sessions(), lane.tasks()), (20, 21));
    let (mut all, mut cursor, mut next) = (Vec::new(), Some(Cursor::default()), 100);
    while let Some(from) = cursor {
        let (ids, on) = page(&mut lane, from);
        assert!(ids.len() <= 2, "a bounded number of entries");
        (cursor, next) = (on, next + 1);
        // An even session goes and a new one comes, often in the same slot.
        lane.visit_sessions(from, 2, |session| {
            let id = session.describe().unwrap().id.0;
            if id % 2 == 0 && id < 20 {
                session.ask_to_end(EndRequest::Shutdown);
            }
        });
        turn(&mut lane);
        spawn(&lane, next, &asked);
        turn(&mut lane);
        all.extend(ids);
    }
    for id in (1..20).step_by(2) {
        let times = all.iter().filter(|&&one| one == id).count();
        assert_eq!(times, 1, "session {id} in {all:?}");
    }
    all.sort_unstable();
    let count = all.len();
    all.dedup();
    assert_eq!(all.len(), count, "no id comes twice");
}

/// Answers for an opening.
struct Opening(Cell<bool>);

impl Control for Rc<Opening> {
    fn describe(&self) -> Description {
        description(7, "opening")
    }

    fn ask_to_end(&self, _: EndRequest) {
        self.0.set(true);
    }
}

/// Goes on as a relay when the latch opens, or ends when asked to.
fn spawn_opening(lane: &Lane, go_on: &Rc<Cell<bool>>, asked: &Rc<RefCell<Vec<u64>>>) {
    let control = Rc::new(Opening(Cell::new(false)));
    let (own, go_on, asked) = (Rc::clone(&control), Rc::clone(go_on), Rc::clone(asked));
    let handle = lane.handle();
    let opening = poll_fn(move |context| {
        if own.0.get() {
            return Poll::Ready(());
        }
        if !go_on.get() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let relay = Lasting {
            id: 7,
            stage: "relay",
            asked: Rc::clone(&asked),
            ends: false,
        };
        handle.continue_as(context, &"session", relay);
        Poll::Ready(())
    });
    lane.handle().spawn_controlled(&"opening", control, opening);
}

fn stages(lane: &mut Lane) -> Vec<(u64, &'static str)> {
    let mut all = Vec::new();
    lane.visit_sessions(Cursor::default(), 100, |session| {
        all.extend(session.describe().map(|one| (one.id.0, one.stage)));
    });
    all
}

#[test]
fn an_opening_becomes_a_relay_in_its_slot() {
    let mut lane = lane();
    let (asked, go_on) = (Rc::default(), Rc::new(Cell::new(false)));
    spawn(&lane, 1, &asked);
    spawn_opening(&lane, &go_on, &asked);
    spawn(&lane, 2, &asked);
    turn(&mut lane);
    assert_eq!(
        stages(&mut lane),
        [(1, "relay"), (7, "opening"), (2, "relay")]
    );
    // Between two pages.
    let (first, cursor) = page(&mut lane, Cursor::default());
    go_on.set(true);
    turn(&mut lane);
    turn(&mut lane);
    let (rest, _) = page(&mut lane, cursor.unwrap());
    assert_eq!([first, rest].concat(), [1, 7, 2]);
    assert_eq!(
        stages(&mut lane),
        [(1, "relay"), (7, "relay"), (2, "relay")]
    );
    assert_eq!((lane.sessions(), lane.tasks()), (3, 3));
    // What was an opening is asked as a relay.
    lane.visit_sessions(Cursor::default(), 100, |one| {
        one.ask_to_end(EndRequest::Shutdown)
    });
    turn(&mut lane);
    assert_eq!(*asked.borrow(), [1, 7, 2]);
    assert_eq!((lane.sessions(), lane.tasks()), (0, 0));
}

#[test]
fn an_opening_ends_when_it_is_asked_to() {
    let mut lane = lane();
    let (asked, go_on) = (Rc::default(), Rc::new(Cell::new(false)));
    spawn_opening(&lane, &go_on, &asked);
    turn(&mut lane);
    lane.visit_sessions(Cursor::default(), 100, |one| {
        one.ask_to_end(EndRequest::Shutdown)
    });
    turn(&mut lane);
    turn(&mut lane);
    assert_eq!((lane.sessions(), lane.tasks()), (0, 0));
}

#[test]
fn aborted_tasks_leave_no_session() {
    let mut lane = lane();
    let asked = Rc::default();
    (0..3).for_each(|id| spawn(&lane, id, &asked));
    turn(&mut lane);
    assert_eq!(lane.abort_tasks(), 3);
    assert_eq!(lane.sessions(), 0);
    assert_eq!(stages(&mut lane), []);
}
