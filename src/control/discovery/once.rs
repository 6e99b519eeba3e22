//! A single look at sources, for `check --here`: nothing serves yet.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{Instant, timeout_at};

use super::following::{Following, Wanted};
use super::report::Report;
use crate::config::EndpointSource;

/// The first report of each source, as far as reports come within a time.
///
/// # Errors
/// The system refuses an event queue.
pub(crate) fn look_once(
    wanted: Wanted,
    patience: Duration,
) -> io::Result<BTreeMap<EndpointSource, Report>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (sender, mut reports) = unbounded_channel();
    let count = wanted.sources.len();
    Ok(runtime.block_on(async {
        // The receiver lives as long as the tasks.
        let mut following = Following::new(Arc::new(move |report| drop(sender.send(report))));
        following.follow(wanted);
        let (mut first, end) = (BTreeMap::new(), Instant::now() + patience);
        while first.len() < count {
            let Ok(Some(report)) = timeout_at(end, reports.recv()).await else {
                break;
            };
            let report: Report = report;
            first.entry(report.source.clone()).or_insert(report);
        }
        first
    }))
}
