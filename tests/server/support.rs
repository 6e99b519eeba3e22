//! Shared by the tests: a running server, deadlines, position-dependent bytes.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, LazyLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use corelane::poller::io_uring_refusal;
use socket2::{Domain, SockRef, Socket, Type};

use self::require_io_uring::require_io_uring;

#[path = "../../src/poller/require_io_uring.rs"]
mod require_io_uring;
#[path = "state.rs"]
mod state;

/// Limit of every wait: generous, for busy machines.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Pipes that the lanes of a test's server may keep between bulk transfers.
const PIPES_MAX: usize = 64;

/// A running server, killed when dropped.
pub(crate) struct Server {
    child: Child,
    lines: Receiver<String>,
    /// Whether the test reads the server's standard error.
    reads: Arc<AtomicBool>,
    /// The lines logged and read so far.
    pub(crate) log: Vec<String>,
    pub(crate) directory: Directory,
}

/// A folder, removed when dropped.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("corelane-server-{}-{count}", std::process::id());
        let path = env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

/// The pollers that a test runs on; see [`require_io_uring`] where io_uring is refused.
pub(crate) fn pollers() -> &'static [&'static str] {
    match require_io_uring(io_uring_refusal()) {
        true => &["io_uring", "epoll"],
        false => &["epoll"],
    }
}

/// Runs a test on both pollers; a failure names the poller.
pub(crate) fn on_both(test: impl Fn(&str)) {
    for poller in pollers() {
        let _named = Named(poller);
        test(poller);
    }
}

struct Named(&'static str);

impl Drop for Named {
    #[expect(clippy::print_stderr, reason = "the harness shows it with the failure")]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("on {}", self.0);
        }
    }
}

/// The configuration of an echo listener.
pub(crate) fn echo() -> String {
    "[[listener]]\nname = \"echo\"\nbind = \"127.0.0.1:0\"\nservice = \"echo\"\n".to_owned()
}

/// The configuration of a proxy.
pub(crate) fn proxy(endpoints: &[SocketAddr]) -> String {
    let endpoints: Vec<String> = endpoints.iter().map(|e| format!("\"{e}\"")).collect();
    format!(
        "[[listener]]\nname = \"proxy\"\nbind = \"127.0.0.1:0\"\nservice = \"proxy\"\n\
         upstream = \"up\"\n[[upstream]]\nname = \"up\"\nendpoints = [{}]\n\
         balance = \"round_robin\"\n",
        endpoints.join(", ")
    )
}

/// The process's configuration, for one poller and a number of lanes.
pub(crate) fn runtime(poller: &str, lanes: usize) -> String {
    format!("[runtime]\npoller = \"{poller}\"\nlanes = {lanes}\npin = false\n")
}

pub(crate) fn corelane() -> Command {
    Command::new(env!("CARGO_BIN_EXE_corelane"))
}

impl Server {
    /// Starts a server and waits until it is ready.
    pub(crate) fn start(config: &str) -> Self {
        let mut server = Self::spawn(corelane(), config);
        server.await_line("ready");
        server
    }

    /// An echo on one poller.
    pub(crate) fn echo(poller: &str, lanes: usize) -> Self {
        Self::start(&(runtime(poller, lanes) + &echo()))
    }

