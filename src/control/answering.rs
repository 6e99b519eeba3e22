//! The answer to each route: asks the main thread and the lanes, and waits no longer than a limit.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use serde::Serialize;

use super::ask::Ask;
use super::asking::{Asking, Place};
use super::downfall::end_by_rule;
use super::endpoint_change::{AdminState, EndpointAsk};
use super::ends::{EndAsk, Spreads, end_now, end_sessions};
use super::filter::{Filter, read, unknown_key};
use super::health::Keeper;
use super::lanes::{Found, Lane, ToLane};
use super::metrics::{Families, Format, LaneFacts, Pages};
use super::parts::Parts;
use super::refusal::Refusal;
use super::reload_view::ReloadView;
use super::removal::count;
use super::route::{OPEN_API, Route};
use super::trace::{Recordings, TraceAsk};
use super::view::{
    ChangedEndpointView, EndedView, LanesView, ListenerView, LogView, PageView, ProcessView,
    RefreshedView, SessionView, State, StatusView, StopView, UpstreamView, WholeSessionView,
};
use crate::runtime::{EndRequest, Legs, LogInterval};
use crate::stats::nanos;
use crate::sys::local::FarEnd;
use crate::sys::{self, kernel_counts};

/// Sessions of a page without `limit`, and the most.
const PAGE: usize = 100;
const PAGE_MAX: usize = 1000;

/// Answers requests.
#[derive(Debug)]
pub(super) struct Answering {
    asking: Arc<Asking>,
    health: Arc<Keeper>,
    spreads: Spreads,
    recordings: Recordings,
    pages: Pages,
    refused_actions: LogInterval,
}

/// A checked request: the pairs of the query and of the body.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Vec<(String, String)>,
}

impl Answering {
    pub(super) fn new(parts: Parts) -> Self {
        let checks = parts.limits.checks;
        let asking = Arc::new(Asking(parts));
        Self {
            health: Arc::new(Keeper::new(end_by_rule(&asking), checks)),
            asking,
            spreads: Spreads::default(),
            recordings: Recordings::default(),
            pages: Pages::default(),
            refused_actions: LogInterval::default(),
        }
    }

    pub(super) fn asking(&self) -> &Arc<Asking> {
        &self.asking
    }

    pub(super) fn health(&self) -> &Arc<Keeper> {
        &self.health
    }

    /// Bounds the log of refused actions of the dashboard.
    pub(super) fn refused_actions(&self) -> &LogInterval {
        &self.refused_actions
    }

    pub(super) fn parts(&self) -> &Parts {
        &self.asking.0
    }

    /// The process, from the main thread.
    pub(super) async fn process(&self) -> Result<ProcessView, Refusal> {
        self.asking.process().await
    }

    /// The JSON of an answer.
    pub(super) async fn json(&self, route: Route, pairs: &Pairs) -> Result<Bytes, Refusal> {
        self.answer(route, pairs, Format::Prometheus).await
    }

    /// The time that an answer takes on purpose.
    pub(super) fn takes(&self, route: Route, pairs: &Pairs) -> Result<Duration, Refusal> {
        match route {
            Route::Trace => Ok(TraceAsk::read(&pairs.body)?.time()),
            _ => Ok(Duration::ZERO),
        }
    }

