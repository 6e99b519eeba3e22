//! Echo or proxy on tokio, on its current-thread scheduler: the least code that its documentation
//! leads to. A proxy copies with `copy_bidirectional`, given a third argument with buffers of so
//! many bytes.
//!
//! usage: peer-tokio PORT [UPSTREAM_PORT [BUFFER_BYTES]]

use std::env;
use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional, copy_bidirectional_with_sizes};
use tokio::net::{TcpListener, TcpStream};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let listen = address(
        &arguments
            .next()
            .ok_or("usage: PORT [UPSTREAM_PORT [BUFFER_BYTES]]")?,
    )?;
    let upstream = arguments.next().as_deref().map(address).transpose()?;
    let buffer_bytes = arguments.next().map(|text| text.parse()).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await?;
        loop {
            let Ok((client, _)) = listener.accept().await else {
                continue;
            };
            // An end by an error is an end: what it was does not matter here.
            tokio::spawn(async move {
                _ = match upstream {
                    None => echo(client).await,
                    Some(upstream) => proxy(client, upstream, buffer_bytes).await,
                };
            });
        }
    })
}

async fn echo(mut client: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut buffer = vec![0; 16 << 10];
    loop {
        match client.read(&mut buffer).await? {
            0 => return Ok(()),
            bytes => client.write_all(&buffer[..bytes]).await?,
        }
    }
}

async fn proxy(
    mut client: TcpStream,
    upstream: SocketAddr,
    buffer_bytes: Option<usize>,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut upstream = TcpStream::connect(upstream).await?;
    upstream.set_nodelay(true)?;
    match buffer_bytes {
        None => copy_bidirectional(&mut client, &mut upstream).await?,
        Some(bytes) => {
            copy_bidirectional_with_sizes(&mut client, &mut upstream, bytes, bytes).await?
        }
    };
    Ok(())
}

fn address(port: &str) -> Result<SocketAddr, Box<dyn Error>> {
    Ok((Ipv4Addr::LOCALHOST, port.parse()?).into())
}