    /// Starts `command` with a configuration; the start may fail.
    pub(crate) fn spawn(mut command: Command, config: &str) -> Self {
        let directory = Directory::new();
        let file = directory.0.join("corelane.toml");
        fs::write(&file, config).unwrap();
        let mut child = command
            .args(["run", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        let reads = Arc::new(AtomicBool::new(true));
        let may_read = Arc::clone(&reads);
        spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                _ = sender.send(line);
                while !may_read.load(Ordering::Acquire) {
                    pause();
                }
            }
        });
        Self {
            child,
            lines,
            reads,
            log: Vec::new(),
            directory,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line that contains `what`, and returns the line.
    pub(crate) fn await_line(&mut self, what: &str) -> String {
        let end = now() + PATIENCE;
        loop {
            match self
                .lines
                .recv_timeout(end.saturating_duration_since(now()))
            {
                Ok(line) => {
                    self.log.push(line);
                    let line = self.log.last().unwrap();
                    if line.contains(what) {
                        return line.clone();
                    }
                }
                Err(why) => panic!("no line with {what:?} ({why:?}): {:#?}", self.log),
            }
        }
    }

    /// The log, except the line about descriptors inherited from the test's runner.
    pub(crate) fn said(&self) -> Vec<&String> {
        let own = |line: &&String| !line.contains("left by the parent process");
        self.log.iter().filter(own).collect()
    }

    /// Reads the lines available now.
    pub(crate) fn read_log(&mut self) {
        while let Ok(line) = self.lines.try_recv() {
            self.log.push(line);
        }
    }

    /// All addresses of a listener.
    pub(crate) fn addresses(&self, listener: &str) -> Vec<SocketAddr> {
        let marks = [format!("name=\"{listener}\" "), format!("name={listener} ")];
        let of =
            |line: &&String| line.contains("listening") && marks.iter().any(|m| line.contains(m));
        let address = |line: &String| {
            let rest = line.split_once("address=").unwrap().1;
            rest.split(' ').next().unwrap().parse().unwrap()
        };
        self.log.iter().filter(of).map(address).collect()
    }

    pub(crate) fn address(&self, listener: &str) -> SocketAddr {
        let all = self.addresses(listener);
        assert_eq!(all.len(), 1, "{:#?}", self.log);
        all[0]
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.address("echo"))
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Stops or resumes reading the server's standard error, as a stuck reader.
    pub(crate) fn read_on(&self, reads: bool) {
        self.reads.store(reads, Ordering::Release);
    }

    /// Sends a second signal, which counts from a second after the first.
    pub(crate) fn hurry(&mut self, name: &str) {
        loop {
            self.signal(name);
            if self.await_line("stopping a").contains("stopping at once") {
                return;
            }
            pause();
        }
    }

    /// Waits for the server's end; returns its exit code.
    pub(crate) fn until_ended(&mut self) -> Option<i32> {
        let mut status = None;
        until("the server ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code()
    }

    /// Waits for the server's end; returns its exit code and reads the rest of its log.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let code = self.until_ended();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.log.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("its standard error stays open"),
            }
        }
        code
    }

    /// Sends SIGTERM to an idle server and checks the exit code and the last line.
    pub(crate) fn stop(mut self) {
        self.signal("TERM");
        assert_eq!(self.wait(), Some(0), "{:#?}", self.log);
        self.assert_calm();
    }

    /// Checks that the log has no line caused by a defect or an overload.
    pub(crate) fn assert_calm(&self) {
        for line in &self.log {
            for bad in ["ERROR", "panicked"] {
                assert!(!line.contains(bad), "{:#?}", self.log);
            }
        }
    }
}

impl Drop for Server {
    #[expect(clippy::print_stderr, reason = "the harness shows it with a failure")]
    fn drop(&mut self) {
        self.read_on(true);
        _ = self.child.kill();
        _ = self.child.wait();
        if thread::panicking() {
            self.read_log();
            eprintln!("the server's log: {:#?}", self.log);
        }
    }
}

pub(crate) fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

/// Waits until a condition holds, by repeated checks.
pub(crate) fn until(what: &str, mut is: impl FnMut() -> bool) {
    let end = now() + PATIENCE;
    while !is() {
        assert!(now() < end, "not in time: {what}");
        pause();
    }
}

/// Interval between checks of a state without a notification.
#[expect(
    clippy::disallowed_methods,
    reason = "a poll of a state, with a deadline"
)]
pub(crate) fn pause() {
    thread::sleep(Duration::from_millis(2));
}

#[expect(clippy::disallowed_methods, reason = "deadlines of tests")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "a test's own threads")]
pub(crate) fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    thread::spawn(f)
}

/// A connection whose calls fail after the deadline.
pub(crate) fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&to, PATIENCE).unwrap();
    patient(&stream);
    stream
}

pub(crate) fn patient(stream: &TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
}

/// The server's description of the process that holds a port.
pub(crate) fn holder(pid: u32) -> String {
    // Only Linux shows the sockets of foreign processes.
    if env::consts::OS != "linux" {
        return "somebody".to_owned();
    }
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    format!("process {pid} ({})", name.trim_end())
}

