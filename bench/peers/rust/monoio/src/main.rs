//! Echo or proxy on monoio, on io_uring: the least code that its documentation leads to. A proxy
//! copies with `monoio::io::copy`, given a third argument by `zero_copy`, which splices.
//!
//! usage: peer-monoio PORT [UPSTREAM_PORT [splice]]

use std::env;
use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use monoio::io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, Splitable, copy, zero_copy};
use monoio::net::{TcpListener, TcpStream};
use monoio::{IoUringDriver, RuntimeBuilder};

/// The ring's entries. The default is 1024; nothing says to take more.
const ENTRIES: u32 = 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let listen = address(
        &arguments
            .next()
            .ok_or("usage: PORT [UPSTREAM_PORT [splice]]")?,
    )?;
    let upstream = arguments.next().as_deref().map(address).transpose()?;
    let splice = arguments.next().is_some();
    let mut runtime = RuntimeBuilder::<IoUringDriver>::new()
        .with_entries(ENTRIES)
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen)?;
        loop {
            let Ok((client, _)) = listener.accept().await else {
                continue;
            };
            // An end by an error is an end: what it was does not matter here.
            monoio::spawn(async move {
                _ = match upstream {
                    None => echo(client).await,
                    Some(upstream) => proxy(client, upstream, splice).await,
                };
            });
        }
    })
}

async fn echo(mut client: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(16 << 10);
    loop {
        let (result, read) = client.read(buffer).await;
        if result? == 0 {
            return Ok(());
        }
        let (result, written) = client.write_all(read).await;
        result?;
        buffer = written;
    }
}

async fn proxy(client: TcpStream, upstream: SocketAddr, splice: bool) -> io::Result<()> {
    client.set_nodelay(true)?;
    let upstream = TcpStream::connect_addr(upstream).await?;
    upstream.set_nodelay(true)?;
    let (mut client_read, mut client_write) = client.into_split();
    let (mut upstream_read, mut upstream_write) = upstream.into_split();
    let up = async {
        match splice {
            true => zero_copy(&mut client_read, &mut upstream_write).await?,
            false => copy(&mut client_read, &mut upstream_write).await?,
        };
        upstream_write.shutdown().await
    };
    let down = async {
        match splice {
            true => zero_copy(&mut upstream_read, &mut client_write).await?,
            false => copy(&mut upstream_read, &mut client_write).await?,
        };
        client_write.shutdown().await
    };
    monoio::try_join!(up, down)?;
    Ok(())
}

fn address(port: &str) -> Result<SocketAddr, Box<dyn Error>> {
    Ok((Ipv4Addr::LOCALHOST, port.parse()?).into())
}
