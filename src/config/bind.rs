//! `bind`: where a listener accepts, one address or a list of them.
//!
//! Read by `listener`. A range of ports and a port alone are one element of the list and several
//! addresses. Only the form is checked: the bind finds out whether the machine has the address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::address::{self, canonical};
use super::effective::Effective;
use super::errors::Reported;
use super::slips::For;
use super::value::{self, Unique, Value};

/// An address of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bind {
    /// Which element of the list in the file, from 0; several addresses may be of one element.
    pub element: usize,
    /// How the element is written.
    pub form: BindForm,
    /// Where to accept.
    pub to: BindTo,
}

/// How an element of the list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BindForm {
    /// `IP:PORT`
    Single,
    /// `IP:FIRST-LAST`
    Range,
    /// `PORT` or `FIRST-LAST`: every address of the machine.
    Everywhere,
}

/// Where a listener accepts; the identity of a listening socket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum BindTo {
    /// A TCP port; port 0 is any free port.
    Tcp(SocketAddr),
    /// A unix socket with a file: the absolute path.
    Unix(PathBuf),
    /// A unix socket with an abstract name and no file (Linux, unix(7)).
    Abstract(String),
    /// The sockets that systemd passes by this name (systemd.socket(5)).
    Systemd(String),
}

impl Bind {
    /// A single address.
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self {
            element: 0,
            form: BindForm::Single,
            to: BindTo::Tcp(address),
        }
    }

    /// The TCP address, if it is one.
    pub(crate) fn tcp(&self) -> Option<SocketAddr> {
        match self.to {
            BindTo::Tcp(address) => Some(address),
            BindTo::Unix(_) | BindTo::Abstract(_) | BindTo::Systemd(_) => None,
        }
    }

    /// Whether the system chooses the port.
    pub(crate) fn is_any_port(&self) -> bool {
        self.tcp().is_some_and(|address| address.port() == 0)
    }

    /// Whether it is left out on a system without IPv6: the file does not ask for IPv6.
    pub(crate) fn is_optional(&self) -> bool {
        self.form == BindForm::Everywhere && self.tcp().is_some_and(|address| address.is_ipv6())
    }

    /// The key in the file, of the listener with this index.
    pub(crate) fn key(&self, listener: usize) -> String {
        format!("listener[{listener}].bind[{}]", self.element)
    }

    /// Whether its element stands for other addresses, too.
    pub(crate) fn is_one_of_several(&self) -> bool {
        self.form != BindForm::Single
    }
}

impl fmt::Display for BindTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
            Self::Abstract(name) => write!(f, "{UNIX}@{name}"),
            Self::Systemd(name) => write!(f, "{SYSTEMD}{name}"),
        }
    }
}

/// The prefix of a unix socket.
const UNIX: &str = "unix:";
/// The prefix of the name of passed sockets.
const SYSTEMD: &str = "systemd:";
/// The longest such name (`FDNAME_MAX` of systemd).
const SYSTEMD_BYTES_MAX: usize = 255;
/// The longest path or name on Linux, without the NUL (`sun_path`, unix(7)).
const UNIX_BYTES_MAX: usize = 107;
/// The forms of a unix socket.
const UNIX_EXAMPLE: &str = "\"unix:/run/corelane/web.sock\", or \"unix:@NAME\" for an abstract \
                            name";

/// The form of `bind`.
const EXAMPLE: &str = "IP:PORT, e.g. \"127.0.0.1:7008\" or \"[::1]:7008\"";
/// Each lane has a socket and a task for each address.
const ADDRESSES_MAX: usize = 4096;
/// The remedy for more.
const FEWER: &str = "a shorter range, or several listeners with 4096 addresses at most";

/// An address or a list of addresses to bind, at least one, none twice in the file.
///
/// Port 0 is any free port, so two entries with port 0 are two ports. A wildcard address may share
/// its port with a specific address: the kernel prefers the specific listener.
pub(super) fn binds(value: &Value<'_>, bound: &mut Unique<BindTo>) -> Result<Vec<Bind>, Reported> {
    let is_list = value.text().is_none() && value.number().is_none();
    let listed;
    let elements = match is_list {
        true => {
            listed = address::some(value, "an address or a list of them", EXAMPLE)?;
            &listed[..]
        }
        false => std::slice::from_ref(value),
    };
    let mut at = 0..;
    let mut count = 0;
    let of_elements = value::all(elements, |value| {
        let element = at.next().unwrap_or_default();
        let (form, addresses) = element_of(value)?;
        count += addresses.len();
        if count > ADDRESSES_MAX {
            return Err(value.senseless("too many addresses for one listener", FEWER));
        }
        for to in &addresses {
            claim(to, form, value, bound)?;
        }
        let bind = move |to| Bind { element, form, to };
        Ok(addresses.into_iter().map(bind).collect::<Vec<_>>())
    })?;
    Ok(of_elements.concat())
}

/// The list as it may be written, element by element.
pub(super) fn effective(binds: &[Bind]) -> Effective {
    let elements = binds.chunk_by(|one, next| one.element == next.element);
    let element = |addresses: &[Bind]| {
        let (Some(first), Some(last)) = (addresses.first(), addresses.last()) else {
            return Effective::List(Vec::new());
        };
        let port = |bind: &Bind| bind.tcp().map_or(0, |address| address.port());
        match first.form {
            BindForm::Single => Effective::text(&first.to),
            BindForm::Range => Effective::text(format!("{}-{}", first.to, port(last))),
            BindForm::Everywhere if port(first) == port(last) => Effective::number(port(first)),
            BindForm::Everywhere => Effective::text(format!("{}-{}", port(first), port(last))),
        }
    };
    Effective::List(elements.map(element).collect())
}