    /// The body of an answer: JSON, a trace, or a page of metrics in this format.
    pub(super) async fn answer(
        &self,
        route: Route,
        pairs: &Pairs,
        format: Format,
    ) -> Result<Bytes, Refusal> {
        if route != Route::Sessions && !matches!(route, Route::Session(_) | Route::EndSession(_)) {
            no_keys(&pairs.query)?;
        }
        let json = match route {
            Route::Status => {
                let process = self.asking.process().await?;
                json(&StatusView::new(process, &self.parts().lanes))
            }
            Route::Config => json(&self.asking.ask(Ask::Config).await?),
            Route::Generations => json(&self.asking.ask(Ask::Generations).await?),
            Route::Listeners => json(&self.asking.ask(Ask::Listeners).await?),
            Route::Upstreams => json(&self.upstreams().await?),
            Route::Lanes => json(&LanesView::new(&self.parts().lanes)),
            Route::Sessions => json(&self.sessions(&pairs.query).await?),
            Route::Session(id) => json(&self.session(id, &pairs.query).await?),
            Route::EndSession(id) => json(&self.end_session(id, &pairs.query).await?),
            Route::EndSessions => {
                let ask = EndAsk::read(&pairs.body)?;
                let place = self.spreads.place(&ask)?;
                json(&end_sessions(&self.asking, place, ask).await?)
            }
            Route::SetEndpoint => json(&self.set_endpoint(&pairs.body).await?),
            Route::RefreshUpstream => json(&self.refresh(&pairs.body).await?),
            Route::Reload => json(&self.reload(&pairs.body).await?),
            Route::PauseListener => json(&self.pause(&pairs.body, true).await?),
            Route::ResumeListener => json(&self.pause(&pairs.body, false).await?),
            Route::DrainListener => json(&self.drain(&pairs.body).await?),
            Route::Stop => {
                self.asking.ask(Ask::Stop).await?;
                let state = State::Stopping;
                json(&StopView { state })
            }
            Route::Log => json(&LogView {
                level: (self.parts().log_level)(),
            }),
            Route::SetLog => json(&self.set_log(&pairs.body)?),
            Route::Metrics => return self.metrics(format).await,
            Route::Trace => return self.trace(pairs, None).await,
            Route::OpenApi => return Ok(OPEN_API.into()),
        };
        json.map(Bytes::from)
    }

    /// The upstreams, with the verdicts of the health checks.
    async fn upstreams(&self) -> Result<Vec<UpstreamView>, Refusal> {
        let mut upstreams = self.asking.ask(Ask::Upstreams).await?;
        for upstream in &mut upstreams {
            for endpoint in &mut upstream.endpoints {
                endpoint.health = self.health.view(&upstream.name, endpoint.address);
            }
        }
        Ok(upstreams)
    }

    /// A trace of the lanes, for as long as the client waits.
    pub(super) async fn trace(
        &self,
        pairs: &Pairs,
        client: Option<&FarEnd>,
    ) -> Result<Bytes, Refusal> {
        no_keys(&pairs.query)?;
        let ask = TraceAsk::read(&pairs.body)?;
        let trace = self.recordings.record(&self.asking, ask, client).await?;
        Ok(trace.into())
    }

    /// A page of metrics, whose facts are no older than the call.
    pub(super) async fn metrics(&self, format: Format) -> Result<Bytes, Refusal> {
        self.pages.page(format, || self.families()).await
    }

    async fn families(&self) -> Result<Families, Refusal> {
        let facts = self.asking.ask(Ask::Metrics).await?;
        let lane = |(index, lane): (usize, &Lane)| LaneFacts {
            index,
            stats: Arc::clone(&lane.stats),
            buffers_max: lane.buffers_max,
            cpu_ns: nanos((lane.busy)()),
        };
        Ok(Families {
            facts,
            lanes: self.parts().lanes.iter().enumerate().map(lane).collect(),
            listen_overflows: kernel_counts::listen_overflows(),
            retransmits: kernel_counts::retransmits(),
            descriptors: kernel_counts::descriptors(),
            descriptors_max: sys::file_limit().ok().map(|limit| limit as u64),
            watching: self.health.watching(),
            panicking: self.health.panicking(),
        })
    }

    async fn sessions(&self, query: &[(String, String)]) -> Result<PageView, Refusal> {
        let (mut filter, mut limit, mut from) = (Filter::default(), PAGE, Place::default());
        for (key, value) in query {
            match key.as_str() {
                "limit" => {
                    limit = read(key, value, "1 to 1000")?;
                    if !(1..=PAGE_MAX).contains(&limit) {
                        return Err(Refusal::malformed("limit is 1 to 1000"));
                    }
                }
                "cursor" => from = Place::read(key, value)?,
                _ => filter.set(key, value, &["limit", "cursor"])?,
            }
        }
        let (found, next) = self.asking.page(from, &Arc::new(filter), limit).await?;
        let now = sys::now();
        let view = |(lane, found): &(usize, Found)| SessionView::new(*lane, found, now);
        Ok(PageView {
            sessions: found.iter().map(view).collect(),
            cursor: next.map(|place| place.show()),
        })
    }

