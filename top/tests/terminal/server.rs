//! A running server with a control socket, two echo listeners, and a proxy in front of one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::{env, fs};

/// The server, killed when dropped, with its folder.
pub(crate) struct Server {
    child: Child,
    folder: PathBuf,
    alpha: SocketAddr,
    beta: SocketAddr,
}

/// `name`, beside the program under test.
pub(crate) fn beside(name: &str) -> PathBuf {
    let top = PathBuf::from(env!("CARGO_BIN_EXE_corelane-top"));
    let path = top.with_file_name(name);
    assert!(path.exists(), "{name} is not there; first: cargo build");
    path
}

impl Server {
    pub(crate) fn start() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Relaxed);
        let name = format!("corelane-top-{}-{count}", std::process::id());
        let folder = env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        let config = format!(
            "control.socket = \"{}\"\nruntime = {{ lanes = 2, pin = false }}\n\
             [[listener]]\nname = \"alpha\"\nbind = \"127.0.0.1:0\"\nservice = \"echo\"\n\
             [[listener]]\nname = \"beta\"\nbind = \"127.0.0.1:0\"\nservice = \"proxy\"\n\
             upstream = \"up\"\n[[upstream]]\nname = \"up\"\nendpoints = [\"127.0.0.1:9\"]\n",
            folder.join("control.sock").display()
        );
        let file = folder.join("corelane.toml");
        fs::write(&file, config).unwrap();
        let mut child = Command::new(beside("corelane"))
            .args(["run", "--config"])
            .arg(&file)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut log: Vec<String> = Vec::new();
        while !log.last().is_some_and(|line| line.contains("ready")) {
            let line = lines.next().unwrap_or_else(|| panic!("{log:#?}"));
            log.push(line.unwrap());
        }
        drain(lines);
        let address = |listener: &str| {
            let mut lines = log.iter().filter(|line| line.contains(listener));
            let found = lines.find_map(|line| {
                let mut words = line.split([' ', '=', '"']);
                words.find_map(|word| word.parse::<SocketAddr>().ok())
            });
            found.unwrap_or_else(|| panic!("no address of {listener}: {log:#?}"))
        };
        let (alpha, beta) = (address("alpha"), address("beta"));
        Self {
            child,
            folder,
            alpha,
            beta,
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("control.sock")
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.join("corelane.toml")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A client that has had `bytes` echoed.
    pub(crate) fn client(&self, bytes: usize) -> TcpStream {
        let mut stream = TcpStream::connect(self.alpha).unwrap();
        stream.write_all(&vec![7; bytes]).unwrap();
        stream.read_exact(&mut vec![0; bytes]).unwrap();
        stream
    }

    /// A client of the proxy, whose endpoint refuses every connection.
    pub(crate) fn refused_client(&self) {
        let mut stream = TcpStream::connect(self.beta).unwrap();
        // A reset, or an end.
        _ = stream.read(&mut [0]);
    }

    /// Ends the server at once.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
        _ = fs::remove_dir_all(&self.folder);
    }
}

/// Reads on, so that the log never blocks the server.
#[expect(clippy::disallowed_methods, reason = "the thread of a test")]
fn drain(lines: impl Iterator<Item = std::io::Result<String>> + Send + 'static) {
    drop(std::thread::spawn(move || lines.for_each(drop)));
}
