//! Stopping while bytes are on their way.

use std::io::Write;
use std::net::Shutdown;

use crate::rig::{Rig, drain, listens, queues};
use crate::support::{End, on_both, pattern, read_pattern, spawn, until};

/// More than all buffers on the way, so most of it waits at its source.
const QUEUED: usize = 50 << 20;

/// The reader is stopped, 50 MB are queued, the upstream has sent its FIN: all of it
/// arrives once the reader reads.
#[test]
fn what_waits_for_a_stopped_reader_arrives() {
    on_both(|poller| {
        let mut rig = Rig::new(poller);
        let (client, mut upstream) = rig.pair();
        let address = client.local_addr().unwrap();
        let writer = spawn(move || upstream.write_all(&pattern(0, QUEUED)).unwrap());
        until("it is held back", || is_held_back(&rig, &client));
        assert_eq!(drain(&client), (QUEUED, End::Fin));
        writer.join().unwrap();
        drop(client);
        let record = rig.record(address);
        record.assert_ended("upstream_fin");
        record.assert_bytes(0, QUEUED);
        rig.stop();
    });
}

/// Whether the client's kernel takes no more, and the proxy's holds something for it.
fn is_held_back(rig: &Rig, client: &std::net::TcpStream) -> bool {
    let address = client.local_addr().unwrap();
    let proxy = queues(rig.address, address);
    proxy.is_some_and(|queues| queues.sent > 1 << 20)
}

/// SIGTERM in that state: the session drains, and the end is good.
#[test]
fn a_stop_waits_for_a_slow_session() {
    on_both(|poller| {
        let mut rig = Rig::new(poller);
        let (client, mut upstream) = rig.pair();
        let writer = spawn(move || upstream.write_all(&pattern(0, QUEUED)).unwrap());
        until("it is held back", || is_held_back(&rig, &client));
        rig.server.signal("TERM");
        rig.server.await_line("stopping");
        // Seen from outside: a connect that is still let in would be a session of its own.
        until("it accepts no more", || !listens(rig.address));
        assert_eq!(drain(&client), (QUEUED, End::Fin));
        writer.join().unwrap();
        drop(client);
        assert_eq!(rig.server.wait(), Some(0), "{:#?}", rig.server.log);
        rig.assert_records();
    });
}

/// The grace period is over before the session is: both ends are reset, so that the part
/// does not pass for the whole; one record says so.
#[test]
fn a_stop_that_waits_no_longer_resets() {
    on_both(|poller| {
        let mut rig = Rig::new(poller);
        let (client, upstream) = rig.pair();
        let sent = crate::support::fill(&upstream, QUEUED);
        upstream.shutdown(Shutdown::Write).unwrap();
        rig.server.signal("TERM");
        rig.server.await_line("stopping");
        // The second signal does not wait.
        rig.server.hurry("TERM");
        assert_eq!(rig.server.wait(), Some(0), "{:#?}", rig.server.log);
        let (got, end) = drain(&client);
        assert!(got < sent && end == End::Reset, "{got} of {sent}, {end:?}");
        let record = rig.record(client.local_addr().unwrap());
        record.assert_ended("shutdown");
        assert!(record.number("to_client_bytes") >= got);
        rig.assert_records();
    });
}

/// A session in mid-message is cut by the second signal: a reset for both, and its bytes counted.
#[test]
fn a_session_that_is_cut_has_its_record() {
    on_both(|poller| {
        let mut rig = Rig::new(poller);
        let (mut client, upstream) = rig.pair();
        client.write_all(&pattern(0, 1234)).unwrap();
        crate::support::expect_pattern(&upstream, 0, 1234);
        rig.server.signal("TERM");
        rig.server.await_line("stopping");
        rig.server.hurry("TERM");
        assert_eq!(rig.server.wait(), Some(0));
        assert_eq!(drain(&client), (0, End::Reset));
        assert_eq!(read_pattern(&upstream, 1234), (0, End::Reset));
        let record = rig.record(client.local_addr().unwrap());
        record.assert_ended("shutdown");
        record.assert_bytes(1234, 0);
        rig.assert_records();
    });
}
