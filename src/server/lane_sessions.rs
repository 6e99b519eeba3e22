//! A lane's answers to the control plane about sessions and recordings, between two turns.
//!
//! Called by `Serving::obey`. A command visits a bounded part of the table of tasks.

use crate::control::{Found, Page, SLOTS_MAX, Shown, ToLane};
use crate::runtime::{Cursor, Lane, SessionId, Visited};
use crate::sys;

/// Obeys a command of the control plane.
pub(super) fn obey(lane: &mut Lane, command: ToLane) {
    match command {
        ToLane::List {
            from,
            filter,
            most,
            reply,
        } => {
            let now = sys::now();
            let (mut page, mut behind) = (Page::default(), None);
            let next = lane.visit_sessions(from, SLOTS_MAX, |visited| {
                let Some(session) = visited.describe() else {
                    return;
                };
                if behind.is_some() || !filter.passes(&session, now) {
                    return;
                }
                let cursor = visited.cursor();
                if page.sessions.len() == most {
                    behind = Some(cursor);
                    return;
                }
                page.sessions.push(Found { session, cursor });
            });
            page.next = behind.or(next);
            reply.send(page);
        }
        ToLane::Show { id, at, reply } => {
            let mut shown = None;
            at_place(lane, id, at, |visited| {
                let session = visited.describe();
                shown = session.zip(visited.legs());
            });
            reply.send(shown.map(|(session, legs)| Shown { session, legs }));
        }
        ToLane::End {
            sessions,
            why,
            reply,
        } => {
            let mut ended = 0;
            for (id, at) in sessions {
                at_place(lane, id, at, |visited| {
                    visited.ask_to_end(why);
                    ended += 1;
                });
            }
            reply.send(ended);
        }
        ToLane::StartRecording { memory, reply } => {
            lane.start_recording(memory);
            reply.send(());
        }
        ToLane::NameTasks { from, reply } => reply.send(lane.name_tasks(from, SLOTS_MAX)),
        ToLane::StopRecording { reply } => reply.send(lane.stop_recording()),
    }
}

/// Visits the session of this id, if the session still stands there.
fn at_place(lane: &mut Lane, id: SessionId, at: Cursor, mut visit: impl FnMut(&Visited)) {
    lane.visit_sessions(at, 1, |visited| {
        if visited.describe().is_some_and(|session| session.id == id) {
            visit(visited);
        }
    });
}
