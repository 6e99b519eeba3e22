//! The difference of two pages: what the server counted during a load. Pure.

use super::page::Page;
use crate::outcome::{ServerMetrics, ServerTimes};

/// The histograms of times that tell where the time went, in the order of a session.
const TIMES: [&str; 7] = [
    "corelane_listener_accept_wait_seconds",
    "corelane_listener_connect_seconds",
    "corelane_listener_first_byte_seconds",
    "corelane_endpoint_connect_seconds",
    "corelane_endpoint_first_byte_seconds",
    "corelane_lane_queue_delay_seconds",
    "corelane_lane_turn_seconds",
];
const CPU: &str = "corelane_lane_cpu_seconds_total";

/// What happened between two pages of `url`.
pub(crate) fn difference(url: &str, before: &Page, after: &Page) -> ServerMetrics {
    let grown = |name: &str| after.sum(name) - before.sum(name);
    let ended = after.ended.iter().map(|(reason, count)| {
        let before = before.ended.get(reason).copied().unwrap_or_default();
        (reason.clone(), whole(count - before))
    });
    ServerMetrics {
        url: url.to_owned(),
        cpu_ns: after
            .sums
            .contains_key(CPU)
            .then(|| whole(1e9 * grown(CPU))),
        times: TIMES
            .iter()
            .filter_map(|name| times(name, before, after))
            .collect(),
        ended: ended.filter(|(_, count)| *count > 0).collect(),
    }
}

/// The times of a histogram; `None` without a new time.
fn times(name: &str, before: &Page, after: &Page) -> Option<ServerTimes> {
    let grown = |part: &str| {
        let name = format!("{name}{part}");
        after.sum(&name) - before.sum(&name)
    };
    let count = whole(grown("_count"));
    if count == 0 {
        return None;
    }
    let up_to = |page: &Page, bound: f64| {
        let buckets = page.buckets.get(name).into_iter().flatten();
        let mut buckets = buckets.filter(|(own, _)| *own == bound);
        buckets.next().map_or(0.0, |(_, count)| *count)
    };
    let bounds: Vec<f64> = after
        .buckets
        .get(name)?
        .iter()
        .map(|(bound, _)| *bound)
        .collect();
    // The least bound that so many percent of the times do not exceed.
    let at_most = |percent: u32| {
        let wanted = grown("_count") * f64::from(percent) / 100.0;
        let reaches = |bound: &&f64| up_to(after, **bound) - up_to(before, **bound) >= wanted;
        let bound = bounds.iter().find(reaches)?;
        bound.is_finite().then(|| whole(1e9 * bound))
    };
    Some(ServerTimes {
        metric: name.to_owned(),
        count,
        mean_ns: 1e9 * grown("_sum") / grown("_count"),
        p50_max_ns: at_most(50),
        p90_max_ns: at_most(90),
        p99_max_ns: at_most(99),
    })
}

/// A count or a time, which a restart of the server may have lowered.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked"
)]
fn whole(value: f64) -> u64 {
    match value.round() {
        value if (0.0..1e18).contains(&value) => value as u64,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::{CPU, Page, TIMES, difference};

    fn page(counts: [u32; 3], sum: f64) -> Page {
        let [low, high, all] = counts;
        let name = TIMES[5];
        Page::parse(&format!(
            "{name}_bucket{{lane=\"0\",le=\"0.000016384\"}} {low}\n\
             {name}_bucket{{lane=\"0\",le=\"0.000065536\"}} {high}\n\
             {name}_bucket{{lane=\"0\",le=\"+Inf\"}} {all}\n\
             {name}_sum{{lane=\"0\"}} {sum}\n{name}_count{{lane=\"0\"}} {all}\n\
             {CPU}{{lane=\"0\"}} {sum}\n\
             corelane_listener_sessions_ended_total{{reason=\"client_fin\"}} {low}\n"
        ))
    }

    #[test]
    fn a_load_is_what_came_between_two_pages() {
        let of = difference("u", &page([10, 10, 10], 0.5), &page([70, 108, 110], 0.502));
        assert_eq!((of.cpu_ns, of.ended["client_fin"]), (Some(2_000_000), 60));
        let [times] = &of.times[..] else {
            panic!("{of:?}");
        };
        assert_eq!((&*times.metric, times.count), (TIMES[5], 100));
        assert!((times.mean_ns - 20_000.0).abs() < 1.0, "{times:?}");
        let bounds = [times.p50_max_ns, times.p90_max_ns, times.p99_max_ns];
        assert_eq!(bounds, [Some(16_384), Some(65_536), None]);
    }

    #[test]
    fn a_restart_in_the_middle_gives_no_nonsense() {
        let of = difference("u", &page([70, 108, 110], 9.0), &page([10, 10, 10], 0.5));
        assert!(of.times.is_empty() && of.ended.is_empty(), "{of:?}");
        assert_eq!(of.cpu_ns, Some(0));
    }

    #[test]
    fn the_server_has_these_metrics() {
        let docs = include_str!("../../../docs/metrics.md");
        for name in TIMES.iter().chain([&CPU]) {
            assert!(docs.contains(&format!("| `{name}` |")), "{name}");
        }
    }
}
