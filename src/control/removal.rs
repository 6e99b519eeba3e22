//! What becomes of the sessions of a listener or an endpoint that a reload removes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::asking::Asking;
use super::ends::{Target, end_now, end_over, targets};
use super::filter::Filter;
use super::refusal::Refusal;
use crate::config::OnRemoved;
use crate::runtime::EndRequest;

/// A listener still accepts the clients from before its end for 100 ms.
const HANDSHAKES: Duration = Duration::from_millis(200);

/// A listener or an endpoint that a configuration lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Removal {
    pub(crate) of: Removed,
    pub(crate) on_removed: OnRemoved,
    /// The number of the configuration without it.
    pub(crate) generation: u32,
}

/// What is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Removed {
    /// The listener of this name.
    Listener(String),
    /// An endpoint of the upstream of this name.
    Endpoint(String, SocketAddr),
}

impl Removal {
    /// In words: `listener "echo"`.
    pub(super) fn what(&self) -> String {
        match &self.of {
            Removed::Listener(name) => format!("listener \"{name}\""),
            Removed::Endpoint(upstream, at) => format!("endpoint {at} of upstream \"{upstream}\""),
        }
    }

    async fn sessions(&self, asking: &Asking) -> Result<Vec<Target>, Refusal> {
        let below = self.generation;
        let filter = match &self.of {
            Removed::Listener(name) => Filter::of_listener(name, below),
            Removed::Endpoint(upstream, at) => Filter::of_endpoint(upstream, *at, below),
        };
        let (targets, _) = targets(asking, &Arc::new(filter), usize::MAX).await?;
        Ok(targets)
    }
}

/// The number of sessions of each removal.
pub(super) async fn count(asking: &Asking, removals: &[Removal]) -> Result<Vec<usize>, Refusal> {
    let mut counts = Vec::new();
    for removal in removals {
        counts.push(removal.sessions(asking).await?.len());
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
            let ended = match removal.sessions(&asking).await {
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
