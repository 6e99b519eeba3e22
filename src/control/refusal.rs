//! Why a request has no ordinary answer: a status of HTTP, a word for programs, a text for people.

use hyper::StatusCode;
use serde::Serialize;

/// A refused request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
    /// The methods of the path, if the method alone is wrong.
    pub(super) allow: Option<String>,
}

/// The body of a refusal.
#[derive(Debug, Serialize)]
pub(super) struct Body<'r> {
    error: Error<'r>,
}

#[derive(Debug, Serialize)]
struct Error<'r> {
    code: &'static str,
    message: &'r str,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            allow: None,
        }
    }

    /// The request makes no sense; the message names the place and a remedy.
    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", message)
    }

    /// This peer lacks the permission.
    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// There is no such path or object.
    pub(crate) fn unknown(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// The path lacks the method.
    pub(super) fn method(allow: String) -> Self {
        let message = format!("this path has {allow}");
        let refusal = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            message,
        );
        Self {
            allow: Some(allow),
            ..refusal
        }
    }

    /// The state of the server does not allow the request now.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    pub(super) fn body_too_large(bytes_max: usize) -> Self {
        let message = format!("a body has at most {bytes_max} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    }

    pub(super) fn body_too_late() -> Self {
        let message = "the body did not arrive in time";
        Self::new(StatusCode::REQUEST_TIMEOUT, "body_too_late", message)
    }

    /// As many spread ends run as may run.
    pub(super) fn busy(message: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", message)
    }

    /// A lane or the main thread did not answer in time.
    pub(super) fn silent(who: impl Into<String>) -> Self {
        let message = format!("{} did not answer in time", who.into());
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "no_answer", message)
    }

    pub(super) fn body(&self) -> Body<'_> {
        Body {
            error: Error {
                code: self.code,
                message: &self.message,
            },
        }
    }
}
