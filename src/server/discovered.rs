//! The last answers of the sources of endpoints, and how far the answers are believed. Pure:
//! reports and times in, sets out.
//!
//! Owned by the main thread. A failing source keeps the last endpoints, and an empty answer is
//! believed only once the source has had no endpoint for a time.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{Config, Discovery, EndpointSource};
use crate::control::{FoundEndpoint, Report, SourceView};
use crate::sys::Time;

/// The sources of the configuration in service, and of a waiting reload.
#[derive(Debug, Default)]
pub(super) struct Discovered {
    sources: BTreeMap<EndpointSource, Known>,
}

/// The state of a source.
#[derive(Debug, Default)]
struct Known {
    /// The endpoints in force.
    endpoints: Vec<FoundEndpoint>,
    /// When the source last said so.
    answered: Option<Time>,
    /// Why there is no answer, if the last look has failed.
    error: Option<String>,
    /// Since when the source has no endpoint, as long as this is not believed.
    empty_since: Option<Time>,
    /// When the source is asked again.
    next: Option<Time>,
    answers: u64,
    failures: u64,
    changes: u64,
}

/// The news of a report, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// Nothing new.
    Same,
    /// Endpoints have come or gone, or have changed.
    Changed,
    /// The first failure, or a new reason.
    Fails(String),
    /// The first answer after failures, with the same endpoints.
    AnswersAgain,
    /// No endpoint any more, not believed yet.
    Empty,
}

impl Discovered {
    /// Keeps these sources alone.
    pub(super) fn keep(&mut self, sources: &BTreeSet<EndpointSource>) {
        self.sources.retain(|source, _| sources.contains(source));
        self.add(sources);
    }

    /// Knows these sources, too; returns whether any is new.
    pub(super) fn add(&mut self, sources: &BTreeSet<EndpointSource>) -> bool {
        let before = self.sources.len();
        for source in sources {
            self.sources.entry(source.clone()).or_default();
        }
        self.sources.len() > before
    }

    pub(super) fn sources(&self) -> BTreeSet<EndpointSource> {
        self.sources.keys().cloned().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Whether every source has answered or failed at least once.
    pub(super) fn has_all(&self) -> bool {
        let is_known = |known: &Known| known.answers + known.failures > 0;
        self.sources.values().all(is_known)
    }

    /// The sources without any answer so far.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = (&EndpointSource, Option<&str>)> {
        let unanswered = self.sources.iter().filter(|(_, known)| known.answers == 0);
        unanswered.map(|(source, known)| (source, known.error.as_deref()))
    }

    /// Notes a report. A report of a forgotten source is nothing.
    pub(super) fn note(&mut self, report: Report, rules: &Discovery) -> Noted {
        let Report {
            source,
            answer,
            at,
            next,
        } = report;
        let Some(known) = self.sources.get_mut(&source) else {
            return Noted::Same;
        };
        known.next = next;
        match answer {
            Err(why) => {
                known.failures += 1;
                known.empty_since = None;
                let is_new = known.error.as_ref() != Some(&why);
                known.error = Some(why.clone());
                match is_new {
                    true => Noted::Fails(why),
                    false => Noted::Same,
                }
            }
            Ok(endpoints) => known.answered(endpoints, at, rules),
        }
    }

    /// Believes a lasting lack of endpoints; returns whether the endpoints of any source change.
    pub(super) fn look(&mut self, now: Time, rules: &Discovery) -> bool {
        let mut is_changed = false;
        for known in self.sources.values_mut() {
            if known.end(rules).is_some_and(|end| now >= end) {
                if known.empty_since.take().is_some() {
                    known.answered = Some(now);
                }
                known.endpoints.clear();
                known.changes += 1;
                is_changed = true;
            }
        }
        is_changed
    }

    /// When to look next.
    pub(super) fn next(&self, rules: &Discovery) -> Option<Time> {
        let ends = self.sources.values().filter_map(|known| known.end(rules));
        ends.min()
    }

