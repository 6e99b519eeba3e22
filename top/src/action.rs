//! What an operator does to the server: the question before, the request, and what came of it.

use serde_json::{Value, json};

use crate::client::{Client, Failed};
use crate::units::grouped;

/// The most sessions that the server ends at a request.
const DRAIN_MAX: usize = 1_000_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// End a session; with its client for the question.
    End {
        id: u64,
        client: String,
    },
    Pause(String),
    Resume(String),
    /// Pause a listener, and end its sessions.
    Drain(String),
    /// The administrative state of an endpoint.
    Endpoint {
        upstream: String,
        address: String,
        state: &'static str,
    },
}

impl Action {
    /// Asked before the action.
    pub(crate) fn question(&self) -> String {
        match self {
            Self::End { id, client } => {
                format!("End session {id} of {client} by a reset of both connections?")
            }
            Self::Pause(name) => format!("Pause listener {name}? Its clients wait in the backlog."),
            Self::Resume(name) => format!("Resume listener {name}?"),
            Self::Drain(name) => format!("Drain listener {name}: pause it, and end its sessions?"),
            Self::Endpoint {
                upstream,
                address,
                state,
            } => {
                let what = match *state {
                    "drain" => "no new session chooses it",
                    "maintenance" => "no new session, and the present ones end",
                    _ => "sessions may choose it",
                };
                format!("Set endpoint {address} of {upstream} to {state}: {what}?")
            }
        }
    }

    /// Does it, and says what the server has done.
    pub(crate) fn perform(&self, client: &Client) -> Result<String, Failed> {
        let post = |path: &str, body: &Value| client.call("POST", path, Some(body));
        let sessions = |answer: &Value| match answer["ending"].as_u64() {
            Some(1) => "1 session ends".to_owned(),
            count => format!("{} sessions end", grouped(count.unwrap_or_default())),
        };
        match self {
            Self::End { id, .. } => {
                client.call("DELETE", &format!("/v1/sessions/{id}"), None)?;
                Ok(format!("session {id} ends"))
            }
            Self::Pause(name) | Self::Resume(name) => {
                let is_pause = matches!(self, Self::Pause(_));
                let verb = if is_pause { "pause" } else { "resume" };
                let body = json!({ "listener": name });
                let answer = post(&format!("/v1/listeners/{verb}"), &body)?;
                let state = answer["state"].as_str().unwrap_or(verb).to_owned();
                Ok(format!("listener {name}: {state}"))
            }
            Self::Drain(name) => {
                let body = json!({ "listener": name, "max": DRAIN_MAX });
                let answer = post("/v1/listeners/drain", &body)?;
                Ok(format!("listener {name}: paused, {}", sessions(&answer)))
            }
            Self::Endpoint {
                upstream,
                address,
                state,
            } => {
                let body = json!({ "upstream": upstream, "endpoint": address, "state": state });
                let answer = post("/v1/upstreams/endpoint", &body)?;
                let ending = match *state {
                    "maintenance" => format!(", {}", sessions(&answer)),
                    _ => String::new(),
                };
                Ok(format!("endpoint {address} of {upstream}: {state}{ending}"))
            }
        }
    }
}
