//! etcd: the keys below a prefix, listed and then watched.
//!
//! `client` asks one server, `keys` is the meaning of answers, `base64` their texts. Whatever ends
//! a watch (compaction, a server that stops, silence) leads to a new list: a list is always right.

mod base64;
mod client;
mod keys;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;

use std::pin::pin;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use self::client::{ANSWER_BYTES_MAX, Client};
use self::keys::{Keys, Next, range};
use super::back_off::BackOff;
use super::report::{FoundEndpoint, Reports};
use crate::config::Etcd;
use crate::runtime::{Either, either};
use crate::sys::secret_file::{SecretError, read_secret};

/// How long a watch is followed before a new list: a silent server is found out, and the age of the
/// answer stays below.
const LIST_EVERY: Duration = Duration::from_secs(60);
/// The first pause after no server has answered.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest password.
const PASSWORD_BYTES_MAX: u64 = 1024;

/// Follows the keys of a prefix, for ever.
#[expect(clippy::infinite_loop, reason = "the end of the task ends it")]
pub(super) async fn follow_etcd(options: &Etcd, prefix: &str, reports: &Reports) {
    let mut back_off = BackOff::new(FIRST_PAUSE);
    let mut following = Following {
        options,
        prefix,
        reports,
        first: 0,
        token: None,
        told: Vec::new(),
    };
    loop {
        match following.round().await {
            Ok(()) => back_off.reset(),
            Err(why) => {
                let pause = back_off.next();
                reports.failed(why, Some(pause));
                reports.pause(pause).await;
            }
        }
    }
}

struct Following<'f> {
    options: &'f Etcd,
    prefix: &'f str,
    reports: &'f Reports,
    /// The server to ask first: the last that has answered.
    first: usize,
    token: Option<String>,
    /// The mistakes in values that the log has.
    told: Vec<String>,
}

impl Following<'_> {
    /// Lists and watches at the first server that answers.
    async fn round(&mut self) -> Result<(), String> {
        let count = self.options.servers.len();
        let mut why = "etcd.servers is empty".to_owned();
        for turn in 0..count {
            let at = (self.first + turn) % count;
            let mut client = Client {
                server: self.options.servers[at],
                token: None,
                limit: self.options.timeout,
            };
            match self.list(&mut client).await {
                Ok(keys) => {
                    self.first = at;
                    self.watch(&client, keys).await;
                    return Ok(());
                }
                Err(error) => {
                    // A token ends with its time, and with the server that gave it.
                    self.token = None;
                    why = error;
                }
            }
        }
        Err(why)
    }

    async fn list(&mut self, client: &mut Client) -> Result<Keys, String> {
        self.log_in(client).await?;
        let answer = client.call("/v3/kv/range", &range(self.prefix)).await?;
        let keys = Keys::of_range(&answer)?;
        self.report(&keys);
        Ok(keys)
    }

    /// Gets a token, where there is a user. The password is read each time: the file may change.
    async fn log_in(&mut self, client: &mut Client) -> Result<(), String> {
        let Some(user) = &self.options.user else {
            return Ok(());
        };
        if self.token.is_none() {
            let request = json!({ "name": user, "password": self.password()? });
            let answer = client.call("/v3/auth/authenticate", &request).await?;
            let token = answer["token"].as_str();
            let token = token.ok_or_else(|| format!("{}: no token", client.server))?;
            self.token = Some(token.to_owned());
        }
        client.token.clone_from(&self.token);
        Ok(())
    }

    fn password(&self) -> Result<String, String> {
        let Some(path) = &self.options.password_file else {
            return Ok(String::new());
        };
        let read = read_secret(path, PASSWORD_BYTES_MAX).map_err(|error| match error {
            SecretError::System(error) => error.to_string(),
            SecretError::NoFile => "no ordinary file".to_owned(),
            SecretError::Open(mode) => format!("mode {mode:04o} lets all users read it"),
            SecretError::TooLong => format!("longer than {PASSWORD_BYTES_MAX} bytes"),
        });
        let bytes = read.map_err(|why| format!("etcd.password_file: {why}"))?;
        let text = String::from_utf8(bytes).map_err(|_| "etcd.password_file: not UTF-8")?;
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// Follows a watch until a new list is due, for whatever reason.
    async fn watch(&mut self, client: &Client, mut keys: Keys) {
        let end = Instant::now() + LIST_EVERY;
        let mut request = range(self.prefix);
        request["start_revision"] = Value::from(keys.revision + 1);
        let request = json!({ "create_request": request });
        let Ok(mut answer) = client.open("/v3/watch", &request).await else {
            // The list tells what is wrong; not at once, if only watches fail.
            return self.reports.pause(FIRST_PAUSE).await;
        };
        let mut bytes = Vec::new();
        loop {
            let next = {
                let (more, told) = (pin!(answer.next()), pin!(self.reports.refresh.notified()));
                timeout_at(end, either(more, told)).await
            };
            let Ok(Either::First(Ok(Some(more)))) = next else {
                return self.rest(end).await;
            };
            bytes.extend_from_slice(&more);
            if !more.ends_with(b"\n") && !more.ends_with(b"}") {
                // In the middle of a long message, which is not read again for each part.
                continue;
            }
            // A message is a line, but for the last error, which has no end.
            let mut messages = serde_json::Deserializer::from_slice(&bytes).into_iter::<Value>();
            let mut next = Next::Wait;
            while let Some(Ok(message)) = messages.next() {
                match keys.follow(&message) {
                    Ok(Next::Wait) => {}
                    Ok(Next::Changed) => next = Next::Changed,
                    Ok(Next::List) | Err(_) => return self.rest(end).await,
                }
            }
            let read = messages.byte_offset();
            bytes.drain(..read);
            if bytes.len() > ANSWER_BYTES_MAX {
                return self.rest(end).await;
            }
            if next == Next::Changed {
                self.report(&keys);
            }
        }
    }

    /// Before a new list: a server that ends each watch at once is not asked without a pause.
    async fn rest(&self, end: Instant) {
        if Instant::now() < end {
            tokio::time::sleep(FIRST_PAUSE / 4).await;
        }
    }

    fn report(&mut self, keys: &Keys) {
        let (endpoints, mistakes) = keys.endpoints();
        if let Some(first) = mistakes.first().filter(|_| mistakes != self.told) {
            let (source, more) = (self.reports.source.to_string(), mistakes.len() - 1);
            tracing::warn!(source, key = first, more, "a value of etcd is no endpoint");
        }
        self.told = mistakes;
        let found = endpoints.iter().map(FoundEndpoint::whole).collect();
        self.reports.found(found, Some(LIST_EVERY));
    }
}
