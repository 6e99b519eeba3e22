//! A configuration of an everyday size of similar servers: a thousand proxies, each with an
//! upstream of ten endpoints. Written by `examples/everyday_configuration.rs`, and used by tests.

use std::fmt::Write;

/// The number of listeners and of upstreams.
pub(crate) const LISTENERS: usize = 1000;
/// The number of endpoints of all upstreams.
pub(crate) const ENDPOINTS: usize = 10_000;

/// The configuration, with this port for every listener; 0 is any free port.
pub(crate) fn configuration(port: u16) -> String {
    let each = ENDPOINTS / LISTENERS;
    let mut text = String::new();
    for index in 0..LISTENERS {
        // Each listener has an address of the loopback, and each endpoint an address for documents.
        let (third, fourth) = (index / 250, index % 250 + 1);
        let endpoint =
            |at: usize| format!("\"198.51.100.{fourth}:{}\"", 10_000 + third * each + at);
        let endpoints: Vec<String> = (0..each).map(endpoint).collect();
        let endpoints = endpoints.join(", ");
        write!(
            text,
            "[[listener]]\n\
             name = \"service-{index}\"\n\
             bind = \"127.1.{third}.{fourth}:{port}\"\n\
             service = \"proxy\"\n\
             upstream = \"service-{index}\"\n\
             timeouts = {{ connect = \"1s\", idle = \"2h\" }}\n\n\
             [[upstream]]\n\
             name = \"service-{index}\"\n\
             endpoints = [{endpoints}]\n\n"
        )
        .expect("a string takes everything");
    }
    text
}