    /// Gives the found endpoints to each upstream.
    pub(super) fn give(&self, config: &mut Config) {
        for upstream in &mut config.upstreams {
            upstream.take_found(|written| {
                let known = self.sources.get(&written.source);
                let found = known.map(|known| &known.endpoints[..]).unwrap_or_default();
                let endpoint = |found: &FoundEndpoint| {
                    // The written keys are true of each endpoint.
                    let mut endpoint = found.whole.unwrap_or(written.each);
                    endpoint.address = found.address;
                    endpoint.weight = found.weight.unwrap_or(endpoint.weight);
                    endpoint.level = written.each.level.saturating_add(found.level.unwrap_or(0));
                    endpoint
                };
                found.iter().map(endpoint).collect()
            });
        }
    }

    /// A source for the control plane.
    pub(super) fn view(&self, source: &EndpointSource, now: Time) -> SourceView {
        let known = self.sources.get(source);
        let seconds = |since: Option<Time>| since.map(|at| now.since(at).as_secs());
        SourceView {
            source: source.to_string(),
            state: known.map_or("waiting", Known::word),
            endpoints: known.map_or(0, |known| known.endpoints.len()),
            answer_age_s: seconds(known.and_then(|known| known.answered)),
            error: known.and_then(|known| known.error.clone()),
            next_in_s: known
                .and_then(|known| known.next)
                .map(|next| next.since(now).as_secs()),
            answers: known.map_or(0, |known| known.answers),
            failures: known.map_or(0, |known| known.failures),
            changes: known.map_or(0, |known| known.changes),
        }
    }

    /// All sources for the metrics.
    pub(super) fn views(&self, now: Time) -> Vec<SourceView> {
        self.sources
            .keys()
            .map(|source| self.view(source, now))
            .collect()
    }
}

impl Known {
    fn answered(&mut self, endpoints: Vec<FoundEndpoint>, at: Time, rules: &Discovery) -> Noted {
        self.answers += 1;
        let failed = self.error.take().is_some();
        if endpoints.is_empty() && !self.endpoints.is_empty() && !rules.empty_after.is_zero() {
            let is_new = self.empty_since.is_none();
            self.empty_since.get_or_insert(at);
            return match is_new {
                true => Noted::Empty,
                false => Noted::Same,
            };
        }
        self.empty_since = None;
        self.answered = Some(at);
        if self.endpoints != endpoints {
            self.endpoints = endpoints;
            self.changes += 1;
            return Noted::Changed;
        }
        match failed {
            true => Noted::AnswersAgain,
            false => Noted::Same,
        }
    }

    /// When the endpoints in force go.
    fn end(&self, rules: &Discovery) -> Option<Time> {
        if self.endpoints.is_empty() {
            return None;
        }
        let empty = self.empty_since.map(|since| since + rules.empty_after);
        let stale = || Some(self.answered? + rules.stale_for.filter(|_| self.error.is_some())?);
        empty.into_iter().chain(stale()).min()
    }

