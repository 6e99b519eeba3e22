//! Questions to the main thread and to the lanes, each with a limit on the wait.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::ask::Ask;
use super::filter::Filter;
use super::lanes::{Found, SLOTS_MAX, ToLane};
use super::parts::Parts;
use super::refusal::Refusal;
use super::reply::Reply;
use super::view::ProcessView;
use crate::runtime::Cursor;

/// Asks the main thread and the lanes.
#[derive(Debug)]
pub(super) struct Asking(pub(super) Parts);

/// A place in the listing of all lanes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    lane: usize,
    cursor: Cursor,
}

impl Asking {
    /// The process, from the main thread.
    pub(super) async fn process(&self) -> Result<ProcessView, Refusal> {
        self.ask(Ask::Process).await
    }

    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(Reply<T>) -> Ask,
    ) -> Result<T, Refusal> {
        let (reply, answer) = Reply::new();
        (self.0.ask)(question(reply));
        let answer = within(self.0.limits.answer, answer).await;
        answer
            .flatten()
            .ok_or_else(|| Refusal::silent("the main thread"))
    }

    /// Sends a command to a lane; `None` if the lane has ended.
    pub(super) async fn tell<T: Send + 'static>(
        &self,
        lane: usize,
        command: impl FnOnce(Reply<T>) -> ToLane,
    ) -> Result<Option<T>, Refusal> {
        let Some(to) = self.0.lanes.get(lane) else {
            return Ok(None);
        };
        let (reply, answer) = Reply::new();
        (to.send)(command(reply));
        let answer = within(self.0.limits.answer, answer).await;
        answer.ok_or_else(|| Refusal::silent(format!("lane {lane}")))
    }

    /// The next sessions from a place on, at most `most`, and the place behind the page. Goes on
    /// over lanes and slots until the page is full or the listing has ended.
    pub(super) async fn page(
        &self,
        from: Place,
        filter: &Arc<Filter>,
        most: usize,
    ) -> Result<(Vec<(usize, Found)>, Option<Place>), Refusal> {
        let (mut found, mut at) = (Vec::new(), from);
        while at.lane < self.0.lanes.len() {
            let room = (most - found.len()).min(SLOTS_MAX);
            let page = self.tell(at.lane, |reply| ToLane::List {
                from: at.cursor,
                filter: Arc::clone(filter),
                most: room,
                reply,
            });
            let page = page.await?.unwrap_or_default();
            found.extend(page.sessions.into_iter().map(|one| (at.lane, one)));
            at = match page.next {
                Some(cursor) => Place { cursor, ..at },
                None => Place {
                    lane: at.lane + 1,
                    cursor: Cursor::default(),
                },
            };
            if found.len() >= most {
                return Ok((found, Some(at)));
            }
        }
        Ok((found, None))
    }
}

impl Place {
    /// `LANE.SLOT`
    pub(super) fn read(key: &str, value: &str) -> Result<Self, Refusal> {
        let parts = value.split_once('.');
        let place = parts.and_then(|(lane, slot)| {
            let (lane, slot) = (lane.parse().ok()?, slot.parse().ok()?);
            let cursor = Cursor::at(slot);
            Some(Self { lane, cursor })
        });
        place.ok_or_else(|| {
            Refusal::malformed(format!("{key} = {value:?}: write it as an answer had it"))
        })
    }

    pub(super) fn show(self) -> String {
        format!("{}.{}", self.lane, self.cursor.slot())
    }
}

/// The answer, if it comes in time: `None` after the time, `Some(None)` without an answerer.
async fn within<T>(limit: Duration, answer: oneshot::Receiver<T>) -> Option<Option<T>> {
    timeout(limit, answer).await.ok().map(Result::ok)
}
