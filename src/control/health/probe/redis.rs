//! Redis: the answer to PING (RESP, <https://redis.io/docs/latest/develop/reference/protocol-spec>).
//!
//! A server that wants a password answers `-NOAUTH` and serves. A server that reads its data back
//! answers `-LOADING`, and a replica without its primary `-MASTERDOWN`: neither serves.

use super::step::{Step, excerpt};

/// As an array, since proxies in front of Redis do not take the inline form.
pub(super) const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";

pub(super) fn step(answer: &[u8]) -> Step {
    let Some(end) = answer.iter().position(|byte| *byte == b'\n') else {
        return Step::More;
    };
    let line = answer[..end].trim_ascii_end();
    let is_good = line == b"+PONG"
        || line.starts_with(b"-NOAUTH")
        // Servers before Redis 6 that want a password.
        || line.starts_with(b"-ERR operation not permitted");
    match is_good {
        true => Step::GOOD,
        false => Step::Bad(format!("Redis answers {}", excerpt(line))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::step::Step;
    use super::step;

    #[test]
    fn a_server_that_serves_is_told_from_one_that_does_not() {
        for good in [
            "+PONG\r\n",
            "-NOAUTH Authentication required.\r\n",
            "-ERR operation not permitted\r\n",
        ] {
            assert_eq!(step(good.as_bytes()), Step::GOOD, "{good}");
        }
        for bad in [
            "-LOADING Redis is loading the dataset in memory\r\n",
            "-MASTERDOWN Link with MASTER is down\r\n",
            "-ERR max number of clients reached\r\n",
            "-DENIED Redis is running in protected mode\r\n",
            "HTTP/1.1 400 Bad Request\r\n",
        ] {
            let line = bad.trim_end();
            let Step::Bad(reason) = step(bad.as_bytes()) else {
                panic!("{bad}");
            };
            assert!(reason.contains(line), "{reason}");
        }
        assert_eq!(step(b"+PON"), Step::More);
    }
}
