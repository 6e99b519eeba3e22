//! The dashboard: a page for browsers on an address of its own, the data of the page, and a small
//! set of actions for whoever has the token.
//!
//! A request goes `guard.rs` (whether the page itself asks) → `routes.rs` (the answer). The admin
//! API has no route here.

mod guard;
mod routes;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::answering::Answering;
use super::http::{builder, refused};
use super::seat::Seat;

/// Serves a request of a browser. Each connection has one, so that few connections serve many
/// pages.
pub(super) async fn serve_dashboard(
    answering: Arc<Answering>,
    seat: Arc<Seat>,
    peer: SocketAddr,
    io: impl AsyncRead + AsyncWrite + Unpin,
) {
    let limits = answering.parts().limits;
    let service = service_fn(|request| {
        let (answering, seat) = (Arc::clone(&answering), Arc::clone(&seat));
        async move {
            let nonce = guard::nonce();
            let answer = routes::answer(&answering, peer, request, &nonce);
            let answer = seat.answer(answer).await;
            let answer = answer.unwrap_or_else(|refusal| refused(&refusal));
            Ok::<_, Infallible>(guard::secured(answer, &nonce))
        }
    });
    let mut http = builder(&limits);
    let connection = http
        .keep_alive(false)
        .serve_connection(TokioIo::new(io), service);
    // Errors are the client's: an end in the middle, a late header.
    _ = timeout(limits.connection, connection).await;
}