    fn word(&self) -> &'static str {
        match (&self.error, self.empty_since, self.answered) {
            (Some(_), _, None) => "failing",
            (Some(_), _, Some(_)) => "stale",
            (None, Some(_), _) => "empty",
            (None, None, Some(_)) => "answered",
            (None, None, None) => "waiting",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::{Discovered, Noted};
    use crate::config::{Config, Discovery, EndpointSource};
    use crate::control::{FoundEndpoint, Report};
    use crate::sys::Time;

    const RULES: Discovery = Discovery {
        start_wait: Duration::ZERO,
        empty_after: Duration::from_secs(30),
        stale_for: None,
    };

    fn source() -> EndpointSource {
        EndpointSource::Name {
            host: "db.test".to_owned(),
            port: 5,
        }
    }

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    fn report(seconds: u64, answer: Result<&[u8], &str>) -> Report {
        let found = |&number: &u8| FoundEndpoint {
            address: ([10, 0, 0, number], 5).into(),
            weight: None,
            level: None,
            whole: None,
        };
        Report {
            source: source(),
            answer: match answer {
                Ok(numbers) => Ok(numbers.iter().map(found).collect()),
                Err(why) => Err(why.to_owned()),
            },
            at: at(seconds),
            next: None,
        }
    }

    fn discovered() -> Discovered {
        let mut discovered = Discovered::default();
        discovered.keep(&BTreeSet::from([source()]));
        discovered
    }

    #[test]
    fn the_last_answer_of_a_failing_source_stands_and_its_age_is_known() {
        let mut of = discovered();
        assert!(!of.has_all());
        assert_eq!(of.note(report(1, Ok(&[1, 2])), &RULES), Noted::Changed);
        assert!(of.has_all());
        assert_eq!(of.note(report(2, Ok(&[1, 2])), &RULES), Noted::Same);
        let fails = Noted::Fails("SERVFAIL".to_owned());
        assert_eq!(of.note(report(3, Err("SERVFAIL")), &RULES), fails);
        assert_eq!(of.note(report(4, Err("SERVFAIL")), &RULES), Noted::Same);
        assert!(!of.look(at(1_000_000), &RULES));
        let view = of.view(&source(), at(62));
        assert_eq!((view.state, view.endpoints), ("stale", 2));
        assert_eq!(view.answer_age_s, Some(60));
        assert_eq!(view.error.as_deref(), Some("SERVFAIL"));
        assert_eq!((view.answers, view.failures, view.changes), (2, 2, 1));
        assert_eq!(
            of.note(report(70, Ok(&[1, 2])), &RULES),
            Noted::AnswersAgain
        );
        assert_eq!(of.view(&source(), at(70)).state, "answered");
    }

    #[test]
    fn with_a_limit_a_stale_answer_ends() {
        let rules = Discovery {
            stale_for: Some(Duration::from_secs(100)),
            ..RULES
        };
        let mut of = discovered();
        of.note(report(1, Ok(&[1])), &rules);
        assert_eq!(of.next(&rules), None);
        of.note(report(50, Err("x")), &rules);
        assert_eq!(of.next(&rules), Some(at(101)));
        assert!(!of.look(at(100), &rules));
        assert!(of.look(at(101), &rules));
        assert_eq!(of.view(&source(), at(101)).endpoints, 0);
        assert!(!of.look(at(102), &rules), "once");
    }

    #[test]
    fn an_empty_answer_is_believed_after_a_time() {
        let mut of = discovered();
        of.note(report(1, Ok(&[1])), &RULES);
        assert_eq!(of.note(report(2, Ok(&[])), &RULES), Noted::Empty);
        assert_eq!(of.note(report(12, Ok(&[])), &RULES), Noted::Same);
        assert_eq!(of.view(&source(), at(12)).state, "empty");
        assert_eq!(of.next(&RULES), Some(at(32)));
        // An answer in between, or a failure, begins the time anew.
        of.note(report(20, Ok(&[1])), &RULES);
        assert!(!of.look(at(40), &RULES));
        of.note(report(41, Ok(&[])), &RULES);
        of.note(report(42, Err("x")), &RULES);
        of.note(report(43, Ok(&[])), &RULES);
        assert!(!of.look(at(72), &RULES));
        assert!(of.look(at(73), &RULES));
        assert_eq!(of.view(&source(), at(73)).endpoints, 0);
        assert_eq!(of.note(report(80, Ok(&[])), &RULES), Noted::Same);
        let at_once = Discovery {
            empty_after: Duration::ZERO,
            ..RULES
        };
        of.note(report(90, Ok(&[1])), &RULES);
        assert_eq!(of.note(report(91, Ok(&[])), &at_once), Noted::Changed);
    }

    #[test]
    fn found_endpoints_stand_behind_the_written_ones_each_once() {
        let text = "[[upstream]]\nname = 'u'\nendpoints = ['10.0.0.2:5', { address = \
                    'db.test:5', weight = 7, level = 1 }]\n[[listener]]\nname = 'l'\nbind = \
                    '127.0.0.1:0'\nservice = 'proxy'\nupstream = 'u'\n";
        let mut config = Config::parse(text, "t.toml").unwrap();
        let mut of = discovered();
        of.note(report(1, Ok(&[1, 2, 3])), &RULES);
        for _ in 0..2 {
            of.give(&mut config);
            let shown = config.upstreams[0].endpoints.iter();
            let shown: Vec<_> = shown
                .map(|one| (one.address.to_string(), one.weight, one.level))
                .collect();
            let expected = [
                ("10.0.0.2:5", 1, 0),
                ("10.0.0.1:5", 7, 1),
                ("10.0.0.3:5", 7, 1),
            ];
            assert_eq!(
                shown,
                expected.map(|(at, weight, level)| (at.to_owned(), weight, level))
            );
        }
    }
}
