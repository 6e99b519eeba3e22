//! The relay: both directions between a client and an upstream, each a pump.

use std::io;

use super::session::Moved;
use crate::net::Stream;
use crate::runtime::{Close, both};

/// Relays until both ends have sent their FIN, or one fails: then both are reset.
///
/// Each pump holds at most what one socket's queue and one send hold, and receives no more while
/// its sink does not take it.
pub(super) async fn relay(client: Stream, upstream: Stream, moved: &mut Moved) -> io::Result<()> {
    let Moved {
        from_client,
        to_client,
    } = moved;
    both(
        pump(&client, &upstream, from_client),
        pump(&upstream, &client, to_client),
    )
    .await?;
    client.close(Close::Fin);
    upstream.close(Close::Fin);
    Ok(())
}

/// Moves bytes one way, then the FIN behind them.
async fn pump(from: &Stream, to: &Stream, bytes: &mut u64) -> io::Result<()> {
    loop {
        let chain = from.recv().await?;
        if chain.is_empty() {
            return to.shutdown();
        }
        *bytes += to.send(chain).await? as u64;
    }
}
