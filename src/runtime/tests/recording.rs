//! Recordings of a lane that is turned by hand.

use std::future::{Future, poll_fn};
use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::sessions::description;
use super::sockets::pair;
use super::{PATIENCE, lane, lane_on, ms, on_every_back_end, own_waker, run, spawn, turn_now};
use crate::runtime::recorder::{Completed, Event, Recording, What};
use crate::runtime::session::{Cursor, Description, EndRequest, Session, SessionId};
use crate::runtime::task_timer::yield_now;
use crate::runtime::{Lane, LaneSocket};
use crate::sys;

/// A session that ends at its second poll.
struct Twice(bool);

impl Future for Twice {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        context.waker().wake_by_ref();
        match std::mem::replace(&mut self.0, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl Session for Twice {
    fn describe(&self) -> Description {
        description(77, "relay")
    }

    fn ask_to_end(self: Pin<&mut Self>, _: EndRequest) {}
}

fn start(lane: &mut Lane, events: usize) {
    lane.start_recording(Vec::with_capacity(events));
}

fn what(recording: &Recording) -> Vec<What> {
    let times = recording.events.iter().map(|event| event.at);
    assert!(times.is_sorted(), "the clock goes forward");
    recording.events.iter().map(|event| event.what).collect()
}

#[test]
fn a_session_is_recorded_from_its_begin_to_its_end() {
    let mut lane = lane();
    turn_now(&mut lane);
    start(&mut lane, 100);
    lane.handle().spawn_session(&"session", Twice(false));
    turn_now(&mut lane);
    turn_now(&mut lane);
    let recording = lane.stop_recording();
    assert!(!recording.is_cut);
    let (slot, by) = (0, Some(0));
    let id = SessionId(77);
    let turn = |queued: u32, polled: &[What]| {
        let first = [What::Turn, What::Run { queued }, What::Poll { slot }];
        let may_sleep = false;
        let last = [What::Wait { may_sleep }, What::Waited { completions: 0 }];
        [&first, polled, &[What::Polled], &last].concat()
    };
    let name = &"session";
    let spawned = [What::Session { slot, id }, What::Spawn { slot, name }];
    let first = turn(1, &[What::Wake { slot, by }]);
    let second = turn(1, &[What::Wake { slot, by }, What::End { slot }]);
    assert_eq!(what(&recording), [&spawned[..], &first, &second].concat());
    turn_now(&mut lane);
    assert!(lane.stop_recording().events.is_empty(), "it has stopped");
}

/// The memory of a recording is the whole of it: the lane never asks for more.
#[test]
fn a_full_recording_ends_and_says_so() {
    let mut lane = lane();
    let memory: Vec<Event> = Vec::with_capacity(10);
    let place = memory.as_ptr();
    lane.start_recording(memory);
    lane.handle().spawn(&"yields", async {
        for _ in 0..100 {
            yield_now().await;
        }
    });
    while lane.tasks() > 0 {
        turn_now(&mut lane);
    }
    let recording = lane.stop_recording();
    assert!(recording.is_cut);
    assert_eq!(recording.events.len(), recording.events.capacity());
    assert_eq!(recording.events.as_ptr(), place);
    // A recording behind it is whole again.
    start(&mut lane, 10);
    turn_now(&mut lane);
    assert!(!lane.stop_recording().is_cut);
}

#[test]
fn tasks_from_before_are_named_in_pages() {
    let mut lane = lane();
    lane.handle().spawn(&"first", std::future::pending());
    lane.handle().spawn_session(&"session", Twice(false));
    lane.handle().spawn(&"third", std::future::pending());
    start(&mut lane, 100);
    let page = lane.name_tasks(Cursor::default(), 2);
    let named: Vec<_> = page
        .tasks
        .iter()
        .map(|&(slot, name, id)| (slot, *name, id))
        .collect();
    assert_eq!(
        named,
        [(0, "first", None), (1, "session", Some(SessionId(77)))]
    );
    assert_eq!(page.events, 0);
    turn_now(&mut lane);
    let rest = lane.name_tasks(page.next.unwrap(), 2);
    assert_eq!(rest.tasks.len(), 1);
    assert!(rest.next.is_none());
    assert_eq!(rest.events, what(&lane.stop_recording()).len());
}

#[test]
fn timers_and_wakes_of_other_threads_are_recorded() {
    let mut lane = lane();
    start(&mut lane, 10_000);
    let sleeps = lane.handle().sleep_until(sys::now() + ms(3));
    let (sender, receiver) = std::sync::mpsc::channel::<Waker>();
    let other = spawn(move || receiver.recv_timeout(PATIENCE).unwrap().wake());
    run(&mut lane, async move {
        sleeps.await;
        sender.send(own_waker().await).unwrap();
        let mut polls = 0;
        poll_fn(|_| {
            polls += 1;
            if polls == 2 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    });
    other.join().unwrap();
    let all = what(&lane.stop_recording());
    let slot = 0;
    let timer = all
        .iter()
        .position(|&one| one == What::Timer { slot })
        .unwrap();
    assert_eq!(all[timer + 1], What::Wake { slot, by: None });
    assert!(all[timer..].contains(&What::RemoteWake { slot }), "{all:?}");
}

#[test]
fn completions_are_recorded_before_the_wakes() {
    on_every_back_end(|back_end| {
        let mut lane = lane_on(back_end);
        let (server, mut client) = pair();
        let socket = LaneSocket::attach(&lane.handle(), server);
        client.write_all(b"hello").unwrap();
        start(&mut lane, 10_000);
        run(&mut lane, async move { drop(socket.recv().await) });
        let all = what(&lane.stop_recording());
        let received = |one: &What| {
            matches!(
                one,
                What::Completion {
                    of: Completed::Receive,
                    ..
                }
            )
        };
        let at = all.iter().position(received).unwrap();
        assert!(
            matches!(all[at - 1], What::Waited { completions: 1.. }),
            "{all:?}"
        );
        assert_eq!(all[at + 1], What::Wake { slot: 0, by: None });
    });
}
