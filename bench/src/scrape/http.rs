//! A page by HTTP/1.1: a request for each connection, within a few seconds.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::page::Page;

/// For a connect, and for each read and write.
const PATIENCE: Duration = Duration::from_secs(5);
/// More than a page of any server has.
const PAGE_BYTES_MAX: u64 = 256 << 20;

/// The place of a page: `http://HOST:PORT/PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) text: String,
    authority: String,
    path: String,
}

impl Url {
    /// Reads the text of an argument; `http://` and `/metrics` may be left out.
    ///
    /// # Errors
    /// The right form, in words.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let form = || format!("{text:?}: write http://127.0.0.1:9107/metrics");
        let rest = text.strip_prefix("http://").unwrap_or(text);
        let (authority, path) = rest.split_once('/').unwrap_or((rest, "metrics"));
        let has_port = authority.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        let is_sane = |c: char| c.is_ascii_graphic();
        if !has_port || !rest.chars().all(is_sane) {
            return Err(form());
        }
        Ok(Self {
            text: format!("http://{authority}/{path}"),
            authority: authority.to_owned(),
            path: format!("/{path}"),
        })
    }
}

/// Reads a page.
///
/// # Errors
/// Why there is no page, in words.
pub(crate) fn read(url: &Url) -> Result<Page, String> {
    let answer = answer(url).map_err(|error| match error.kind() {
        // A read or a write that has waited for `PATIENCE`.
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("no answer of {} within {PATIENCE:?}", url.text)
        }
        _ => format!("cannot read {}: {error}", url.text),
    })?;
    let page = body(&answer).map_err(|why| format!("cannot read {}: {why}", url.text))?;
    let page = Page::parse(page);
    match page.is_empty() {
        true => Err(format!("{} has no metrics of corelane", url.text)),
        false => Ok(page),
    }
}

fn answer(url: &Url) -> io::Result<String> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in url.authority.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return exchange(stream, url),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn exchange(mut stream: TcpStream, url: &Url) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let Url {
        authority, path, ..
    } = url;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nAccept: text/plain\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(PAGE_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

/// The body of an answer whose body has a length.
fn body(answer: &str) -> Result<&str, String> {
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no HTTP")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status != "200" {
        return Err(format!("HTTP status {status}"));
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok())?
    });
    match length == Some(body.len()) {
        true => Ok(body),
        false => Err("the page is cut off, or has no length".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Url, body};

    #[test]
    fn a_place_may_be_short() {
        for text in [
            "127.0.0.1:9107",
            "127.0.0.1:9107/metrics",
            "http://127.0.0.1:9107/metrics",
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(url.text, "http://127.0.0.1:9107/metrics");
            assert_eq!(
                (&*url.authority, &*url.path),
                ("127.0.0.1:9107", "/metrics")
            );
        }
        for wrong in [
            "",
            "host",
            "https://host:1/m",
            "host:0",
            ":9/m",
            "a b:1",
            "h:1/\r\nx",
        ] {
            let error = Url::parse(wrong).unwrap_err();
            assert!(error.contains("write http://"), "{wrong}: {error}");
        }
    }

    #[test]
    fn only_a_whole_page_counts() {
        let answer = |status, length, page| {
            format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\n\r\n{page}")
        };
        assert_eq!(body(&answer(200, 3, "a 1")), Ok("a 1"));
        assert!(body(&answer(404, 3, "a 1")).unwrap_err().contains("404"));
        assert!(
            body(&answer(200, 4, "a 1"))
                .unwrap_err()
                .contains("cut off")
        );
        assert!(body("what?").is_err());
    }
}
