//! Echo or proxy on glommio: the least code that its documentation leads to. A proxy copies with
//! futures-lite, which glommio's own examples use.
//!
//! usage: peer-glommio PORT [UPSTREAM_PORT]

use std::env;
use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use futures_lite::future::try_zip;
use futures_lite::io::{AsyncReadExt, AsyncWriteExt, copy, split};
use glommio::net::{TcpListener, TcpStream};
use glommio::{LocalExecutorBuilder, Placement};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let listen = address(&arguments.next().ok_or("usage: PORT [UPSTREAM_PORT]")?)?;
    let upstream = arguments.next().as_deref().map(address).transpose()?;
    // The runner pins the whole process.
    let executor = LocalExecutorBuilder::new(Placement::Unbound).make()?;
    executor.run(async {
        let listener = TcpListener::bind(listen)?;
        loop {
            let Ok(client) = listener.accept().await else {
                continue;
            };
            // An end by an error is an end: what it was does not matter here.
            glommio::spawn_local(async move {
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
    let mut buffer = vec![0; 16 << 10];
    loop {
        match client.read(&mut buffer).await? {
            0 => return Ok(()),
            bytes => client.write_all(&buffer[..bytes]).await?,
        }
    }
}

async fn proxy(client: TcpStream, upstream: SocketAddr) -> io::Result<()> {
    client.set_nodelay(true)?;
    let upstream = TcpStream::connect(upstream).await?;
    upstream.set_nodelay(true)?;
    let (client_read, mut client_write) = split(client);
    let (upstream_read, mut upstream_write) = split(upstream);
    let up = async {
        copy(client_read, &mut upstream_write).await?;
        upstream_write.close().await
    };
    let down = async {
        copy(upstream_read, &mut client_write).await?;
        client_write.close().await
    };
    try_zip(up, down).await?;
    Ok(())
}

fn address(port: &str) -> Result<SocketAddr, Box<dyn Error>> {
    Ok((Ipv4Addr::LOCALHOST, port.parse()?).into())
}
