//! The end of the sessions of an endpoint that went down.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::AbortHandle;

use super::asking::Asking;
use super::ends::{end_now, end_over, targets};
use super::filter::Filter;
use super::health::EndSessions;
use crate::config::OnRemoved;
use crate::runtime::EndRequest;

/// The way to end the sessions of an endpoint, for the health checks.
pub(super) fn end_by_rule(asking: &Arc<Asking>) -> Box<EndSessions> {
    let asking = Arc::clone(asking);
    Box::new(move |upstream, endpoint, rule| end_sessions_of(&asking, upstream, endpoint, rule))
}

fn end_sessions_of(
    asking: &Arc<Asking>,
    upstream: &Arc<str>,
    endpoint: SocketAddr,
    rule: OnRemoved,
) -> Option<AbortHandle> {
    let over = match rule {
        OnRemoved::Keep => return None,
        OnRemoved::Drain { over } => Some(over),
        OnRemoved::Reset => None,
    };
    let (asking, upstream) = (Arc::clone(asking), Arc::clone(upstream));
    let task = tokio::spawn(async move {
        let filter = Arc::new(Filter::of_endpoint(&upstream, endpoint));
        let why = EndRequest::EndpointDown;
        let ended = match targets(&asking, &filter, usize::MAX).await {
            Ok((targets, _)) => match over {
                Some(over) => Ok(end_over(&asking, targets, over, why).await),
                None => end_now(&asking, &targets, why).await,
            },
            Err(refusal) => Err(refusal),
        };
        let upstream = &*upstream;
        match ended {
            Ok(ended) => tracing::info!(
                upstream, %endpoint, ended, "the sessions of an endpoint that is down have ended"
            ),
            Err(refusal) => {
                tracing::error!(upstream, %endpoint, "sessions stay: {}", refusal.message);
            }
        }
    });
    Some(task.abort_handle())
}
