//! A killed process: the kernel closes its sockets, and neither end may mistake a part of the
//! stream for the whole.

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use crate::rig::{Rig, drain};
use crate::support::{
    End, Server, connect, expect_pattern, on_both, pattern, read_pattern, runtime, signal, spawn,
};

/// Far more than all buffers on the path hold.
const BULK: usize = 64 << 20;
/// Enough for the bulk path.
const READ: usize = 4 << 20;
/// Signals that end a process in any state and without a handler: the out-of-memory killer sends
/// the first, an aborting defect raises the second.
const SIGNALS: [&str; 2] = ["KILL", "ABRT"];

fn end(stream: &TcpStream, at: usize) -> End {
    read_pattern(stream, at).1
}

#[test]
fn both_ends_of_a_session_see_a_reset() {
    on_both(|poller| {
        for name in SIGNALS {
            let mut rig = Rig::new(poller);
            let (mut client, mut upstream) = rig.pair();
            let (idle, of_idle) = rig.pair();
            let (asking, of_asking) = rig.pair();
            client.write_all(&pattern(0, 100)).unwrap();
            expect_pattern(&upstream, 0, 100);
            upstream.write_all(&pattern(0, 1000)).unwrap();
            expect_pattern(&client, 0, 1000);
            asking.shutdown(Shutdown::Write).unwrap();
            assert_eq!(drain(&of_asking), (0, End::Fin));
            signal(rig.server.pid(), name);
            assert_eq!(end(&client, 1000), End::Reset, "{name}");
            assert_eq!(end(&upstream, 100), End::Reset, "{name}");
            assert_eq!(drain(&idle), (0, End::Reset), "{name}");
            assert_eq!(drain(&of_idle), (0, End::Reset), "{name}");
            // Half-closed: the client waits for an answer that never comes.
            assert_eq!(drain(&asking), (0, End::Reset), "{name}");
        }
    });
}

#[test]
fn both_ends_of_a_bulk_transfer_see_a_reset() {
    on_both(|poller| {
        let mut rig = Rig::new(poller);
        let (client, upstream) = rig.pair();
        let mut source = upstream;
        let sender = spawn(move || source.write_all(&pattern(0, BULK)).is_ok());
        expect_pattern(&client, 0, READ);
        signal(rig.server.pid(), "KILL");
        let (got, how) = read_pattern(&client, READ);
        assert_eq!(how, End::Reset, "after {got} bytes more");
        assert!(!sender.join().unwrap(), "its connection is reset");
    });
}

#[test]
fn the_client_of_an_echo_sees_a_reset() {
    on_both(|poller| {
        let echo = "[[listener]]\nname = \"echo\"\nbind = \"127.0.0.1:0\"\nservice = \"echo\"\n";
        let server = Server::start(&(runtime(poller, 2) + echo));
        let address = server.address("echo");
        let mut client = connect(address);
        client.write_all(&pattern(0, 5000)).unwrap();
        expect_pattern(&client, 0, 5000);
        signal(server.pid(), "KILL");
        assert_eq!(end(&client, 5000), End::Reset);
    });
}
