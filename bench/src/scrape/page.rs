//! A page in the text format of Prometheus: the sums of each metric of corelane over all labels.
//! Pure.

use std::collections::BTreeMap;

/// The numbers of a page, summed over listeners, endpoints and lanes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Page {
    /// By the name of the row.
    pub(super) sums: BTreeMap<String, f64>,
    /// Of each histogram the values up to each bound, in the order of the page.
    pub(super) buckets: BTreeMap<String, Vec<(f64, f64)>>,
    /// Ended sessions by reason.
    pub(super) ended: BTreeMap<String, f64>,
}

const ENDED: &str = "corelane_listener_sessions_ended_total";

impl Page {
    /// Reads a page; passes over lines that are no metrics of corelane.
    pub(crate) fn parse(text: &str) -> Self {
        let mut page = Self::default();
        let rows = text.lines().filter(|line| line.starts_with("corelane_"));
        for (name, labels, value) in rows.filter_map(row) {
            if let (Some(name), Some(bound)) = (name.strip_suffix("_bucket"), label(labels, "le")) {
                let bound = bound.parse().unwrap_or(f64::INFINITY);
                let buckets = page.buckets.entry(name.to_owned()).or_default();
                match buckets.iter_mut().find(|(own, _)| *own == bound) {
                    Some((_, sum)) => *sum += value,
                    None => buckets.push((bound, value)),
                }
                continue;
            }
            if let (ENDED, Some(reason)) = (name, label(labels, "reason")) {
                *page.ended.entry(reason.to_owned()).or_default() += value;
            }
            *page.sums.entry(name.to_owned()).or_default() += value;
        }
        page
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sums.is_empty()
    }

    pub(super) fn sum(&self, name: &str) -> f64 {
        self.sums.get(name).copied().unwrap_or_default()
    }
}

/// The name, the labels and the value of a line.
fn row(line: &str) -> Option<(&str, &str, f64)> {
    let (row, value) = line.rsplit_once(' ')?;
    let (name, labels) = row.split_once('{').unwrap_or((row, ""));
    Some((name, labels.trim_end_matches('}'), value.parse().ok()?))
}

/// The value of a label without escapes.
fn label<'l>(labels: &'l str, name: &str) -> Option<&'l str> {
    let mut labels = labels.split(',').filter_map(|label| label.split_once('='));
    let (_, value) = labels.find(|(own, _)| *own == name)?;
    Some(value.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::Page;

    #[test]
    fn rows_are_summed_over_their_labels() {
        let page = Page::parse(
            "# HELP corelane_a_total A\n# TYPE corelane_a_total counter\n\
             corelane_a_total{lane=\"0\"} 3\ncorelane_a_total{lane=\"1\"} 4.5\n\
             go_threads 7\ncorelane_broken{ x\n\
             corelane_h_seconds_bucket{lane=\"0\",le=\"0.25\"} 1\n\
             corelane_h_seconds_bucket{lane=\"0\",le=\"+Inf\"} 2\n\
             corelane_h_seconds_bucket{lane=\"1\",le=\"0.25\"} 10\n\
             corelane_h_seconds_bucket{lane=\"1\",le=\"+Inf\"} 10\n\
             corelane_h_seconds_sum{lane=\"0\"} 1e-3\ncorelane_h_seconds_count{lane=\"0\"} 2\n\
             corelane_listener_sessions_ended_total{listener=\"l\",reason=\"client_fin\"} 2\n",
        );
        assert_eq!(page.sum("corelane_a_total"), 7.5);
        assert_eq!(page.sum("corelane_h_seconds_sum"), 0.001);
        assert_eq!(
            page.buckets["corelane_h_seconds"],
            [(0.25, 11.0), (f64::INFINITY, 12.0)]
        );
        assert_eq!(page.ended["client_fin"], 2.0);
        assert!(!page.sums.keys().any(|name| name.contains("broken")));
        assert!(Page::parse("go_threads 7\n").is_empty());
    }
}
