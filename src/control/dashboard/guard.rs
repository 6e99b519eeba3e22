//! What keeps other pages of a browser out: checks of a request, and headers of each answer.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;

use hyper::Response;
use hyper::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderMap,
    HeaderName, HeaderValue, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

use super::super::refusal::Refusal;
use super::super::token::Token;

/// Refuses a request that a foreign page has made.
///
/// A name in `Host` may be that of a foreign page, whose name server has given the address of this
/// machine (DNS rebinding). No name server decides what an address or "localhost" is.
pub(super) fn check(headers: &HeaderMap) -> Result<(), Refusal> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.filter(|host| is_address_or_localhost(host));
    let Some(host) = host else {
        return Err(Refusal::forbidden(
            "the header Host has to be an address or localhost; open the page by one, or have the \
             proxy before it send one",
        ));
    };
    let is_own = |origin: &HeaderValue| {
        let origin = origin.to_str().unwrap_or_default();
        let authority = origin.strip_prefix("http://");
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    };
    if !headers.get_all(ORIGIN).iter().all(is_own) {
        return Err(Refusal::forbidden("requests of other pages are refused"));
    }
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(Refusal::forbidden("requests of other sites are refused")),
    }
}

/// `127.0.0.1:9900`, `[::1]:9900`, `localhost`; a port is optional.
fn is_address_or_localhost(host: &str) -> bool {
    let is_port = |port: &str| port.is_empty() || port.parse::<u16>().is_ok();
    let (name, port) = match host.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((address, rest))) => (address, rest.strip_prefix(':').unwrap_or(rest)),
        Some(None) => return false,
        None => host.split_once(':').unwrap_or((host, "")),
    };
    let is_bracketed = host.starts_with('[');
    let is_local = !is_bracketed && name.eq_ignore_ascii_case("localhost");
    let address = name.parse::<IpAddr>().ok();
    is_port(port) && (is_local || address.is_some_and(|ip| ip.is_ipv6() == is_bracketed))
}

/// Refuses an action without the token, or that a form could have sent.
pub(super) fn check_action(headers: &HeaderMap, token: Option<&Token>) -> Result<(), Refusal> {
    let Some(token) = token else {
        return Err(Refusal::forbidden(
            "this dashboard changes nothing: dashboard.token_file is \"off\"",
        ));
    };
    let given = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
    if !given.is_some_and(|given| token.is_in(given)) {
        return Err(Refusal::forbidden(
            "the token is wrong or missing; dashboard.token_file names its file",
        ));
    }
    match headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes) {
        Some(b"application/json") => Ok(()),
        _ => Err(Refusal::malformed("the body has to be application/json")),
    }
}

/// A word that no foreign text in the page can have guessed, for its own script and style.
pub(super) fn nonce() -> String {
    // Keyed hashes: each state has keys of the system's random numbers.
    let part = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", part(), part())
}

/// The answer with the headers that bind a browser.
pub(super) fn secured<B>(mut answer: Response<B>, nonce: &str) -> Response<B> {
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src \
         'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let headers = answer.headers_mut();
    let policy = HeaderValue::from_str(&policy).expect("hexadecimal digits and ASCII");
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    for (name, value) in [
        (X_FRAME_OPTIONS, "DENY"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::{is_address_or_localhost, nonce};

    #[test]
    fn only_addresses_and_localhost_are_hosts() {
        for (host, is) in [
            ("127.0.0.1:9900", true),
            ("10.0.0.1", true),
            ("localhost:9900", true),
            ("LOCALHOST", true),
            ("[::1]:9900", true),
            ("[fe80::1]", true),
            ("evil.example:9900", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1:9900@evil.example", false),
            ("::1", false),
            ("[127.0.0.1]:80", false),
            ("[localhost]", false),
            ("[::1", false),
            ("127.0.0.1:99999", false),
            ("", false),
        ] {
            assert_eq!(is_address_or_localhost(host), is, "{host}");
        }
    }

    #[test]
    fn no_two_nonces_are_alike() {
        let (one, other) = (nonce(), nonce());
        assert!(one.len() == 32 && one != other, "{one} {other}");
        assert_ne!(one[..16], one[16..]);
    }
}
