//! Names of a filter that found nothing: a mistyped name is a mistake, and not an empty answer.

use serde_json::Value;

use super::arguments::Filter;
use super::client::{Client, Failed};
use crate::config::nearest;

/// Refuses a listener or an upstream that the server does not have, with the nearest name. Sessions
/// of a removed listener have been found before.
pub(super) fn check(client: &Client, filter: &Filter) -> Result<(), Failed> {
    for (kind, path, wanted) in [
        ("listener", "/v1/listeners", &filter.listener),
        ("upstream", "/v1/upstreams", &filter.upstream),
    ] {
        if let Some(wanted) = wanted {
            find(client, kind, path, wanted)?;
        }
    }
    Ok(())
}

/// The answer of a request about a listener. A refusal for a mistyped name has the nearest name.
pub(super) fn hint(
    client: &Client,
    listener: &str,
    answer: Result<Value, Failed>,
) -> Result<Value, Failed> {
    if let Err(Failed::Refused(_)) = &answer {
        find(client, "listener", "/v1/listeners", listener)?;
    }
    answer
}

fn find(client: &Client, kind: &str, path: &str, wanted: &str) -> Result<(), Failed> {
    let answer = client.get(path)?;
    let of = |one: &Value| one["name"].as_str().map(str::to_owned);
    let names = answer.as_array().into_iter().flatten().filter_map(of);
    let names: Vec<String> = names.collect();
    if names.iter().any(|name| name == wanted) {
        return Ok(());
    }
    let meant = match nearest(wanted, names.iter().map(String::as_str)) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None if names.is_empty() => "there is none".to_owned(),
        None => format!("there are {}", names.join(", ")),
    };
    Err(Failed::Refused(format!(
        "there is no {kind} {wanted:?}; {meant}"
    )))
}
