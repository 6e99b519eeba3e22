//! The server's own times, from its page of metrics, beside the client's.

use super::markup::Markup;
use super::run::Run;
use crate::outcome::Distribution;
use crate::stats::float;
use crate::text::figures::{Unit, grouped, maybe};
use crate::text::server_metrics::{whereabouts, words};

const HEADS: [&str; 6] = ["", "count", "mean", "p50", "p90", "p99"];

/// A table for each run with metrics; `None` without such a run.
pub(crate) fn section(runs: &[Run]) -> Option<Markup> {
    let mut section = Markup::default();
    let mut has_any = false;
    for run in runs {
        let Some(of) = &run.outcome.server_metrics else {
            continue;
        };
        has_any = true;
        section.element("h3", &[], format!("{}: {}", run.name, of.url));
        section.raw("<div class=\"scroll\"><table class=\"results\"><thead><tr>");
        for head in HEADS {
            section.element("th", &[], head);
        }
        section.raw("</tr></thead><tbody>");
        let latency = &run.outcome.latency;
        for (name, times) in [
            ("client: service time", latency.service.as_ref()),
            ("client: connect", latency.connect.as_ref()),
        ] {
            if let Some(times) = times {
                let cells = of_client(times);
                row(&mut section, name, times.count, &cells);
            }
        }
        for times in &of.times {
            let up_to = |bound: Option<u64>| {
                maybe(bound, |bound| {
                    format!("up to {}", Unit::Time.show(float(bound)))
                })
            };
            let bounds = [times.p50_max_ns, times.p90_max_ns, times.p99_max_ns].map(up_to);
            let mean = Unit::Time.show(times.mean_ns);
            let [p50, p90, p99] = bounds;
            let name = format!("server: {}", words(&times.metric));
            row(&mut section, &name, times.count, &[mean, p50, p90, p99]);
        }
        section.raw("</tbody></table></div>");
        if let Some(sentence) = whereabouts(of, &run.outcome) {
            section.element("p", &[("class", &"note")], sentence);
        }
    }
    has_any.then_some(section)
}

fn of_client(times: &Distribution) -> [String; 4] {
    let of = &times.percentiles;
    let shown = |nanos: Option<u64>| maybe(nanos, |nanos| Unit::Time.show(float(nanos)));
    let mean = maybe(times.mean, |nanos| Unit::Time.show(nanos));
    [mean, shown(of.p50), shown(of.p90), shown(of.p99)]
}

fn row(to: &mut Markup, name: &str, count: u64, cells: &[String; 4]) {
    to.raw("<tr>");
    to.element("th", &[], name);
    to.element("td", &[], grouped(count));
    for cell in cells {
        to.element("td", &[], cell);
    }
    to.close("tr");
}
