//! Sleeping and waking: no early end without a reason, and every notification ends a sleep.
#![expect(
    clippy::disallowed_methods,
    reason = "notifiers are used from other threads"
)]

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::peer::PATIENCE;
use super::world::{World, elapsed, sleep};
use crate::poller::{Event, Op, OpKind, Wait};
use crate::sys;

/// One wait ended by a notification; the timeout alone would end the wait after long patience.
fn wakes(world: &mut World, wait: Wait) {
    let before = sys::now();
    assert_eq!(world.turn(wait), 0);
    assert!(elapsed(before) < PATIENCE, "slept over it");
}

pub(super) fn notified_before_sleep(world: &mut World) {
    let notifier = world.poller.notifier();
    for _ in 0..10 {
        notifier.notify();
        notifier.notify();
        wakes(world, sleep(PATIENCE));
    }
    // A notification counts once: the next wait sleeps again.
    while world.turned_early(Duration::from_millis(5)) {}
    notifier.notify();
    wakes(world, sleep(PATIENCE));
}

pub(super) fn notified_asleep(world: &mut World) {
    for _ in 0..10 {
        let notifier = world.poller.notifier();
        let waker = thread::spawn(move || notifier.notify());
        wakes(world, sleep(PATIENCE));
        world.join("the waker", waker);
    }
}

/// A notification also reaches a lane that spins before sleeping, and keeps it awake.
pub(super) fn notified_while_spinning(world: &mut World) {
    let spin = Wait {
        spin: Duration::from_millis(2),
        timeout: Some(PATIENCE),
    };
    for _ in 0..10 {
        let notifier = world.poller.notifier();
        notifier.notify();
        wakes(world, spin);
        let waker = thread::spawn(move || notifier.notify());
        wakes(world, spin);
        world.join("the waker", waker);
    }
    let (socket, peer) = world.pair();
    world.submit(socket, Op::Recv);
    let waker = super::peer::writes(&peer, b"x".to_vec());
    while world.got(socket) == 0 {
        let before = sys::now();
        world.turn(spin);
        assert!(elapsed(before) < PATIENCE, "slept over a byte");
    }
    world.join("the waker", waker);
}

/// The inbox's protocol: put, then notify; look, then sleep. No message is left lying.
pub(super) fn notified_ten_thousand_times(world: &mut World) {
    const THREADS: usize = 4;
    const EACH: usize = 2500;
    let inbox = Arc::new(AtomicUsize::new(0));
    let wakers: Vec<_> = (0..THREADS)
        .map(|_| {
            let (notifier, inbox) = (world.poller.notifier(), Arc::clone(&inbox));
            thread::spawn(move || {
                for _ in 0..EACH {
                    inbox.fetch_add(1, Ordering::SeqCst);
                    notifier.notify();
                }
            })
        })
        .collect();
    let mut looks = 0;
    world.until("ten thousand messages", |world| {
        // A look in between may consume a notification, but not the message behind it.
        looks += 1;
        if looks % 3 == 0 {
            world.look();
        }
        inbox.load(Ordering::SeqCst) == THREADS * EACH
    });
    for waker in wakers {
        world.join("a waker", waker);
    }
}

/// A look may consume a notification; the next notification still works.
pub(super) fn notified_in_a_look(world: &mut World) {
    let notifier = world.poller.notifier();
    for _ in 0..10 {
        notifier.notify();
        world.look();
        world.look();
        notifier.notify();
        wakes(world, sleep(PATIENCE));
    }
}

/// No upper bound: lateness is the machine's, but an early end would be the poller's defect.
pub(super) fn never_early(world: &mut World) {
    let (socket, _peer) = world.pair();
    world.park(socket, Op::Recv);
    for micros in [1, 50, 999, 1000, 1001, 1500, 2000, 20_000] {
        let time = Duration::from_micros(micros);
        assert!(!world.turned_early(time), "{time:?} without spinning");
        let before = sys::now();
        world.turn(Wait {
            spin: Duration::from_micros(100),
            timeout: Some(time),
        });
        assert!(elapsed(before) >= time, "{time:?} with spinning");
    }
}

pub(super) fn longest_timeout(world: &mut World) {
    let notifier = world.poller.notifier();
    for timeout in [
        None,
        Some(Duration::MAX),
        Some(Duration::from_secs(u64::MAX / 4)),
    ] {
        notifier.notify();
        world.turn(Wait {
            spin: Duration::ZERO,
            timeout,
        });
    }
}

/// Existing readiness is reported at once, on every submission.
pub(super) fn ready_is_a_level(world: &mut World) {
    let (socket, mut peer) = world.pair();
    for _ in 0..3 {
        world.submit(socket, Op::WriteReady);
        let event = world.answer(socket, OpKind::WriteReady);
        assert!(matches!(event, Event::WriteReady(Ok(()))), "{event:?}");
    }
    world.park(socket, Op::ReadReady);
    peer.write_all(b"unread").unwrap();
    for round in 0..3 {
        if round > 0 {
            world.submit(socket, Op::ReadReady);
        }
        let event = world.answer(socket, OpKind::ReadReady);
        assert!(matches!(event, Event::ReadReady(Ok(()))), "{event:?}");
    }
    // The wait has consumed no bytes.
    world.submit(socket, Op::Recv);
    assert_eq!(world.receive(socket, 6), b"unread");
    world.park(socket, Op::ReadReady);
}
