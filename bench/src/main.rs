//! corelane-bench: the load client.

fn main() {}
