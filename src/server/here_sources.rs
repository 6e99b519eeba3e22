//! Looks at names and other sources of endpoints for `check --here`.

use super::error::ServerError;
use crate::config::{Config, ConfigWarning};
use crate::control::{Wanted, look_once};

/// The warnings about sources without an answer, or without an endpoint, at the moment.
///
/// # Errors
/// The system refuses an event queue.
pub(super) fn warnings(config: &Config) -> Result<Vec<ConfigWarning>, ServerError> {
    let wanted = Wanted {
        sources: config.sources(),
        resolver: config.resolver.clone(),
        etcd: config.etcd.clone(),
    };
    if wanted.sources.is_empty() {
        return Ok(Vec::new());
    }
    // As long as a start would wait, and for one question in any case.
    let patience = config.discovery.start_wait.max(config.resolver.timeout * 2);
    let reports = look_once(wanted, patience).map_err(|error| ServerError::System {
        what: "cannot look names up",
        error,
    })?;
    let mut doubts = Vec::new();
    for (index, upstream) in config.upstreams.iter().enumerate() {
        for (place, written) in upstream.written_sources() {
            let answer = reports.get(&written.source).map(|report| &report.answer);
            let doubt = match answer {
                None => format!("no answer within {patience:?}"),
                Some(Err(why)) => format!("no answer at the moment: {why}"),
                Some(Ok(found)) if found.is_empty() => "no endpoint at the moment".to_owned(),
                Some(Ok(_)) => continue,
            };
            doubts.push((format!("upstream[{index}].endpoints[{place}]"), doubt));
        }
    }
    Ok(config.warn(doubts))
}
