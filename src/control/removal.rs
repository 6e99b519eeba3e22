//! The ends of the sessions of removed listeners and endpoints.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::asking::Asking;
use super::ends::{Target, end_now, end_over, targets};
use super::filter::Filter;
use super::refusal::Refusal;
use super::removed::{Removal, Removed};
use crate::config::OnRemoved;
use crate::runtime::EndRequest;

/// A removed listener still accepts earlier clients for 100 ms.
const HANDSHAKES: Duration = Duration::from_millis(200);

/// The sessions of a removed listener or endpoint.
async fn sessions(asking: &Asking, removal: &Removal) -> Result<Vec<Target>, Refusal> {
    let filter = match &removal.of {
        Removed::Listener(name) => Filter::of_listener(name),
        Removed::Endpoint(upstream, at) => Filter::of_endpoint(upstream, *at),
    };
    let filter = Arc::new(filter.below(removal.generation));
    let (targets, _) = targets(asking, &filter, usize::MAX).await?;
    Ok(targets)
}

/// The number of sessions of each removal.
pub(super) async fn count(asking: &Asking, removals: &[Removal]) -> Result<Vec<usize>, Refusal> {
    let mut counts = Vec::new();
    for removal in removals {
        counts.push(sessions(asking, removal).await?.len());
    }
    Ok(counts)
}

/// Ends the sessions of removals as each says, in the background.
pub(super) fn retire(asking: &Arc<Asking>, removals: Vec<Removal>) {
    for removal in removals {
        let over = match removal.on_removed {
            OnRemoved::Keep => continue,
            OnRemoved::Drain { over } => Some(over),
            OnRemoved::Reset => None,
        };
        let asking = Arc::clone(asking);
        tokio::spawn(async move {
            sleep(HANDSHAKES).await;
            let (what, why) = (removal.what(), EndRequest::Removed);
            let ended = match sessions(&asking, &removal).await {
                Ok(targets) => {
                    tracing::info!(what, sessions = targets.len(), ?over, "ending the sessions");
                    match over {
                        Some(over) => Ok(end_over(&asking, targets, over, why).await),
                        None => end_now(&asking, &targets, why).await,
                    }
                }
                Err(refusal) => Err(refusal),
            };
            match ended {
                Ok(ended) => tracing::info!(what, ended, "the sessions have ended"),
                Err(refusal) => tracing::error!(what, "sessions stay: {}", refusal.message),
            }
        });
    }
}
