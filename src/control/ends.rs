//! Ends of sessions by an operator: a session, or all sessions of a filter, at once or over a time.
//!
//! Sessions that begin after the request are never ended.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use super::asking::{self, Asking};
use super::filter::{Filter, duration, read};
use super::lanes::{SLOTS_MAX, ToLane};
use super::random::Random;
use super::refusal::Refusal;
use super::view::EndedView;
use crate::runtime::{Cursor, EndRequest, SessionId};

/// Concurrent spread ends. Each keeps 32 bytes a session.
const SPREADS_MAX: usize = 16;
/// The most sessions of a request.
const ENDS_MAX: usize = 1_000_000;
/// A longer spread is a schedule, and belongs to the operator.
const OVER_MAX: Duration = Duration::from_hours(24);

/// The keys of a request besides the keys of a filter.
pub(super) const KEYS: [&str; 2] = ["max", "over"];

/// A request to end sessions.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EndAsk {
    filter: Filter,
    max: usize,
    over: Duration,
}

/// The bound on concurrent spreads.
#[derive(Debug)]
pub(super) struct Spreads(Arc<Semaphore>);

/// A place among the spreads, for ends over a time.
#[derive(Debug)]
pub(super) struct Place(Option<OwnedSemaphorePermit>);

impl Default for Spreads {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(SPREADS_MAX)))
    }
}

/// A session to end.
pub(super) type Target = (usize, SessionId, Cursor);

impl EndAsk {
    /// The meaning of the pairs of a body.
    pub(super) fn read(pairs: &[(String, String)]) -> Result<Self, Refusal> {
        let (mut filter, mut max, mut over) = (Filter::default(), None, Duration::ZERO);
        for (key, value) in pairs {
            match key.as_str() {
                "max" => max = Some(read::<usize>(key, value, "a number of sessions")?),
                "over" => over = duration(key, value)?,
                _ => filter.set(key, value, &KEYS)?,
            }
        }
        let Some(max) = max else {
            return Err(Refusal::malformed(
                "max is missing: the most sessions to end, a bound for a mistake in the filter",
            ));
        };
        if max > ENDS_MAX || over > OVER_MAX {
            return Err(Refusal::malformed(format!(
                "max is at most {ENDS_MAX}, and over at most 24h"
            )));
        }
        Ok(Self { filter, max, over })
    }

    /// All sessions of an endpoint of an upstream.
    pub(super) fn of_endpoint(
        upstream: &str,
        endpoint: SocketAddr,
        over: Duration,
    ) -> Result<Self, Refusal> {
        if over > OVER_MAX {
            return Err(Refusal::malformed("over is at most 24h"));
        }
        Ok(Self {
            filter: Filter::of_endpoint(upstream, endpoint),
            max: usize::MAX,
            over,
        })
    }
}

impl Spreads {
    /// A place for the ends of a request. A request takes a place before a change, so that a
    /// refusal changes nothing.
    pub(super) fn place(&self, ask: &EndAsk) -> Result<Place, Refusal> {
        if ask.over.is_zero() {
            return Ok(Place(None));
        }
        let place = Arc::clone(&self.0).try_acquire_owned();
        place.map(|place| Place(Some(place))).map_err(|_| {
            Refusal::busy(format!(
                "{SPREADS_MAX} spread ends run already; wait for one"
            ))
        })
    }
}

/// Ends the sessions of a request; the sessions of a spread end later, in the background.
pub(super) async fn end_sessions(
    asking: &Arc<Asking>,
    Place(spread): Place,
    ask: EndAsk,
) -> Result<EndedView, Refusal> {
    let EndAsk { filter, max, over } = ask;
    let filter = Arc::new(filter);
    let (targets, at) = targets(asking, &filter, max).await?;
    let more = match at {
        Some(place) => !asking.page(place, &filter, 1).await?.0.is_empty(),
        None => false,
    };
    let Some(place) = spread else {
        let ending = end_now(asking, &targets, EndRequest::Operator).await?;
        return Ok(EndedView { ending, more });
    };
    let ending = targets.len();
    let asking = Arc::clone(asking);
    tokio::spawn(async move {
        let ended = end_over(&asking, targets, over, EndRequest::Operator).await;
        tracing::info!(
            sessions = ending,
            ended,
            ?over,
            "a spread end of sessions is over"
        );
        drop(place);
    });
    Ok(EndedView { ending, more })
}

/// The present sessions of a filter, at most `max`, and the place behind them.
pub(super) async fn targets(
    asking: &Asking,
    filter: &Arc<Filter>,
    max: usize,
) -> Result<(Vec<Target>, Option<asking::Place>), Refusal> {
    let (mut targets, mut at) = (Vec::new(), Some(asking::Place::default()));
    while let Some(place) = at.filter(|_| targets.len() < max) {
        let most = (max - targets.len()).min(SLOTS_MAX);
        let (found, next) = asking.page(place, filter, most).await?;
        targets.extend(
            found
                .iter()
                .map(|(lane, found)| (*lane, found.session.id, found.cursor)),
        );
        at = next;
    }
    Ok((targets, at))
}

/// Ends these sessions; returns the number of sessions found alive.
pub(super) async fn end_now(
    asking: &Asking,
    targets: &[Target],
    why: EndRequest,
) -> Result<usize, Refusal> {
    let mut ended = 0;
    for of_lane in targets.chunk_by(|one, next| one.0 == next.0) {
        for chunk in of_lane.chunks(SLOTS_MAX) {
            let sessions = chunk.iter().map(|(_, id, cursor)| (*id, *cursor)).collect();
            let answer = asking.tell(chunk[0].0, |reply| ToLane::End {
                sessions,
                why,
                reply,
            });
            ended += answer.await?.unwrap_or(0);
        }
    }
    Ok(ended)
}

/// Ends these sessions evenly over the time, each at a random moment of a part, in random
/// order: a lane's clients do not come back together.
pub(super) async fn end_over(
    asking: &Asking,
    mut targets: Vec<Target>,
    over: Duration,
    why: EndRequest,
) -> usize {
    let mut random = Random::default();
    for at in (1..targets.len()).rev() {
        targets.swap(at, random.below(at + 1));
    }
    let (begin, part) = (Instant::now(), over.div_f64(targets.len().max(1) as f64));
    let mut ended = 0;
    for (number, target) in targets.iter().enumerate() {
        sleep_until(begin + part.mul_f64(number as f64 + random.fraction())).await;
        ended += end_now(asking, std::slice::from_ref(target), why)
            .await
            .unwrap_or(0);
    }
    ended
}