    /// Finds a session by the id: at the place of the query, or else among all sessions.
    async fn find(&self, id: u64, query: &[(String, String)]) -> Result<(usize, Found), Refusal> {
        let mut from = Place::default();
        for (key, value) in query {
            match key.as_str() {
                "at" => from = Place::read(key, value)?,
                _ => return Err(unknown_key(key, &["at"])),
            }
        }
        let filter = Arc::new(Filter::of_session(id));
        let (found, _) = self.asking.page(from, &filter, 1).await?;
        found
            .into_iter()
            .next()
            .ok_or_else(|| Refusal::unknown(format!("there is no session {id}; it may have ended")))
    }

    async fn session(
        &self,
        id: u64,
        query: &[(String, String)],
    ) -> Result<WholeSessionView, Refusal> {
        let (lane, found) = self.find(id, query).await?;
        let (at, of) = (found.cursor, found.session.id);
        let shown = self
            .asking
            .tell(lane, |reply| ToLane::Show { id: of, at, reply });
        let (session, legs) = match shown.await?.flatten() {
            Some(shown) => (shown.session, shown.legs),
            None => (found.session, Legs::default()),
        };
        let found = Found {
            session,
            cursor: at,
        };
        Ok(WholeSessionView {
            session: SessionView::new(lane, &found, sys::now()),
            client_tcp: legs.client.map(Into::into),
            endpoint_tcp: legs.upstream.map(Into::into),
        })
    }

    async fn end_session(&self, id: u64, query: &[(String, String)]) -> Result<EndedView, Refusal> {
        let (lane, found) = self.find(id, query).await?;
        let target = (lane, found.session.id, found.cursor);
        let ending = end_now(&self.asking, &[target], EndRequest::Operator).await?;
        Ok(EndedView {
            ending,
            more: false,
        })
    }

    async fn reload(&self, body: &[(String, String)]) -> Result<ReloadView, Refusal> {
        let mut dry_run = false;
        for (key, value) in body {
            match key.as_str() {
                "dry_run" => dry_run = read(key, value, "true or false")?,
                _ => return Err(unknown_key(key, &["dry_run"])),
            }
        }
        let asking = Arc::clone(&self.asking);
        let reload = tokio::spawn(async move {
            let done = asking.ask(|reply| Ask::Reload { dry_run, reply }).await?;
            let done = done.map_err(Refusal::conflict)?;
            let counts = count(&asking, &done.removals).await?;
            let live = asking.process().await?.sessions_live;
            Ok(ReloadView::new(dry_run, done, &counts, live))
        });
        reload
            .await
            .unwrap_or_else(|_| Err(Refusal::silent("the control thread")))
    }

    /// Asks the sources of the body's upstream again.
    async fn refresh(&self, body: &[(String, String)]) -> Result<RefreshedView, Refusal> {
        let [(key, upstream)] = body else {
            return Err(Refusal::malformed("write {\"upstream\": \"NAME\"}"));
        };
        if key != "upstream" {
            return Err(unknown_key(key, &["upstream"]));
        }
        let ask = |reply| Ask::Refresh {
            upstream: upstream.clone(),
            reply,
        };
        let asked = self.asking.ask(ask).await?.map_err(Refusal::unknown)?;
        Ok(RefreshedView {
            upstream: upstream.clone(),
            asked,
        })
    }

