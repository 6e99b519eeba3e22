//! The echo service: every byte back, in order, then the FIN.

use std::io;

use super::session::Moved;
use crate::net::Stream;
use crate::runtime::Close;

/// Sends back what arrives until the client's FIN, then closes.
///
/// While a send is in flight what arrives queues up and then leaves in one piece; when the client
/// does not read, receiving stops too.
pub(super) async fn echo(stream: Stream, moved: &mut Moved) -> io::Result<()> {
    loop {
        let chain = stream.recv().await?;
        if chain.is_empty() {
            break;
        }
        moved.from_client += chain.len() as u64;
        moved.to_client += stream.send(chain).await? as u64;
    }
    stream.close(Close::Fin);
    Ok(())
}
