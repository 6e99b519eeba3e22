//! The check: every server is started and used once. Verified bytes both ways at the same time, a
//! half-close with bytes still to come, and through a proxy a reset. Says what each server does.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use crate::instance::{Instance, Place, Upstream, missing};
use crate::servers::{Server, Service};

/// More than all the buffers on the way hold.
const BYTES: usize = 16 << 20;
/// How long a step may take.
const STEP_MAX: Duration = Duration::from_secs(10);

/// Checks each server in each service. False: one that must do all of it does not.
///
/// # Errors
/// Ctrl-C.
pub(crate) fn run(servers: &[&'static Server], place: &Place) -> io::Result<bool> {
    let mut good = true;
    for server in servers {
        for service in server.services {
            place.interrupt.check()?;
            let title = format!("{} {service:?}", server.name);
            if let Some(why) = missing(server, *service, place) {
                eprintln!("SKIPPED {title}: {why}");
                continue;
            }
            match check(server, *service, place) {
                Ok(remarks) => eprintln!("ok      {title}{remarks}"),
                Err(error) => {
                    good = false;
                    eprintln!("FAIL    {title}: {error}");
                }
            }
        }
    }
    Ok(good)
}

fn check(server: &'static Server, service: Service, place: &Place) -> io::Result<String> {
    let instance = Instance::start(server, service, Upstream::Echo, place)?;
    echo_and_half_close(&instance)?;
    if service == Service::Echo {
        return Ok(String::new());
    }
    drop(instance);
    match reset(server, place) {
        Ok(()) => Ok(", a reset is a reset".to_owned()),
        // What the peers do with a reset is theirs; corelane and the limit have to pass it on.
        Err(error) if server.limit || server.is_corelane() => Err(named("reset", &error)),
        Err(error) => Ok(format!(", but a reset is not passed on: {error}")),
    }
}

/// Sends all, then the FIN, and reads all and the FIN meanwhile.
fn echo_and_half_close(instance: &Instance) -> io::Result<()> {
    let connection = connect(instance.port)?;
    let mut writer = connection.try_clone()?;
    let sender = thread::spawn(move || -> io::Result<()> {
        let bytes: Vec<u8> = pattern().collect();
        writer.write_all(&bytes)?;
        writer.shutdown(Shutdown::Write)
    });
    let mut back = Vec::new();
    let read = (&connection).take(BYTES as u64 + 1).read_to_end(&mut back);
    let sent = sender
        .join()
        .map_err(|_| io::Error::other("the sending thread failed"))?;
    sent.map_err(|error| named("sending", &error))?;
    read.map_err(|error| named("receiving", &error))?;
    match pattern().eq(back.iter().copied()) {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "{} bytes sent, {} came back, and not the same",
            BYTES,
            back.len()
        ))),
    }
}

/// The far end resets after some bytes: the client is to see the bytes and a reset, not a FIN.
fn reset(server: &'static Server, place: &Place) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let proxy = Instance::start_before(server, port, place)?;
    let mut client = connect(proxy.port)?;
    client.write_all(b"hello")?;
    // The look whether the proxy listens may have left a connection here that says nothing.
    let far = loop {
        let (mut far, _) = listener.accept()?;
        far.set_read_timeout(Some(STEP_MAX))?;
        let mut hello = [0; 5];
        if far.read_exact(&mut hello).is_ok() {
            break far;
        }
    };
    (&far).write_all(b"answer")?;
    let mut answer = [0; 6];
    client.read_exact(&mut answer)?;
    SockRef::from(&far).set_linger(Some(Duration::ZERO))?;
    drop(far);
    match client.read(&mut answer) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
        Err(error) => Err(error),
        Ok(0) => Err(io::Error::other("it became a FIN")),
        Ok(bytes) => Err(io::Error::other(format!(
            "{bytes} bytes came that nobody sent"
        ))),
    }
}

fn connect(port: u16) -> io::Result<TcpStream> {
    let connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    connection.set_read_timeout(Some(STEP_MAX))?;
    connection.set_write_timeout(Some(STEP_MAX))?;
    Ok(connection)
}

/// Repeats after a prime number of bytes, so that a piece that is lost or doubled shows.
fn pattern() -> impl Iterator<Item = u8> {
    (0..251).cycle().take(BYTES)
}

fn named(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
