//! Echo or proxy on compio, on io_uring: the least code that its documentation leads to. A proxy
//! copies with `compio::io::copy`.
//!
//! usage: peer-compio PORT [UPSTREAM_PORT]

use std::env;
use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use compio::BufResult;
use compio::buf::{IntoInner, IoBuf};
use compio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy};
use compio::net::{TcpListener, TcpStream};
use futures_util::future::try_join;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let listen = address(&arguments.next().ok_or("usage: PORT [UPSTREAM_PORT]")?)?;
    let upstream = arguments.next().as_deref().map(address).transpose()?;
    let runtime = compio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await?;
        loop {
            let Ok((client, _)) = listener.accept().await else {
                continue;
            };
            // An end by an error is an end: what it was does not matter here.
            compio::runtime::spawn(async move {
                _ = match upstream {
                    None => echo(client).await,
                    Some(upstream) => proxy(client, upstream).await,
                };
            })
            .detach();
        }
    })
}

async fn echo(mut client: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(16 << 10);
    loop {
        buffer.clear();
        let BufResult(result, read) = client.read(buffer).await;
        let bytes = result?;
        if bytes == 0 {
            return Ok(());
        }
        let BufResult(result, written) = client.write_all(read.slice(..bytes)).await;
        result?;
        buffer = written.into_inner();
    }
}

async fn proxy(client: TcpStream, upstream: SocketAddr) -> io::Result<()> {
    client.set_nodelay(true)?;
    let upstream = TcpStream::connect(upstream).await?;
    upstream.set_nodelay(true)?;
    let (mut client_read, mut client_write) = client.split();
    let (mut upstream_read, mut upstream_write) = upstream.split();
    let up = async {
        copy(&mut client_read, &mut upstream_write).await?;
        upstream_write.shutdown().await
    };
    let down = async {
        copy(&mut upstream_read, &mut client_write).await?;
        client_write.shutdown().await
    };
    try_join(up, down).await?;
    Ok(())
}

fn address(port: &str) -> Result<SocketAddr, Box<dyn Error>> {
    Ok((Ipv4Addr::LOCALHOST, port.parse()?).into())
}
