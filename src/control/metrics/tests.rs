//! The page of a server with several lanes and names that need escapes, read line by line.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};
use std::{env, fs};

use tokio::runtime::Builder;
use tokio::task::yield_now;

use super::writing::{OF_PART, Writing};
use super::{EndpointHealth, Families, Format, LaneFacts, MetricFacts, Pages};
use crate::control::health::{Panicking, Watching};
use crate::control::verdict::Verdict;
use crate::control::view::{AccessLogView, SourceView};
use crate::stats::{EndpointStats, HealthStats, LaneStats, ListenerStats, PerLane};
use crate::sys;

const ENDS: &[&str] = &["client_fin", "upstream_rst"];
const CAUSES: &[&str] = &["connect_refused"];
const CHECKS: &[&str] = &["good", "refused"];
/// A name with every character that the formats escape.
const ODD: &str = "a \"b\" \\c\né";

/// An endpoint with health checks.
fn watching(index: usize) -> Watching {
    let stats = HealthStats::new(CHECKS);
    stats.checks.count(0);
    stats.duration.record(300);
    let port = u16::try_from(index).unwrap();
    Watching {
        upstream: ODD.into(),
        address: ([127, 0, 0, 1], port).into(),
        verdict: Verdict::Down,
        stats: Arc::new(stats),
    }
}

fn source() -> SourceView {
    SourceView {
        source: "db.test:5".to_owned(),
        state: "stale",
        endpoints: 2,
        answer_age_s: Some(60),
        error: Some("SERVFAIL".to_owned()),
        next_in_s: Some(1),
        answers: 3,
        failures: 4,
        changes: 5,
    }
}

/// An upstream that panics.
fn panicking() -> Panicking {
    Panicking {
        upstream: ODD.into(),
        is_in_panic: true,
        panics: 2,
    }
}

fn lane(index: usize) -> LaneFacts {
    LaneFacts {
        index,
        stats: Arc::new(LaneStats::default()),
        buffers_max: 10,
        cpu_ns: 1_500_000_000,
    }
}

/// Some values on every lane.
fn families(listeners: usize, endpoints: usize, lanes: usize) -> Families {
    let listener = |index: usize| {
        let all = PerLane::new(lanes);
        for lane in 0..lanes {
            let stats = all.of(lane, || ListenerStats::new(ENDS));
            stats.begun.add(3);
            stats.from_client.add(100);
            stats.ended.count(0);
            stats.ended.count(1);
            for value in [7, 2000, 1 << 41] {
                stats.life.record(value);
            }
        }
        let name = match index {
            0 => ODD.to_owned(),
            _ => format!("l{index}"),
        };
        (name.into(), Arc::new(all))
    };
    let watching = (0..endpoints).map(watching).collect();
    let endpoint = |index: usize| {
        let all = PerLane::new(lanes);
        for lane in 0..lanes {
            let stats = all.of(lane, || EndpointStats::new(ENDS, CAUSES));
            stats.begun.add(1);
            stats.failures.count(0);
            stats.connect.record(300 << (index % 6));
            stats.first_byte.record(90);
        }
        let port = u16::try_from(index).unwrap();
        ((ODD.into(), ([127, 0, 0, 1], port).into()), Arc::new(all))
    };
    let endpoints: Vec<_> = (0..endpoints).map(endpoint).collect();
    let health = |((upstream, address), _): &((Arc<str>, _), _)| EndpointHealth {
        upstream: Arc::clone(upstream),
        address: *address,
        admin_state: "ready",
        is_failing: false,
    };
    Families {
        facts: MetricFacts {
            started: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
            sessions_live: 1,
            sessions_max: 2,
            generation: 3,
            generation_age_s: 4,
            generations_past: 0,
            access_log: AccessLogView {
                is_on: true,
                written: 7,
                dropped: 8,
            },
            listeners: (0..listeners).map(listener).collect(),
            sources: vec![source()],
            queued: vec![(ODD.into(), 4)],
            health: endpoints.iter().map(health).collect(),
            endpoints,
        },
        lanes: (0..lanes).map(lane).collect(),
        watching,
        panicking: vec![panicking()],
        listen_overflows: Some(5),
        retransmits: Some(6),
        descriptors: Some(9),
        descriptors_max: Some(11),
    }
}

/// A page, written in parts of so many things, and the longest time for a part.
fn written_by(families: Families, format: Format, of_part: usize) -> (String, Duration) {
    let mut longest = Duration::ZERO;
    let mut began = sys::now();
    let mut writing = Writing::new(families, format, of_part).unwrap();
    while writing.write_part().unwrap() {
        longest = longest.max(sys::now().since(began));
        began = sys::now();
    }
    (writing.finish().unwrap(), longest)
}

fn write(families: Families, format: Format) -> String {
    written_by(families, format, OF_PART).0
}

