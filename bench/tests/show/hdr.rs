//! `--hdr`: both files of a real load, read by HdrHistogram's own reader.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use corelane_bench::outcome::{Outcome, Packed};
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

use crate::folder::Folder;

/// Serves connections one after another, for the life of the test process.
pub(crate) fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut buffer = [0; 4096];
            while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
                if stream.write_all(&buffer[..bytes]).is_err() {
                    break;
                }
            }
        }
    };
    thread::Builder::new().spawn(serve).unwrap();
    address
}

#[test]
fn hdrhistogram_reads_both_files() {
    let folder = Folder::new("hdr");
    // The old content of the files is gone.
    std::fs::write(folder.path("times.hlog"), "x".repeat(1_000_000)).unwrap();
    let target = echo().to_string();
    let load = [
        "--connections",
        "1",
        "--warmup",
        "100ms",
        "--duration",
        "1200ms",
    ];
    let to = ["--json", "run.json", "--hdr", "times", "-q"];
    let answer = folder.run(&[&["run", &target][..], &load, &to].concat());
    // On a busy machine the run may be INVALID (4).
    assert!(matches!(answer.code, Some(0 | 4)), "{answer:?}");
    let outcome = Outcome::read(&folder.path("run.json")).unwrap();
    let service = outcome.latency.service.unwrap();

    let distribution = folder.read("times.hgrm");
    let mut lines = distribution.lines();
    let head = "       Value     Percentile TotalCount 1/(1-Percentile)";
    assert_eq!((lines.next(), lines.next()), (Some(head), Some("")));
    let last = lines
        .take_while(|line| !line.starts_with('#'))
        .last()
        .unwrap();
    let columns: Vec<&str> = last.split_whitespace().collect();
    assert_eq!(columns[1..], ["1.000000000000", &service.count.to_string()]);

    let log = folder.read("times.hlog");
    assert!(
        log.starts_with("#[Histogram log format version 1.3]\n"),
        "{log}"
    );
    // Some readers stop at an empty line, and some expect the time in the format of Java and Rust.
    assert!(log.lines().all(|line| !line.is_empty()), "{log}");
    let mut lines = log.lines();
    let start = lines
        .find_map(|line| line.strip_prefix("#[StartTime: "))
        .unwrap();
    let (seconds, words) = start.split_once(' ').unwrap();
    assert_eq!(seconds.split_once('.').unwrap().1.len(), 3, "{start}");
    assert!(words.starts_with("(seconds since epoch)"), "{start}");
    let intervals: Vec<(u64, u64)> = IntervalLogIterator::new(log.as_bytes())
        .filter_map(|entry| match entry.unwrap() {
            LogEntry::Interval(interval) => {
                let packed = Packed(interval.encoded_histogram().to_owned());
                let start_ms = interval.start_timestamp().as_millis();
                Some((
                    u64::try_from(start_ms).unwrap(),
                    packed.open().unwrap().len(),
                ))
            }
            _ => None,
        })
        .collect();
    // One second and the rest of the next, without the warm-up.
    assert!(intervals.len() >= 2, "{intervals:?}");
    assert!(
        intervals.is_sorted_by_key(|(start, _)| *start),
        "{intervals:?}"
    );
    let rows = outcome.series.iter().filter(|row| row.start_ns >= 0);
    let rows = rows.filter_map(|row| row.histogram.as_ref());
    let counts: Vec<u64> = rows.map(|packed| packed.open().unwrap().len()).collect();
    let logged: Vec<u64> = intervals.iter().map(|(_, count)| *count).collect();
    assert_eq!(logged, counts);
    assert!(
        logged.iter().sum::<u64>() >= service.count / 2,
        "{logged:?}"
    );
}

#[test]
fn an_invalid_prefix_is_refused_before_the_load() {
    // Never accepts: a connection would wait in the backlog.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let folder = Folder::new("nowhere");
    let answer = folder.run(&["run", &target, "--hdr", "no/such/folder"]);
    assert_eq!(answer.code, Some(1), "{answer:?}");
    let message = "corelane-bench: cannot write no/such/folder.hgrm: ";
    assert!(answer.stderr.starts_with(message), "{answer:?}");
    let waiting = listener.accept().map(drop).unwrap_err();
    assert_eq!(waiting.kind(), std::io::ErrorKind::WouldBlock);
}
