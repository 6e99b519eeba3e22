//! What the tests share: a running server, deadlines, bytes that tell where they belong.

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

/// How long anything may take: generous, for machines that do something else meanwhile.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Pipes that the lanes of a test's server may keep between bulk transfers.
const PIPES_MAX: usize = 64;

/// A running server. Killed, if it still runs, when this goes.
pub(crate) struct Server {
    child: Child,
    lines: Receiver<String>,
    /// Whether its standard error is read.
    reads: Arc<AtomicBool>,
    /// All that it has logged and this has seen.
    pub(crate) log: Vec<String>,
    _directory: Directory,
}

/// A folder that is gone at last.
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

/// Runs a test on both pollers, named in what it prints if it fails.
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

/// A listener's table.
pub(crate) fn echo() -> String {
    "[[listener]]\nname = \"echo\"\nbind = \"127.0.0.1:0\"\nservice = \"echo\"\n".to_owned()
}

/// A proxy's tables.
pub(crate) fn proxy(endpoints: &[SocketAddr]) -> String {
    let endpoints: Vec<String> = endpoints.iter().map(|e| format!("\"{e}\"")).collect();
    format!(
        "[[listener]]\nname = \"proxy\"\nbind = \"127.0.0.1:0\"\nservice = \"proxy\"\n\
         upstream = \"up\"\n[[upstream]]\nname = \"up\"\nendpoints = [{}]\n",
        endpoints.join(", ")
    )
}

/// The tables of the process, for one poller and so many lanes.
pub(crate) fn runtime(poller: &str, lanes: usize) -> String {
    format!("[runtime]\npoller = \"{poller}\"\nlanes = {lanes}\npin = false\n")
}

pub(crate) fn corelane() -> Command {
    Command::new(env!("CARGO_BIN_EXE_corelane"))
}

impl Server {
    /// Starts a server and waits until it says that it is ready.
    pub(crate) fn start(config: &str) -> Self {
        let mut server = Self::spawn(corelane(), config);
        server.await_line("ready");
        server
    }

    /// An echo on one poller.
    pub(crate) fn echo(poller: &str, lanes: usize) -> Self {
        Self::start(&(runtime(poller, lanes) + &echo()))
    }

    /// Starts `command` with a configuration; it may fail.
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
            _directory: directory,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line that holds `what`; gives it.
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

    /// Its log, but for the line about what whoever runs the tests has left it.
    pub(crate) fn said(&self) -> Vec<&String> {
        let own = |line: &&String| !line.contains("left by the parent process");
        self.log.iter().filter(own).collect()
    }

    /// Takes the lines that are there now.
    pub(crate) fn read_log(&mut self) {
        while let Ok(line) = self.lines.try_recv() {
            self.log.push(line);
        }
    }

    /// Where a listener listens: all its addresses.
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

    /// Reads its standard error no more, as a reader that is stuck, or reads on.
    pub(crate) fn read_on(&self, reads: bool) {
        self.reads.store(reads, Ordering::Release);
    }

    /// Stops it by a second signal, which counts from a second after the first.
    pub(crate) fn hurry(&mut self, name: &str) {
        loop {
            self.signal(name);
            if self.await_line("stopping a").contains("stopping at once") {
                return;
            }
            pause();
        }
    }

    /// Waits until it has ended; gives its exit code.
    pub(crate) fn until_ended(&mut self) -> Option<i32> {
        let mut status = None;
        until("the server ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code()
    }

    /// Waits until it has ended; gives its exit code and reads the rest of its log.
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

    /// SIGTERM with nobody connected: it ends well and says so.
    pub(crate) fn stop(mut self) {
        self.signal("TERM");
        assert_eq!(self.wait(), Some(0), "{:#?}", self.log);
        self.assert_calm();
    }

    /// Nothing in the log that only a defect or an overload would bring.
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

/// Looks again and again until it is so.
pub(crate) fn until(what: &str, mut is: impl FnMut() -> bool) {
    let end = now() + PATIENCE;
    while !is() {
        assert!(now() < end, "not in time: {what}");
        pause();
    }
}

/// Between two looks at a state that nobody announces.
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

/// A connection that gives up in time.
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

/// What a server that finds a port taken calls the process that has it.
pub(crate) fn holder(pid: u32) -> String {
    // Elsewhere no process is told of the others' sockets.
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

/// Takes a connection, or fails in time.
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

/// An address where nobody listens.
pub(crate) fn dead_address() -> SocketAddr {
    listener().1
}

/// A listener that takes nobody, its backlog full: a connect to it gets no answer.
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

/// Bytes of which any two stretches differ, unless they are a large prime apart.
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

/// Reads to the end, checking each byte against the pattern from `from` on; says how many there
/// were and how it ended.
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
            // A child's end may do that to a socket that has a timeout (signal(7)).
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => panic!("after {} bytes: {error}", at - from),
        }
    }
}

/// Reads exactly so many bytes of the pattern.
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

/// Sends the pattern in pieces, then the FIN, on a thread of its own.
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

/// Sends the pattern and its FIN, and has all of it back and then a FIN.
pub(crate) fn echo_all(stream: &TcpStream, bytes: usize, piece: usize) {
    let sender = send_pattern(stream, bytes, piece);
    assert_eq!(read_pattern(stream, 0), (bytes, End::Fin));
    sender.join().unwrap();
}

/// Sends the pattern until nothing goes any more for a while: the reader is held back, or `max`.
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
