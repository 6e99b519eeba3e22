//! The routes of the admin API: a method and a path each, under `/v1/`.

use hyper::Method;

use super::access::Level;
use super::filter::read;
use super::refusal::Refusal;

/// A request's meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Status,
    Config,
    Generations,
    Listeners,
    Upstreams,
    Lanes,
    Sessions,
    Session(u64),
    EndSession(u64),
    EndSessions,
    SetEndpoint,
    RefreshUpstream,
    Reload,
    PauseListener,
    ResumeListener,
    DrainListener,
    Stop,
    Log,
    SetLog,
    Metrics,
    Trace,
    OpenApi,
}

/// The document of the routes.
pub(super) const OPEN_API: &str = include_str!("../../docs/openapi.json");

impl Route {
    /// All routes, with any value in place of an id.
    pub(super) const ALL: [Self; 22] = [
        Self::Status,
        Self::Config,
        Self::Generations,
        Self::Listeners,
        Self::Upstreams,
        Self::Lanes,
        Self::Sessions,
        Self::Session(0),
        Self::EndSession(0),
        Self::EndSessions,
        Self::SetEndpoint,
        Self::RefreshUpstream,
        Self::Reload,
        Self::PauseListener,
        Self::ResumeListener,
        Self::DrainListener,
        Self::Stop,
        Self::Log,
        Self::SetLog,
        Self::Metrics,
        Self::Trace,
        Self::OpenApi,
    ];

    /// The method and the path, with `{id}` for an id.
    pub(super) fn line(self) -> (Method, &'static str) {
        match self {
            Self::Status => (Method::GET, "/v1/status"),
            Self::Config => (Method::GET, "/v1/config"),
            Self::Generations => (Method::GET, "/v1/generations"),
            Self::Listeners => (Method::GET, "/v1/listeners"),
            Self::Upstreams => (Method::GET, "/v1/upstreams"),
            Self::Lanes => (Method::GET, "/v1/lanes"),
            Self::Sessions => (Method::GET, "/v1/sessions"),
            Self::Session(_) => (Method::GET, "/v1/sessions/{id}"),
            Self::EndSession(_) => (Method::DELETE, "/v1/sessions/{id}"),
            Self::EndSessions => (Method::POST, "/v1/sessions/end"),
            Self::SetEndpoint => (Method::POST, "/v1/upstreams/endpoint"),
            Self::RefreshUpstream => (Method::POST, "/v1/upstreams/refresh"),
            Self::Reload => (Method::POST, "/v1/reload"),
            Self::PauseListener => (Method::POST, "/v1/listeners/pause"),
            Self::ResumeListener => (Method::POST, "/v1/listeners/resume"),
            Self::DrainListener => (Method::POST, "/v1/listeners/drain"),
            Self::Stop => (Method::POST, "/v1/stop"),
            Self::Log => (Method::GET, "/v1/log"),
            Self::SetLog => (Method::PUT, "/v1/log"),
            Self::Metrics => (Method::GET, "/v1/metrics"),
            Self::Trace => (Method::POST, "/v1/trace"),
            Self::OpenApi => (Method::GET, "/v1/openapi.json"),
        }
    }

    /// The permission for the route.
    pub(super) fn level(self) -> Level {
        match self.line().0 {
            Method::GET => Level::Read,
            _ => Level::Operate,
        }
    }

    /// The route of a request.
    ///
    /// HEAD is GET here: hyper leaves out the body of the answer (RFC 9110, 9.3.2).
    pub(super) fn find(method: &Method, path: &str) -> Result<Self, Refusal> {
        let method = as_get(method);
        let of_path = |route: &Self| route.has_path(path);
        let mut found = Self::ALL.iter().filter(|route| of_path(route)).peekable();
        if found.peek().is_none() {
            return Err(Refusal::unknown(format!(
                "there is no {path:?}; /v1/openapi.json describes what there is"
            )));
        }
        let Some(route) = found.clone().find(|route| route.line().0 == method) else {
            let methods: Vec<String> = found
                .map(|route| with_head(&route.line().0).to_owned())
                .collect();
            return Err(Refusal::method(methods.join(", ")));
        };
        let id = || {
            let id = path.rsplit('/').next().unwrap_or_default();
            read("id", id, "the number of a session")
        };
        Ok(match route {
            Self::Session(_) => Self::Session(id()?),
            Self::EndSession(_) => Self::EndSession(id()?),
            other => *other,
        })
    }

    fn has_path(self, path: &str) -> bool {
        let own = self.line().1;
        match own.strip_suffix("{id}") {
            None => own == path,
            // A name beside the ids is a separate path.
            Some(prefix) => path
                .strip_prefix(prefix)
                .is_some_and(|id| !id.is_empty() && !id.contains('/') && id != "end"),
        }
    }
}

/// The method whose answer a request gets.
pub(super) fn as_get(method: &Method) -> Method {
    match *method {
        Method::HEAD => Method::GET,
        _ => method.clone(),
    }
}

/// The value of an `Allow` header.
pub(super) fn with_head(method: &Method) -> &str {
    match *method {
        Method::GET => "GET, HEAD",
        _ => method.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use hyper::{Method, StatusCode};

    use super::super::access::Level;
    use super::Route;

    #[test]
    fn every_route_is_found_by_its_line() {
        for route in Route::ALL {
            let (method, path) = route.line();
            let found = Route::find(&method, &path.replace("{id}", "0"));
            assert_eq!(found, Ok(route));
            assert_eq!(route.level() == Level::Read, method == Method::GET);
        }
        assert_eq!(Route::find(&Method::HEAD, "/v1/status"), Ok(Route::Status));
        let unsafe_head = Route::find(&Method::HEAD, "/v1/stop").unwrap_err();
        assert_eq!(unsafe_head.allow.as_deref(), Some("POST"));
        assert_eq!(
            Route::find(&Method::DELETE, "/v1/sessions/77"),
            Ok(Route::EndSession(77))
        );
    }

    #[test]
    fn wrong_lines_say_what_is_right() {
        let refused = |method, path| Route::find(&method, path).unwrap_err();
        let wrong_method = refused(Method::DELETE, "/v1/log");
        assert_eq!(wrong_method.allow.as_deref(), Some("GET, HEAD, PUT"));
        assert_eq!(
            refused(Method::GET, "/v1/sessions/end").allow.as_deref(),
            Some("POST")
        );
        assert_eq!(
            refused(Method::GET, "/v1/sessions/x").status,
            StatusCode::BAD_REQUEST
        );
        for path in [
            "/",
            "/status",
            "/v2/status",
            "/v1/sessions/",
            "/v1/sessions/1/2",
        ] {
            assert_eq!(
                refused(Method::GET, path).status,
                StatusCode::NOT_FOUND,
                "{path}"
            );
        }
    }
}
