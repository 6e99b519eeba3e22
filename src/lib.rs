//! corelane: a TCP echo and proxy server, thread per core.