#[test]
fn a_page_in_parts_is_the_page_in_one() {
    for format in [Format::Prometheus, Format::OpenMetrics] {
        let in_parts = |of_part| written_by(families(5, 9, 4), format, of_part).0;
        let whole = in_parts(usize::MAX);
        for of_part in [1, 2, 3, 5, 8] {
            assert!(in_parts(of_part) == whole, "{of_part}");
        }
        // A family without rows has its head.
        let (empty, _) = written_by(families(0, 0, 0), format, 1);
        assert!(empty.contains("# TYPE corelane_endpoint_sessions gauge"));
    }
}

/// Requests that wait at the same time share a page, other tasks run meanwhile, and no page is
/// older than its request.
#[test]
fn requests_that_wait_share_a_page() {
    let pages = Arc::new(Pages::default());
    let made = Arc::new(AtomicU64::new(0));
    let ask = || {
        let (pages, made) = (Arc::clone(&pages), Arc::clone(&made));
        async move {
            let facts = async || {
                let mut families = families(40, 400, 2);
                families.facts.generation_age_s = made.fetch_add(1, Relaxed);
                Ok(families)
            };
            pages.page(Format::Prometheus, facts).await.unwrap()
        }
    };
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let first = tokio::spawn(ask());
        yield_now().await;
        assert_eq!(made.load(Relaxed), 1, "the first page is being made");
        // One of these clients goes away.
        let waiting: Vec<_> = (0..9).map(|_| tokio::spawn(ask())).collect();
        yield_now().await;
        waiting[0].abort();
        assert!(!first.is_finished(), "other tasks run meanwhile");
        let first = first.await.unwrap();
        let mut pages = Vec::new();
        for one in waiting.into_iter().skip(1) {
            pages.push(one.await.unwrap());
        }
        assert_eq!(made.load(Relaxed), 2, "one more for all that came later");
        assert!(pages.iter().all(|page| page.as_ptr() == pages[0].as_ptr()));
        assert_ne!(pages[0], first);
        let later = ask().await;
        assert_eq!((made.load(Relaxed), later == pages[0]), (3, false));
    });
}

/// The value of each row, by its name and labels.
fn rows(page: &str) -> BTreeMap<&str, f64> {
    let rows = page.lines().filter(|line| !line.starts_with('#'));
    let row = |line: &'_ str| {
        let at = line.rfind(' ').unwrap();
        (at, line[at + 1..].parse().unwrap())
    };
    let mut all = BTreeMap::new();
    for line in rows {
        let (at, value) = row(line);
        assert_eq!(all.insert(&line[..at], value), None, "twice: {line}");
    }
    all
}

/// Prometheus refuses the whole page for one wrong or repeated name.
#[test]
fn names_are_those_that_prometheus_takes() {
    for format in [Format::Prometheus, Format::OpenMetrics] {
        let page = write(families(2, 2, 2), format);
        // For foreign readers: `.ci/metrics`.
        if let Ok(folder) = env::var("CORELANE_METRICS_PAGES") {
            fs::write(format!("{folder}/{format:?}"), &page).unwrap();
        }
        let is_name = |name: &str| {
            let mut bytes = name.bytes();
            name.starts_with("corelane_")
                && bytes.all(|byte| byte.is_ascii_lowercase() || b"_0123456789".contains(&byte))
        };
        let (mut families, mut kind) = (BTreeMap::new(), "");
        for line in page.lines() {
            let words: Vec<&str> = line.splitn(4, ' ').collect();
            match words[..] {
                ["#", "TYPE", name, of] => {
                    assert!(is_name(name) && !name.contains("__"), "{line}");
                    assert_eq!(families.insert(name, of), None, "twice: {line}");
                    kind = of;
                }
                ["#", "HELP", name, help] => assert!(is_name(name) && !help.is_empty(), "{line}"),
                ["#", "UNIT", name, unit] => assert!(name.ends_with(unit), "{line}"),
                ["#", "EOF"] => assert_eq!(format, Format::OpenMetrics),
                _ => {
                    let name = line.split(['{', ' ']).next().unwrap();
                    let suffixes: &[&str] = match (kind, format) {
                        ("counter", Format::OpenMetrics) => &["_total"],
                        ("info", _) => &["_info"],
                        ("histogram", _) => &["_bucket", "_sum", "_count"],
                        _ => &[""],
                    };
                    let of_family = |suffix: &&str| {
                        let base = name.strip_suffix(*suffix);
                        base.is_some_and(|base| families.get(base) == Some(&kind))
                    };
                    assert!(suffixes.iter().any(of_family), "{line}");
                    let is_total = name.ends_with("_total");
                    assert_eq!(is_total, kind == "counter", "{line}");
                }
            }
        }
        assert!(families.len() > 40, "{}", families.len());
        let labels: BTreeSet<&str> = page
            .lines()
            .filter_map(|line| line.split_once('{')?.1.split('=').next())
            .collect();
        let known = [
            "endpoint", "lane", "le", "listener", "source", "state", "upstream", "version",
        ];
        assert!(
            labels.iter().all(|label| known.contains(label)),
            "{labels:?}"
        );
    }
}

