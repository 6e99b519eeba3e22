//! Many connections at once: storms, and how lanes share them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{
    End, Server, connect, echo, on_both, pattern, ping, proxy, read_pattern, reset, runtime, spawn,
};

/// Clients that connect and reset at once, as fast as they can, some with a few bytes: who
/// is there is served all the time, nobody sees an error, and nothing stays behind. When is not
/// asserted: the storm runs on the same machine.
#[test]
fn a_storm_of_resets_harms_nobody_and_leaves_nothing() {
    const STORM: usize = 3000;
    on_both(|poller| {
        let behind = Server::echo(poller, 1);
        let config = runtime(poller, 2) + &proxy(&[behind.address("echo")]) + &echo();
        let mut server = Server::start(&config);
        let idle = (server.sockets(), behind.sockets());
        let addresses = ["echo", "proxy"].map(|name| server.address(name));
        let over = Arc::new(AtomicBool::new(false));
        let residents = addresses.map(|address| {
            let client = connect(address);
            ping(&client);
            let over = Arc::clone(&over);
            spawn(move || {
                let mut rounds = 0;
                while !over.load(Ordering::Relaxed) || rounds < 100 {
                    let (mut back, sent) = ([0; 100], pattern(rounds, 100));
                    (&client).write_all(&sent).unwrap();
                    (&client).read_exact(&mut back).unwrap();
                    assert!(back[..] == sent);
                    rounds += 1;
                }
                client.shutdown(Shutdown::Write).unwrap();
                assert_eq!(read_pattern(&client, 0), (0, End::Fin));
            })
        });
        let storms = addresses.map(|address| {
            spawn(move || {
                for round in 0..STORM / 2 {
                    let mut client = connect(address);
                    if round % 3 == 0 {
                        client.write_all(b"storm").unwrap();
                    }
                    reset(client);
                }
            })
        });
        storms.into_iter().for_each(|storm| storm.join().unwrap());
        over.store(true, Ordering::Relaxed);
        residents.into_iter().for_each(|one| one.join().unwrap());
        server.until_sockets(idle.0);
        behind.until_sockets(idle.1);
        addresses.into_iter().for_each(|to| ping(&connect(to)));
        server.read_log();
        assert!(
            !server.log.iter().any(|line| line.contains("cannot accept")),
            "{:#?}",
            server.log
        );
        server.stop();
        behind.stop();
    });
}

/// The kernel shares long connections between the lanes: with 400 of them, a share outside
/// 35 to 65 % would be six standard deviations off.
#[test]
fn lanes_share_long_connections() {
    const ALL: usize = 400;
    on_both(|poller| {
        let log = "[log]\nlevel = \"debug\"\n";
        let mut server = Server::start(&(runtime(poller, 2) + log + &echo()));
        let clients: Vec<TcpStream> = (0..ALL).map(|_| server.connect()).collect();
        clients.iter().for_each(ping);
        drop(clients);
        let mut of_lanes = [0; 2];
        for _ in 0..ALL {
            let line = server.await_line(" session ");
            let lane = line.split_once(" lane=").unwrap().1;
            let lane: usize = lane.split(' ').next().unwrap().parse().unwrap();
            of_lanes[lane] += 1;
        }
        let fair = ALL * 35 / 100..=ALL * 65 / 100;
        assert!(of_lanes.iter().all(|of| fair.contains(of)), "{of_lanes:?}");
        server.stop();
    });
}
