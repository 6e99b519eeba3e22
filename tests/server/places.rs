//! The most sessions of an endpoint, and the queue for a place.

use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use crate::removed::{Operated, is_reset};
use crate::support::{accept, connect, listener, on_both, patient, proxy, reset, spawn, until};

const LOG: &str = "[log]\nlevel = \"debug\"\n";

/// A proxy to one endpoint of the test's own.
struct Limited {
    one: Operated,
    endpoint: TcpListener,
    address: SocketAddr,
}

impl Limited {
    fn start(poller: &str, keys: &str) -> Self {
        let (endpoint, address) = listener();
        let one = Operated::start(poller, &(LOG.to_owned() + &proxy(&[address]) + keys));
        Self {
            one,
            endpoint,
            address,
        }
    }

    /// A client that sends its number.
    fn client(&self, number: u8) -> TcpStream {
        let mut client = connect(self.one.server.address("proxy"));
        client.write_all(&[number]).unwrap();
        client
    }

    /// Whether a client is reset. The reset may come as early as in the connect.
    fn is_refused(&self, number: u8) -> bool {
        let connected = TcpStream::connect(self.one.server.address("proxy"));
        let written = connected.and_then(|mut client| {
            patient(&client);
            client.write_all(&[number]).map(|()| client)
        });
        match written {
            Ok(client) => is_reset(&client),
            Err(error) => matches!(error.kind(), ConnectionReset | BrokenPipe),
        }
    }

    /// The next connection at the endpoint, and the number of its client.
    fn served(&self) -> (u8, TcpStream) {
        let mut served = accept(&self.endpoint);
        let mut number = [0];
        served.read_exact(&mut number).unwrap();
        (number[0], served)
    }

    fn queued(&self) -> u64 {
        self.one.json("ctl upstreams")[0]["queued"]
            .as_u64()
            .unwrap()
    }

    /// A client that waits in the queue as the last of so many.
    fn waiting(&self, number: u8, count: u64) -> TcpStream {
        let client = self.client(number);
        until("the session waits", || self.queued() == count);
        client
    }
}

#[test]
fn sessions_wait_in_order_and_leave_by_a_reset_but_not_by_a_fin() {
    on_both(|poller| {
        let of = Limited::start(poller, "endpoint_max_sessions = 1\n");
        let first = of.client(0);
        let (number, mut end) = of.served();
        assert_eq!(number, 0);
        let mut clients: Vec<_> = (1..=5)
            .map(|number| Some(of.waiting(number, number.into())))
            .collect();
        reset(clients[1].take().unwrap());
        until("client 2 has left", || of.queued() == 4);
        clients[2]
            .as_ref()
            .unwrap()
            .shutdown(Shutdown::Write)
            .unwrap();
        drop(first);
        for expected in [1, 3, 4, 5] {
            drop(end);
            let (number, next) = of.served();
            assert_eq!(number, expected);
            end = next;
            clients[usize::from(number) - 1] = None;
        }
        drop(end);
        until("the queue is empty", || of.queued() == 0);
        of.one.server.stop();
    });
}

#[test]
fn who_finds_the_queue_full_or_waits_too_long_is_reset_and_told() {
    on_both(|poller| {
        let keys = "endpoint_max_sessions = 1\nqueue = 1\nqueue_timeout = \"300ms\"\n";
        let mut of = Limited::start(poller, keys);
        let first = (of.client(0), of.served());
        let second = of.waiting(1, 1);
        assert!(of.is_refused(2));
        of.one.server.await_line("no place at an endpoint");
        of.one.server.await_line("ended=queue_full");
        assert!(is_reset(&second));
        let line = of.one.server.await_line("ended=queue_timeout");
        let waited = line.split("waited_us=").nth(1).unwrap().split(' ').next();
        let waited: u64 = waited.unwrap().parse().unwrap();
        assert!((300_000..20_000_000).contains(&waited), "{line}");
        assert_eq!(of.queued(), 0);
        drop(first);
        of.one.server.stop();
    });
}

/// By a reload, for the table of the endpoint.
#[test]
fn a_raised_limit_serves_waiting_sessions_at_once() {
    on_both(|poller| {
        let of = Limited::start(poller, "endpoint_max_sessions = 1\n");
        let text = |most: usize| {
            let table = format!("{{ address = \"{}\", max_sessions = {most} }}", of.address);
            LOG.to_owned() + &proxy(&[of.address]).replace(&format!("\"{}\"", of.address), &table)
        };
        let _first = of.client(0);
        let _end = of.served();
        let _second = of.waiting(1, 1);
        let _third = of.waiting(2, 2);
        of.one.write(&text(3));
        let changed = of.one.json("reload");
        assert_eq!(changed["changed"], true, "{changed}");
        let (second, third) = (of.served(), of.served());
        let mut both = [second.0, third.0];
        both.sort_unstable();
        assert_eq!(both, [1, 2]);
        // Lowered again: present sessions stay, and new ones wait.
        of.one.write(&text(1));
        of.one.json("reload");
        let _fourth = of.waiting(3, 1);
        let upstreams = of.one.json("ctl upstreams");
        assert_eq!(upstreams[0]["endpoints"][0]["max_sessions"], 1);
        assert_eq!(upstreams[0]["endpoints"][0]["sessions"], 3);
        of.one.server.signal("TERM");
    });
}

/// The endpoints close first, so that what they count is never above what the server counts.
#[test]
fn no_endpoint_has_more_than_its_sessions_whatever_the_clients_do() {
    const MOST: usize = 3;
    on_both(|poller| {
        let endpoints: Vec<_> = (0..2).map(|_| listener()).collect();
        let addresses: Vec<SocketAddr> = endpoints.iter().map(|(_, at)| *at).collect();
        let text = proxy(&addresses) + &format!("endpoint_max_sessions = {MOST}\n");
        let text = text.replace("round_robin", "two_choices");
        let one = Operated::start(poller, &text);
        let served = Arc::new(AtomicUsize::new(0));
        for (listener, _) in endpoints {
            let (now, served) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&served));
            drop(spawn(move || {
                while let Ok((mut end, _)) = listener.accept() {
                    assert!(now.fetch_add(1, SeqCst) < MOST, "too many");
                    let (now, served) = (Arc::clone(&now), Arc::clone(&served));
                    drop(spawn(move || {
                        patient(&end);
                        let _any = end.read(&mut [0]);
                        now.fetch_sub(1, SeqCst);
                        served.fetch_add(1, SeqCst);
                    }));
                }
            }));
        }
        let address = one.server.address("proxy");
        let clients = (0..16).map(|_| {
            spawn(move || {
                for _ in 0..25 {
                    let mut client = connect(address);
                    client.write_all(&[1]).unwrap();
                    // The end of the endpoint's connection.
                    let _any = client.read(&mut [0]);
                }
            })
        });
        let clients: Vec<_> = clients.collect();
        clients
            .into_iter()
            .for_each(|client| client.join().unwrap());
        until("all are served", || served.load(SeqCst) == 16 * 25);
        one.server.stop();
    });
}