#[test]
fn values_are_those_of_all_lanes_together() {
    let page = write(families(1, 1, 3), Format::Prometheus);
    let rows = rows(&page);
    let listener = r#"listener="a \"b\" \\c\né""#;
    let endpoint = r#"upstream="a \"b\" \\c\né",endpoint="127.0.0.1:0""#;
    for (row, value) in [
        (format!("corelane_listener_sessions{{{listener}}}"), 3.0),
        (
            format!("corelane_listener_sessions_begun_total{{{listener}}}"),
            9.0,
        ),
        (
            format!("corelane_listener_sessions_ended_total{{{listener},reason=\"upstream_rst\"}}"),
            3.0,
        ),
        (
            format!("corelane_listener_from_client_bytes_total{{{listener}}}"),
            300.0,
        ),
        (
            format!(
                "corelane_listener_session_duration_seconds_bucket{{{listener},le=\"0.001024\"}}"
            ),
            3.0,
        ),
        (
            format!(
                "corelane_listener_session_duration_seconds_bucket{{{listener},le=\"0.004096\"}}"
            ),
            6.0,
        ),
        (
            format!("corelane_listener_session_duration_seconds_bucket{{{listener},le=\"+Inf\"}}"),
            9.0,
        ),
        (
            format!("corelane_listener_session_duration_seconds_count{{{listener}}}"),
            9.0,
        ),
        (
            format!("corelane_endpoint_connect_seconds_sum{{{endpoint}}}"),
            0.0009,
        ),
        (
            format!(
                "corelane_endpoint_connect_failures_total{{{endpoint},reason=\"connect_refused\"}}"
            ),
            3.0,
        ),
        (
            "corelane_lane_cpu_seconds_total{lane=\"2\"}".to_owned(),
            1.5,
        ),
        ("corelane_listen_overflows_total".to_owned(), 5.0),
        ("corelane_namespace_retransmits_total".to_owned(), 6.0),
        ("corelane_descriptors".to_owned(), 9.0),
        ("corelane_descriptors_max".to_owned(), 11.0),
        ("corelane_access_log_lines_total".to_owned(), 7.0),
        ("corelane_access_log_dropped_total".to_owned(), 8.0),
    ] {
        let found = rows.get(row.as_str());
        assert_eq!(found, Some(&value), "{row} in\n{page}");
    }
}

/// The names in a text, without the endings of the rows of a histogram.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names = words.filter(|word| word.starts_with("corelane_"));
    let base = |name| {
        let endings = ["_bucket", "_sum", "_count"];
        let base = endings
            .iter()
            .find_map(|ending| str::strip_suffix(name, ending));
        base.unwrap_or(name)
    };
    names.map(base).collect()
}

#[test]
fn the_table_of_the_docs_has_every_metric() {
    let page = write(families(1, 1, 1), Format::Prometheus);
    let of = |what: &'static str| {
        let lines = page.lines().filter_map(move |line| line.strip_prefix(what));
        lines.filter_map(|line| line.split_once(' '))
    };
    let helps: BTreeMap<&str, &str> = of("# HELP ").collect();
    let row = |(name, kind): (&str, &str)| [format!("`{name}`"), kind.into(), helps[name].into()];
    let expected: Vec<[String; 3]> = of("# TYPE ").map(row).collect();
    let (_, table) = include_str!("../../../docs/metrics.md")
        .split_once("## All metrics")
        .unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches(['|', ' ']).split(" | ").collect();
        [
            cells[0].to_owned(),
            cells[1].to_owned(),
            cells[3].to_owned(),
        ]
    };
    assert_eq!(rows.map(row).collect::<Vec<_>>(), expected);
}

#[test]
fn the_board_and_the_alerts_name_metrics_that_exist() {
    let page = write(families(1, 1, 1), Format::Prometheus);
    let known = named(&page);
    for (text, least) in [
        (include_str!("../../../deploy/grafana/corelane.json"), 30),
        (include_str!("../../../deploy/prometheus/alerts.yml"), 14),
        (
            include_str!("../../../deploy/prometheus/alerts_test.yml"),
            14,
        ),
    ] {
        let names = named(text);
        assert!(names.len() >= least, "{names:?}");
        let unknown: Vec<_> = names.difference(&known).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}

/// Run in release: `cargo test --release --lib -- --ignored --nocapture a_page_of_many`.
#[test]
#[ignore = "measures the time of a page"]
#[expect(clippy::print_stdout, reason = "the result of a measurement")]
fn a_page_of_many_endpoints_is_written_in_time() {
    for (listeners, endpoints, lanes) in [(4, 1000, 16), (1000, 10_000, 16)] {
        let (mut best, mut part) = (Duration::MAX, Duration::MAX);
        let mut bytes = 0;
        for _ in 0..5 {
            let families = families(listeners, endpoints, lanes);
            let began = sys::now();
            let (page, longest) = written_by(families, Format::Prometheus, OF_PART);
            best = best.min(sys::now().since(began));
            part = part.min(longest);
            bytes = page.len();
        }
        println!(
            "{listeners} listeners, {endpoints} endpoints, {lanes} lanes: {bytes} bytes in \
             {best:?}, a part in at most {part:?}"
        );
        assert!(bytes > 1_000_000);
        if endpoints == 1000 {
            assert!(best < Duration::from_millis(50), "{best:?}");
        }
    }
}
