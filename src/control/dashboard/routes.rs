//! The paths of the dashboard, with the answers of the admin API behind them.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};

use super::super::answering::{Answering, Pairs};
use super::super::body::Pieces;
use super::super::filter::read;
use super::super::http::{body_pairs, query_pairs, read_body, response};
use super::super::refusal::Refusal;
use super::super::route::{Route, as_get, with_head};
use super::guard;
use crate::runtime::LogInterval;
use crate::sys;

/// The page. Its script and style have `NONCE` in the place of a nonce.
pub(super) const PAGE: &str = include_str!("page.html");
const NONCE: &str = "{{nonce}}";
/// The most sessions that a drain ends: all.
const DRAIN_MAX: &str = "1000000";
/// The part of an action in the log.
const LOGGED_CHARS: usize = 256;
/// The actions by their words.
const ACTIONS: [(&str, Route); 5] = [
    ("end_session", Route::EndSession(0)),
    ("pause_listener", Route::PauseListener),
    ("resume_listener", Route::ResumeListener),
    ("drain_listener", Route::DrainListener),
    ("set_endpoint", Route::SetEndpoint),
];

/// The answer to a request of `peer`.
pub(super) async fn answer(
    answering: &Arc<Answering>,
    peer: SocketAddr,
    request: Request<Incoming>,
    nonce: &str,
) -> Result<Response<Pieces>, Refusal> {
    guard::check(request.headers())?;
    let (path, method) = (request.uri().path(), request.method());
    let wanted = match path {
        "/" | "/data" | "/sessions" | "/session" => Method::GET,
        "/act" => Method::POST,
        _ => {
            return Err(Refusal::unknown(format!(
                "there is no {path:?}; there are /, /data, /sessions, /session and /act"
            )));
        }
    };
    if as_get(method) != wanted {
        return Err(Refusal::method(with_head(&wanted).to_owned()));
    }
    let json = match path {
        "/" => {
            let page = PAGE.replace(NONCE, nonce).into_bytes();
            return Ok(response(StatusCode::OK, "text/html; charset=utf-8", page));
        }
        "/data" => data(answering).await?,
        "/sessions" => {
            let query = query_pairs(request.uri().query().unwrap_or_default());
            let body = Vec::new();
            answering
                .json(Route::Sessions, &Pairs { query, body })
                .await?
        }
        "/session" => {
            let mut query = query_pairs(request.uri().query().unwrap_or_default());
            let at = query.iter().position(|(key, _)| key == "id");
            let id = at.map(|at| query.swap_remove(at).1).unwrap_or_default();
            let route = Route::Session(read("id", &id, "the number of a session")?);
            let body = Vec::new();
            answering.json(route, &Pairs { query, body }).await?
        }
        _ => act(answering, peer, request).await?,
    };
    Ok(response(StatusCode::OK, "application/json", json))
}

/// One document of several answers of the admin API.
async fn data(answering: &Answering) -> Result<Bytes, Refusal> {
    let can_act = answering.parts().token.is_some();
    let mut document = format!("{{\"can_act\":{can_act}").into_bytes();
    for (name, route) in [
        ("status", Route::Status),
        ("lanes", Route::Lanes),
        ("listeners", Route::Listeners),
        ("upstreams", Route::Upstreams),
    ] {
        document.extend(format!(",\"{name}\":").bytes());
        document.extend(answering.json(route, &Pairs::default()).await?);
    }
    document.extend_from_slice(b"}\n");
    Ok(document.into())
}

/// Does what the body says, for whoever has the token.
async fn act(
    answering: &Answering,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Bytes, Refusal> {
    let parts = answering.parts();
    let allowed = guard::check_action(request.headers(), parts.token.as_ref());
    allowed.inspect_err(|refusal| log_refused(answering.refused_actions(), peer, refusal))?;
    let body = read_body(request.into_body(), &parts.limits).await?;
    let mut pairs = body_pairs(&body)?;
    let mut take = |key: &str| {
        let at = pairs.iter().position(|(of, _)| of == key);
        at.map(|at| pairs.swap_remove(at).1)
    };
    let action = take("action").unwrap_or_default();
    let found = ACTIONS.iter().find(|(word, _)| *word == action);
    let Some((_, route)) = found else {
        let words: Vec<&str> = ACTIONS.iter().map(|(word, _)| *word).collect();
        let known = words.join(", ");
        return Err(Refusal::malformed(format!(
            "action = {action:?}: write one of {known}"
        )));
    };
    let route = match route {
        Route::EndSession(_) => {
            let id = take("id").unwrap_or_default();
            Route::EndSession(read("id", &id, "the number of a session")?)
        }
        route => *route,
    };
    if route == Route::DrainListener {
        take("max");
        pairs.push(("max".to_owned(), DRAIN_MAX.to_owned()));
    }
    let with: Vec<String> = pairs
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let with: String = with.join(" ").chars().take(LOGGED_CHARS).collect();
    let what = match route {
        Route::EndSession(id) => format!("{action} {id}"),
        _ => action,
    };
    tracing::info!(%peer, what, with, "told by the dashboard");
    let query = Vec::new();
    answering.json(route, &Pairs { query, body: pairs }).await
}

/// Logs a refused action, at most once a second.
fn log_refused(interval: &LogInterval, peer: SocketAddr, refusal: &Refusal) {
    if let Some(times) = interval.note(sys::now()) {
        tracing::warn!(%peer, times, "refused by the dashboard: {}", refusal.message);
    }
}
