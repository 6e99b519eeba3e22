//! Names of a filter that found nothing: a mistyped name is a mistake, and not an empty answer.

use serde_json::Value;

use super::arguments::Filter;
use super::client::{Client, Failed};
use crate::config::nearest_in_words;

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

/// An endpoint of an upstream.
pub(super) fn endpoint(client: &Client, upstream: &str, endpoint: &str) -> Result<Value, Failed> {
    let upstreams = client.get("/v1/upstreams")?;
    let found = named("upstream", "name", &upstreams, upstream)?;
    let kind = format!("endpoint of upstream {upstream:?}");
    let mut one = named(&kind, "address", &found["endpoints"], endpoint)?.clone();
    one["upstream"] = Value::from(upstream);
    Ok(one)
}

fn find(client: &Client, kind: &str, path: &str, wanted: &str) -> Result<(), Failed> {
    named(kind, "name", &client.get(path)?, wanted).map(drop)
}

/// The element of `list` whose `key` is `wanted`. The refusal has the nearest text.
fn named<'v>(kind: &str, key: &str, list: &'v Value, wanted: &str) -> Result<&'v Value, Failed> {
    let list = || list.as_array().into_iter().flatten();
    if let Some(found) = list().find(|one| one[key] == *wanted) {
        return Ok(found);
    }
    let known: Vec<&str> = list().filter_map(|one| one[key].as_str()).collect();
    let meant = nearest_in_words(wanted, &known);
    Err(Failed::Refused(format!(
        "there is no {kind} {wanted:?}; {meant}"
    )))
}
