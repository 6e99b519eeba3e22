//! Starts corelane as a proxy in front of one address, and reads its log.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// Limit of every wait for corelane.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A running corelane: one listener, one upstream, one line per session.
#[derive(Debug)]
pub(crate) struct Corelane {
    child: Child,
    pub(crate) address: SocketAddr,
    lines: Receiver<String>,
    /// Records of sessions that ended while a different record was awaited.
    records: Vec<Fields>,
    /// Open sockets before the first session.
    sockets: RangeInclusive<usize>,
    config: PathBuf,
}

/// The program, or the words of `CORELANE_PROGRAM`: a program for Windows, under Wine.
fn program() -> Command {
    let Ok(program) = std::env::var("CORELANE_PROGRAM") else {
        return Command::new(env!("CARGO_BIN_EXE_corelane"));
    };
    let mut words = program.split_whitespace();
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    command
}

/// The `key=value` pairs of a line.
pub(crate) type Fields = BTreeMap<String, String>;

impl Corelane {
    /// Starts corelane with a poller.
    pub(crate) fn start(poller: &str, upstream: SocketAddr) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("corelane-matrix-{}-{count}.toml", std::process::id());
        let config = std::env::temp_dir().join(name);
        let text = format!(
            "[runtime]\nlanes = 1\npin = false\npoller = \"{poller}\"\n\
             [log]\nlevel = \"debug\"\n\
             [[listener]]\nname = \"matrix\"\nbind = \"127.0.0.1:0\"\nservice = \"proxy\"\n\
             upstream = \"peer\"\n[[upstream]]\nname = \"peer\"\nendpoints = [\"{upstream}\"]\n"
        );
        fs::write(&config, text).unwrap();
        let mut child = program()
            .args(["run", "--config"])
            .arg(&config)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                // The receiver is gone when the test has failed.
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut address = None;
        let mut said = Vec::new();
        loop {
            let Ok(line) = lines.recv_timeout(DEADLINE) else {
                fs::remove_file(&config).unwrap();
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("corelane did not start on {poller}: {}", said.join("\n"));
            };
            let fields = fields(&line);
            if line.contains(" listening ") {
                address = Some(fields["address"].parse().unwrap());
            }
            if line.contains(" ready ") {
                assert_eq!(fields["poller"], poller);
                break;
            }
            said.push(line);
        }
        let mut corelane = Self {
            child,
            address: address.expect("it says where it listens before it is ready"),
            lines,
            records: Vec::new(),
            sockets: 0..=0,
            config,
        };
        let open = corelane.open_sockets();
        // Under Wine one socket more appeared right behind "ready" in one run of many.
        let least = if poller == "iocp" { open - 1 } else { open };
        corelane.sockets = least..=open;
        corelane
    }

    /// The record of the session of the client with this address; `None` after the deadline.
    pub(crate) fn record(&mut self, client: SocketAddr) -> Option<Fields> {
        self.record_within(DEADLINE, client)
    }

    /// The same, with a limit on the silence.
    pub(crate) fn record_within(&mut self, time: Duration, client: SocketAddr) -> Option<Fields> {
        let client = client.to_string();
        let is_its = |fields: &Fields| fields.get("client") == Some(&client);
        loop {
            if let Some(at) = self.records.iter().position(is_its) {
                return Some(self.records.swap_remove(at));
            }
            let line = self.lines.recv_timeout(time).ok()?;
            assert!(!line.contains("panicked"), "{line}");
            if line.contains(" session ") {
                self.records.push(fields(&line));
            }
        }
    }

    /// Checks that nothing is left: no second record of a session, no socket.
    pub(crate) fn assert_quiet(&mut self) {
        let mut left = self.open_sockets();
        for _ in 0..200 {
            if self.sockets.contains(&left) {
                break;
            }
            // Closes are asynchronous; a line that arrives meanwhile is an extra record.
            if let Ok(line) = self.lines.recv_timeout(Duration::from_millis(10)) {
                assert!(!line.contains(" session "), "one record too many: {line}");
            }
            left = self.open_sockets();
        }
        assert!(
            self.sockets.contains(&left),
            "sockets leak: {left}, not {:?}",
            self.sockets
        );
        let extra: Vec<_> = self.lines.try_iter().collect();
        assert!(
            !extra.iter().any(|line| line.contains(" session ")),
            "{extra:?}"
        );
        assert!(self.records.is_empty(), "{:?}", self.records);
    }

    fn open_sockets(&self) -> usize {
        let path = format!("/proc/{}/fd", self.child.id());
        // A descriptor closed meanwhile has no link.
        let link = |entry: io::Result<fs::DirEntry>| fs::read_link(entry.unwrap().path()).ok();
        let links = fs::read_dir(path).unwrap().filter_map(link);
        let is_socket = |link: &PathBuf| link.to_string_lossy().starts_with("socket:");
        links.filter(is_socket).count()
    }
}

impl Drop for Corelane {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_file(&self.config));
    }
}

fn fields(line: &str) -> Fields {
    line.split(' ')
        .filter_map(|word| word.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.trim_matches('"').to_owned()))
        .collect()
}
