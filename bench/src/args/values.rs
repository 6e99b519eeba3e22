//! Parsers for single values: durations, addresses, the targets of a duel. Each error names the
//! correct form. Pure.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use corelane::config::units;

/// The most addresses in one `--source`.
const SOURCES_MAX: usize = 1024;

/// A duration, zero included.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    (units::DURATION.read)(text).ok_or_else(|| format!("write {}, e.g. 10s", units::DURATION.form))
}

/// A duration above zero.
pub(crate) fn duration_above_zero(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    match duration.is_zero() {
        true => Err("write a duration above 0".to_owned()),
        false => Ok(duration),
    }
}

/// Local addresses: the argument's text and its meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sources {
    pub(crate) text: String,
    pub(crate) addresses: Vec<IpAddr>,
}

/// `127.0.0.2`, `127.0.0.2-9`, `127.0.0.2-127.0.1.9`, or several with commas.
pub(crate) fn sources(text: &str) -> Result<Sources, String> {
    let mut addresses = Vec::new();
    for part in text.split(',') {
        match part.split_once('-') {
            None => addresses.push(address(part)?),
            Some((first, last)) => range(first, last, &mut addresses)?,
        }
    }
    match addresses.len() {
        0..=SOURCES_MAX => Ok(Sources {
            text: text.to_owned(),
            addresses,
        }),
        many => Err(format!("{many} addresses; at most {SOURCES_MAX}")),
    }
}

fn address(text: &str) -> Result<IpAddr, String> {
    let form = "write 127.0.0.2, 127.0.0.2-9 or addresses with commas between";
    text.parse()
        .map_err(|_| format!("{text:?} is not an address: {form}"))
}

fn range(first: &str, last: &str, to: &mut Vec<IpAddr>) -> Result<(), String> {
    let IpAddr::V4(from) = address(first)? else {
        return Err(format!("{first:?}: a range is of IPv4 addresses"));
    };
    let end = match last.parse::<u8>() {
        Ok(byte) => {
            let [a, b, c, _] = from.octets();
            Ipv4Addr::new(a, b, c, byte)
        }
        Err(_) => match address(last)? {
            IpAddr::V4(end) => end,
            IpAddr::V6(_) => return Err(format!("{last:?}: a range is of IPv4 addresses")),
        },
    };
    let (from, end) = (u32::from(from), u32::from(end));
    if end < from {
        return Err(format!("{first}-{last}: the range ends before it begins"));
    }
    // One above the maximum is enough for the caller to refuse.
    let addresses = (from..=end).take(SOURCES_MAX + 1);
    to.extend(addresses.map(|bits| IpAddr::V4(Ipv4Addr::from(bits))));
    Ok(())
}

/// One target of a duel: `A=127.0.0.1:7007,pid=1234`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DuelTarget {
    pub(crate) name: String,
    pub(crate) target: String,
    pub(crate) pid: Option<u32>,
}

/// Parses a target of a duel.
pub(crate) fn duel_target(text: &str) -> Result<DuelTarget, String> {
    const FORM: &str = "write A=HOST:PORT or A=HOST:PORT,pid=1234";
    let (name, rest) = text.split_once('=').ok_or(FORM)?;
    let (target, pid) = match rest.split_once(',') {
        None => (rest, None),
        Some((target, option)) => {
            let pid = option.strip_prefix("pid=").ok_or(FORM)?;
            let pid = pid
                .parse()
                .map_err(|_| format!("{pid:?} is not a process ID"))?;
            (target, Some(pid))
        }
    };
    if name.is_empty() || target.is_empty() {
        return Err(FORM.to_owned());
    }
    Ok(DuelTarget {
        name: name.to_owned(),
        target: target.to_owned(),
        pid,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{DuelTarget, duel_target, duration, duration_above_zero, sources};

    #[test]
    fn durations() {
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        let unit = "write a number and a unit (ns, us, ms, s, m, h, d), e.g. 10s";
        assert_eq!(duration("10"), Err(unit.to_owned()));
        let zero = "write a duration above 0";
        assert_eq!(duration_above_zero("0s"), Err(zero.to_owned()));
    }

    #[test]
    fn source_addresses() {
        let all = |text: &str| -> Vec<String> {
            let found = sources(text).unwrap().addresses;
            found.iter().map(ToString::to_string).collect()
        };
        assert_eq!(all("127.0.0.2"), ["127.0.0.2"]);
        assert_eq!(all("127.0.0.2-4"), ["127.0.0.2", "127.0.0.3", "127.0.0.4"]);
        assert_eq!(all("127.0.0.255-127.0.1.0"), ["127.0.0.255", "127.0.1.0"]);
        assert_eq!(all("::1,127.0.0.1"), ["::1", "127.0.0.1"]);
        for (text, message) in [
            (
                "lo",
                "\"lo\" is not an address: write 127.0.0.2, 127.0.0.2-9 or addresses with commas \
                 between",
            ),
            (
                "127.0.0.9-2",
                "127.0.0.9-2: the range ends before it begins",
            ),
            ("127.0.0.0-127.1.0.0", "1025 addresses; at most 1024"),
            ("::1-::2", "\"::1\": a range is of IPv4 addresses"),
        ] {
            assert_eq!(sources(text), Err(message.to_owned()), "{text}");
        }
    }

    #[test]
    fn sides_of_a_duel() {
        let found = duel_target("new=[::1]:7,pid=12").unwrap();
        let expected = DuelTarget {
            name: "new".to_owned(),
            target: "[::1]:7".to_owned(),
            pid: Some(12),
        };
        assert_eq!(found, expected);
        assert_eq!(duel_target("A=h:1").unwrap().pid, None);
        for text in ["h:1", "=h:1", "A=", "A=h:1,7"] {
            let form = "write A=HOST:PORT or A=HOST:PORT,pid=1234".to_owned();
            assert_eq!(duel_target(text), Err(form), "{text}");
        }
        assert_eq!(
            duel_target("A=h:1,pid=x"),
            Err("\"x\" is not a process ID".to_owned())
        );
    }
}
