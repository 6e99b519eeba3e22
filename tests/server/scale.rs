//! A configuration of the everyday size of similar servers: a thousand listeners, each with an
//! upstream of ten endpoints. No test measures time.

use std::net::TcpStream;

use crate::everyday;
use crate::support::{Server, corelane, on_both, runtime};

#[test]
fn a_thousand_listeners_start_and_stop() {
    on_both(|poller| {
        let config = runtime(poller, 2) + &everyday::configuration(0);
        let mut server = Server::spawn(corelane(), &config);
        server.await_line(" ready ");
        let listening = server
            .log
            .iter()
            .filter(|line| line.contains(" listening "));
        assert_eq!(listening.count(), everyday::LISTENERS);
        for listener in ["service-0", "service-999"] {
            TcpStream::connect(server.address(listener)).unwrap();
        }
        server.read_log();
        let dropped = server.log.iter().find(|line| line.contains("dropped"));
        assert_eq!(dropped, None);
        server.stop();
    });
}