fn claim(
    to: &BindTo,
    form: BindForm,
    value: &Value<'_>,
    bound: &mut Unique<BindTo>,
) -> Result<(), Reported> {
    let what = match form {
        BindForm::Single if matches!(to, BindTo::Systemd(_)) => "this name",
        BindForm::Single => "this address",
        BindForm::Range => "an address of this range",
        BindForm::Everywhere => "an address of this port",
    };
    match to {
        BindTo::Tcp(address) if address.port() == 0 => Ok(()),
        _ => bound.claim_as(what, to.clone(), value),
    }
}

fn element_of(value: &Value<'_>) -> Result<(BindForm, Vec<BindTo>), Reported> {
    match value.text() {
        Some(text) if text.starts_with(UNIX) => Ok((BindForm::Single, vec![unix(value)?])),
        Some(text) if text.starts_with(SYSTEMD) => Ok((BindForm::Single, vec![systemd(value)?])),
        Some(text)
            if ["/", "unix@", "abns@"]
                .iter()
                .any(|of| text.starts_with(of)) =>
        {
            Err(value.malformed("an address", UNIX_EXAMPLE))
        }
        _ => {
            let (form, addresses) = addresses_of(value)?;
            Ok((form, addresses.into_iter().map(BindTo::Tcp).collect()))
        }
    }
}

/// The name of passed sockets, as systemd allows it: printable ASCII without a colon.
fn systemd(value: &Value<'_>) -> Result<BindTo, Reported> {
    let name = value.text().and_then(|text| text.strip_prefix(SYSTEMD));
    let sane = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b':';
    match name {
        Some(name) if (1..=SYSTEMD_BYTES_MAX).contains(&name.len()) && name.bytes().all(sane) => {
            Ok(BindTo::Systemd(name.to_owned()))
        }
        _ => Err(value.malformed(
            "the name of a socket of systemd",
            "\"systemd:NAME\", with the FileDescriptorName= of a socket unit",
        )),
    }
}

/// A unix socket.
fn unix(value: &Value<'_>) -> Result<BindTo, Reported> {
    let name = value.text().and_then(|text| text.strip_prefix(UNIX));
    let name = name.filter(|name| !name.contains(char::is_control));
    let to = match name.map(|name| (name, name.strip_prefix('@'))) {
        Some((_, Some(name))) if !name.is_empty() => BindTo::Abstract(name.to_owned()),
        Some((path, None)) if path.starts_with('/') && !path.ends_with('/') => {
            BindTo::Unix(path.into())
        }
        _ => return Err(value.malformed("a unix socket", UNIX_EXAMPLE)),
    };
    match name.is_some_and(|name| name.len() > UNIX_BYTES_MAX) {
        true => Err(value.senseless(
            "longer than the 107 bytes of a unix socket",
            "a shorter path; a symbolic link to its folder helps",
        )),
        false => Ok(to),
    }
}

/// The TCP addresses of an element, canonical: a socket of an IPv4-mapped IPv6 address could not be
/// bound, because listeners are IPv6 only.
fn addresses_of(value: &Value<'_>) -> Result<(BindForm, Vec<SocketAddr>), Reported> {
    let everywhere = |ports: std::ops::RangeInclusive<u16>| {
        let any = [
            IpAddr::from(Ipv4Addr::UNSPECIFIED),
            Ipv6Addr::UNSPECIFIED.into(),
        ];
        let of = |ip| ports.clone().map(move |port| SocketAddr::new(ip, port));
        (BindForm::Everywhere, any.into_iter().flat_map(of).collect())
    };
    let text = value.text().unwrap_or_default();
    let in_digits = || text.parse().ok().filter(|_| is_digits(text));
    if let Some(number) = value.number().or_else(in_digits) {
        return match u16::try_from(number) {
            Ok(port @ 1..) => Ok(everywhere(port..=port)),
            _ => Err(value.out_of_range(1, u16::MAX, "a port has 16 bits")),
        };
    }
    let (host, ports) = text.rsplit_once(':').unwrap_or(("", text));
    if let Some((first, last)) = ports.split_once('-')
        && let (Some(first), Some(last)) = (port(first), port(last))
    {
        let write = |first: u16, last: u16| match host {
            "" => format!("\"{first}-{last}\""),
            host => format!("\"{host}:{first}-{last}\""),
        };
        if first > last {
            let why = "the last port is below the first";
            return Err(value.senseless(why, write(last.max(1), first)));
        }
        if first == 0 {
            let why = "port 0 is any free port, and begins no range";
            return Err(value.senseless(why, write(1, last)));
        }
        if text.contains(':') {
            let address = address::parsed(&format!("{host}:{first}"), value, For::Bind, EXAMPLE)?;
            let address = canonical(address);
            let with = |port| {
                let mut address = address;
                address.set_port(port);
                address
            };
            return Ok((BindForm::Range, (first..=last).map(with).collect()));
        }
        return Ok(everywhere(first..=last));
    }
    let address = address::parsed_value(value, For::Bind, EXAMPLE)?;
    Ok((BindForm::Single, vec![canonical(address)]))
}

fn port(digits: &str) -> Option<u16> {
    digits.parse().ok().filter(|_| is_digits(digits))
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}
