//! The choice of sessions.

use std::sync::Arc;
use std::time::Duration;

use super::table;
use crate::config::AccessLog;
use crate::proxy::{AccessFilter, EndReason};
use crate::runtime::SessionId;

/// A filter of these keys.
fn filter(lines: &str) -> (Arc<crate::proxy::AccessLog>, AccessFilter) {
    let table = table(lines);
    let mut filter = AccessFilter::of_ends(&table.only, AccessLog::is_abnormal);
    filter.longer_than = table.longer_than.unwrap_or_default();
    filter.sample = table.sample;
    filter.start = table.start;
    let log = crate::proxy::AccessLog::new(1);
    log.set(Some(filter));
    (log, filter)
}

#[test]
fn filters_thin_out_orderly_ends_only() {
    let wants = |lines: &str, reason, ms| {
        let (log, _) = filter(lines);
        log.wants_end(SessionId(1), reason, Duration::from_millis(ms))
    };
    let (fin, refused) = (EndReason::ClientFin, EndReason::ConnectRefused);
    for (lines, reason, ms, is_wanted) in [
        ("", fin, 0, true),
        ("", refused, 0, true),
        ("only = ['abnormal']", fin, 9999, false),
        ("only = ['abnormal']", refused, 0, true),
        ("only = ['client_fin', 'client_rst']", fin, 0, true),
        ("only = ['client_fin', 'client_rst']", refused, 0, false),
        ("longer_than = '1s'", fin, 999, false),
        ("longer_than = '1s'", fin, 1000, true),
        ("longer_than = '1s'", refused, 0, true),
        ("only = ['client_fin']\nlonger_than = '1s'", fin, 999, false),
    ] {
        assert_eq!(wants(lines, reason, ms), is_wanted, "{lines} {reason} {ms}");
    }
    let (log, _) = filter("sample = '10%'\nstart = true");
    let sampled = |id: &u64| log.wants_end(SessionId(*id), fin, Duration::ZERO);
    let ids: Vec<u64> = (1..=10_000).filter(sampled).collect();
    assert!((900..1100).contains(&ids.len()), "{}", ids.len());
    assert_eq!(
        ids,
        (1..=10_000).filter(sampled).collect::<Vec<_>>(),
        "by the id"
    );
    assert!(
        ids.iter().all(|id| log.wants_start(SessionId(*id))),
        "starts of the same sessions"
    );
    assert!((1..100).all(|id| log.wants_end(SessionId(id), refused, Duration::ZERO)));
    log.set(None);
    assert!((1..100).all(|id| !log.wants_end(SessionId(id), refused, Duration::ZERO)));
}

/// `only` has the words of the log.
#[test]
fn every_end_can_be_asked_for() {
    for reason in EndReason::ALL {
        let (log, _) = filter(&format!("only = ['{reason}']"));
        for other in EndReason::ALL {
            let is_wanted = log.wants_end(SessionId(1), other, Duration::ZERO);
            assert_eq!(is_wanted, reason == other, "{reason} {other}");
        }
    }
}
