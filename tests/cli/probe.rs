//! `corelane probe`: whether a server answers.

use super::{Directory, held_port, ok};

#[test]
fn a_probe_says_whether_somebody_answers() {
    let directory = Directory::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    assert_eq!(directory.run(&["probe", &address]).code, Some(0));
    let (_held, port) = held_port();
    let address = format!("127.0.0.1:{port}");
    let answer = directory.run(&["probe", &address]);
    assert_eq!(answer.code, Some(1));
    let said = format!("corelane: no server answers at {address}: ");
    assert!(answer.stderr.starts_with(&said), "{}", answer.stderr);
    assert_eq!(answer.stderr.lines().count(), 1);
}

/// Whether a name resolves to IPv4 or to IPv6 first: each address is tried. A health check is no
/// session: the listener in the test accepts no connection.
#[test]
fn a_probe_of_a_configuration_opens_no_connection() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (_held, held) = held_port();
    let here = listener.local_addr().unwrap();
    let probe = |other: &str| {
        let text = format!(
            "[[listener]]\nname = \"a\"\nservice = \"echo\"\nbind = [\"{here}\", \"{other}\"]\n"
        );
        Directory::with("a.toml", text).run(&["probe", "--config", "a.toml"])
    };
    assert_eq!(probe("127.0.0.1:0"), ok(""));
    #[cfg(target_os = "linux")]
    {
        listener.set_nonblocking(true).unwrap();
        let error = listener.accept().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    }
    let answer = probe(&format!("127.0.0.1:{held}"));
    assert_eq!(answer.code, Some(1));
    let said = format!("corelane: no server answers at 127.0.0.1:{held}: ");
    assert!(answer.stderr.starts_with(&said), "{answer:?}");
}

#[test]
fn a_probe_wants_a_port_to_look_for() {
    let text = "[[listener]]\nname = \"a\"\nservice = \"echo\"\nbind = \"127.0.0.1:0\"\n";
    let directory = Directory::with("a.toml", text);
    let answer = directory.run(&["probe", "-c", "a.toml"]);
    assert_eq!(answer.code, Some(1));
    assert!(answer.stderr.contains("write one"), "{answer:?}");
    let both = directory.run(&["probe", "127.0.0.1:1", "-c", "a.toml"]);
    assert_eq!(both.code, Some(2), "{both:?}");
    assert_eq!(directory.run(&["probe", "-c", "b.toml"]).code, Some(2));
}

#[test]
fn a_probe_looks_a_name_up() {
    let directory = Directory::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let target = format!("localhost:{port}");
    assert_eq!(directory.run(&["probe", &target]), ok(""));
    let (_held, port) = held_port();
    let target = format!("localhost:{port}");
    let answer = directory.run(&["probe", &target]);
    assert_eq!(answer.code, Some(1));
    let said = format!("corelane: no server answers at {target}: ");
    assert!(answer.stderr.starts_with(&said), "{}", answer.stderr);
    let tried = format!("127.0.0.1:{port}: ");
    assert!(answer.stderr.contains(&tried), "{}", answer.stderr);
    // RFC 6761: such a name never exists.
    let answer = directory.run(&["probe", "a.invalid:1"]);
    assert_eq!(answer.code, Some(1));
    assert!(answer.stderr.contains("cannot be looked up"), "{answer:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_probe_asks_the_kernel_for_a_unix_socket() {
    let directory = Directory::new();
    let path = directory.0.join("a.sock");
    let path = path.display();
    let text = "[[listener]]\nname = \"a\"\nservice = \"echo\"\n";
    let text = format!("{text}bind = \"unix:{path}\"\n");
    std::fs::write(directory.0.join("a.toml"), text).unwrap();
    let answer = directory.run(&["probe", "-c", "a.toml"]);
    assert_eq!(answer.code, Some(1));
    let said = format!("no server answers at unix:{path}: no socket listens there\n");
    assert!(answer.stderr.ends_with(&said), "{answer:?}");
    let listener = std::os::unix::net::UnixListener::bind(path.to_string()).unwrap();
    assert_eq!(directory.run(&["probe", "-c", "a.toml"]), ok(""));
    listener.set_nonblocking(true).unwrap();
    let error = listener.accept().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}