/// A listener of the test's own, on a free port.
pub(crate) fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Accepts a connection, or fails after the deadline.
pub(crate) fn accept(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let mut accepted = None;
    until("a connection comes", || {
        accepted = listener.accept().ok();
        accepted.is_some()
    });
    let (stream, _) = accepted.unwrap();
    stream.set_nonblocking(false).unwrap();
    patient(&stream);
    stream
}

/// An address without a listener.
pub(crate) fn dead_address() -> SocketAddr {
    listener().1
}

/// A listener with a full backlog: connects get no answer.
pub(crate) fn black_hole() -> (TcpListener, Vec<TcpStream>) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let listener = TcpListener::from(socket);
    let to = listener.local_addr().unwrap();
    let mut full = Vec::new();
    while let Ok(client) = TcpStream::connect_timeout(&to, Duration::from_millis(300)) {
        full.push(client);
        assert!(full.len() < 10, "its backlog does not fill");
    }
    (listener, full)
}

/// Closes with a reset.
pub(crate) fn reset(stream: TcpStream) {
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(stream);
}

/// Bytes in which two ranges differ unless they are a large prime apart.
pub(crate) fn pattern(from: usize, bytes: usize) -> Vec<u8> {
    const PERIOD: usize = 65_521;
    static BLOCK: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let byte = |at: usize| u8::try_from((at * 7 + at / 251) % 256).unwrap();
        (0..PERIOD).map(byte).collect()
    });
    let mut all = Vec::with_capacity(bytes);
    while all.len() < bytes {
        let rest = &BLOCK[(from + all.len()) % PERIOD..];
        all.extend_from_slice(&rest[..rest.len().min(bytes - all.len())]);
    }
    all
}

/// How a connection ended for its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Fin,
    Reset,
}

/// Reads to the end and compares with the pattern from `from` on; returns the number of bytes and
/// the kind of end.
pub(crate) fn read_pattern(mut stream: &TcpStream, from: usize) -> (usize, End) {
    let mut buffer = vec![0; 256 * 1024];
    let mut at = from;
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (at - from, End::Fin),
            Ok(bytes) => {
                assert!(buffer[..bytes] == pattern(at, bytes), "other bytes at {at}");
                at += bytes;
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                return (at - from, End::Reset);
            }
            // The end of a child process may interrupt a socket call with a timeout (signal(7)).
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => panic!("after {} bytes: {error}", at - from),
        }
    }
}

/// Reads exactly `bytes` bytes of the pattern.
pub(crate) fn expect_pattern(mut stream: &TcpStream, from: usize, bytes: usize) {
    let mut got = vec![0; bytes];
    stream.read_exact(&mut got).unwrap();
    assert!(got == pattern(from, bytes), "other bytes after {from}");
}

/// One message there and back.
pub(crate) fn ping(mut stream: &TcpStream) {
    stream.write_all(b"ping").unwrap();
    let mut back = [0; 4];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"ping");
}

/// Sends the pattern in pieces, then the FIN, on a separate thread.
pub(crate) fn send_pattern(stream: &TcpStream, bytes: usize, piece: usize) -> JoinHandle<()> {
    let mut stream = stream.try_clone().unwrap();
    spawn(move || {
        let all = pattern(0, bytes);
        for piece in all.chunks(piece) {
            stream.write_all(piece).unwrap();
        }
        stream.shutdown(Shutdown::Write).unwrap();
    })
}

/// Sends the pattern and its FIN; expects all bytes back and then a FIN.
pub(crate) fn echo_all(stream: &TcpStream, bytes: usize, piece: usize) {
    let sender = send_pattern(stream, bytes, piece);
    assert_eq!(read_pattern(stream, 0), (bytes, End::Fin));
    sender.join().unwrap();
}

/// Sends the pattern until no more is taken for a while, because the reader is held back, or `max`.
pub(crate) fn fill(stream: &TcpStream, max: usize) -> usize {
    stream.set_nonblocking(true).unwrap();
    let (mut sent, mut quiet) = (0, 0);
    while quiet < 100 && sent < max {
        let piece = pattern(sent, 64 * 1024);
        match (&*stream).write(&piece) {
            Ok(bytes) => (sent, quiet) = (sent + bytes, 0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                quiet += 1;
                pause();
            }
            Err(error) => panic!("{error}"),
        }
    }
    stream.set_nonblocking(false).unwrap();
    sent
}