    /// Pauses or resumes the listener of the body.
    async fn pause(
        &self,
        body: &[(String, String)],
        is_paused: bool,
    ) -> Result<ListenerView, Refusal> {
        let [(key, listener)] = body else {
            return Err(Refusal::malformed("write {\"listener\": \"NAME\"}"));
        };
        if key != "listener" {
            return Err(unknown_key(key, &["listener"]));
        }
        let ask = |reply| Ask::Pause {
            listener: listener.clone(),
            is_paused,
            reply,
        };
        let done = self.asking.ask(ask).await?;
        done.map_err(Refusal::conflict)?;
        let listeners = self.asking.ask(Ask::Listeners).await?;
        let mut named = listeners.into_iter().filter(|one| one.name == *listener);
        named.next().ok_or_else(|| {
            Refusal::unknown(format!("a reload has removed the listener {listener:?}"))
        })
    }

    /// Pauses the listener of the body, and ends its sessions.
    async fn drain(&self, body: &[(String, String)]) -> Result<EndedView, Refusal> {
        let of_listener = |(key, _): &&(String, String)| key == "listener";
        let Some(listener) = body.iter().find(of_listener) else {
            return Err(Refusal::malformed(
                "listener is missing: the name of the listener to drain",
            ));
        };
        let ask = EndAsk::read(body)?;
        let place = self.spreads.place(&ask)?;
        self.pause(std::slice::from_ref(listener), true).await?;
        end_sessions(&self.asking, place, ask).await
    }

    /// Sets the administrative state and the weight of the body's endpoint. Maintenance ends its
    /// sessions.
    async fn set_endpoint(
        &self,
        body: &[(String, String)],
    ) -> Result<ChangedEndpointView, Refusal> {
        let ask = EndpointAsk::read(body)?;
        let EndpointAsk { change, over, .. } = ask;
        let ends = EndAsk::of_endpoint(&change.upstream, change.endpoint, over)?;
        let place = self.spreads.place(&ends)?;
        if let Some(verdict) = ask.health
            && !self
                .health
                .force(&change.upstream, change.endpoint, verdict)
        {
            return Err(Refusal::conflict(format!(
                "{} of upstream {:?} has no health checks to overrule; set its state",
                change.endpoint, change.upstream
            )));
        }
        let (asking, health) = (Arc::clone(&self.asking), Arc::clone(&self.health));
        // On, whether or not the client waits: sessions of an endpoint in maintenance have to end.
        let changed = tokio::spawn(async move {
            let (upstream, state) = (change.upstream.clone(), change.state);
            let done = asking.ask(|reply| Ask::SetEndpoint { change, reply });
            let mut endpoint = done.await?.map_err(Refusal::unknown)?;
            endpoint.health = health.view(&upstream, endpoint.address);
            // From here on no session chooses the endpoint: all others are found.
            let ending = match state {
                None | Some(AdminState::Ready | AdminState::Drain) => 0,
                Some(AdminState::Maintenance) => end_sessions(&asking, place, ends).await?.ending,
            };
            Ok(ChangedEndpointView {
                upstream,
                endpoint,
                ending,
            })
        });
        changed
            .await
            .unwrap_or_else(|_| Err(Refusal::silent("the control thread")))
    }

    fn set_log(&self, body: &[(String, String)]) -> Result<LogView, Refusal> {
        let [(key, level)] = body else {
            return Err(Refusal::malformed("write {\"level\": \"info\"}"));
        };
        if key != "level" || !(self.parts().set_log_level)(level) {
            return Err(Refusal::malformed(format!(
                "{key} = {level:?}: write level = \"error\", \"warn\", \"info\", \
                 \"debug\" or \"trace\""
            )));
        }
        Ok(LogView {
            level: (self.parts().log_level)(),
        })
    }
}

fn no_keys(query: &[(String, String)]) -> Result<(), Refusal> {
    match query.first() {
        None => Ok(()),
        Some((key, _)) => Err(Refusal::malformed(format!("this path has no key {key:?}"))),
    }
}

/// A line of JSON.
pub(super) fn json(value: &impl Serialize) -> Result<Vec<u8>, Refusal> {
    // Views have neither maps with keys of further types nor failing serializers.
    let failed = |error: serde_json::Error| Refusal::conflict(error.to_string());
    let mut line = serde_json::to_vec(value).map_err(failed)?;
    line.push(b'\n');
    Ok(line)
}
