//! DNS messages (RFC 1035, RFC 2782): a query out, an answer in. Pure: bytes in, values out.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use simple_dns::rdata::RData;
use simple_dns::{
    CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question as Written, RCODE, ResourceRecord,
    TYPE,
};

/// The most aliases behind one name. BIND follows 16.
pub(super) const ALIASES_MAX: usize = 16;

/// The kind of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    A,
    Aaaa,
    Srv,
}

/// A question to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// Without the final dot.
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// A record behind a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Address(IpAddr),
    Service(Service),
}

/// An SRV record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    /// Without the final dot. Empty if the service is not offered (RFC 2782).
    pub(super) target: String,
}

/// The answer of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Empty for a name without such records, or without any.
    pub(super) records: Vec<Record>,
    /// The least of the records and of the aliases before; of an empty answer by the SOA
    /// record (RFC 2308), `None` without one.
    pub(super) ttl: Option<Duration>,
    /// The last alias, if the answer ends with an alias: the server leaves the rest to the client.
    pub(super) alias: Option<String>,
}

/// The meaning of received bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Read {
    Answer(Answer),
    /// To be asked again over TCP.
    Truncated,
    /// The server has no answer, for this reason.
    Failed(String),
    /// No answer to this question: late, or forged.
    Alien,
}

impl Kind {
    fn code(self) -> TYPE {
        match self {
            Self::A => TYPE::A,
            Self::Aaaa => TYPE::AAAA,
            Self::Srv => TYPE::SRV,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Srv => "SRV",
        })
    }
}

/// The bytes of a query; `None` for a name beyond the limits of DNS.
pub(super) fn query(id: u16, question: &Question) -> Option<Vec<u8>> {
    let name = Name::new(&question.name).ok()?;
    let kind = QTYPE::TYPE(question.kind.code());
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let question = Written::new(name, kind, QCLASS::CLASS(CLASS::IN), false);
    packet.questions.push(question);
    packet.build_bytes_vec().ok()
}

/// Reads the bytes of a server after a query.
pub(super) fn read(bytes: &[u8], id: u16, question: &Question) -> Read {
    let Ok(packet) = Packet::parse(bytes) else {
        return Read::Alien;
    };
    if packet.id() != id || !packet.has_flags(PacketFlag::RESPONSE) || !echoes(&packet, question) {
        return Read::Alien;
    }
    if packet.has_flags(PacketFlag::TRUNCATION) {
        return Read::Truncated;
    }
    match packet.rcode() {
        RCODE::NoError | RCODE::NameError => Read::Answer(answer(&packet, question)),
        code => Read::Failed(word(code)),
    }
}

/// A failing server may leave the question out.
fn echoes(packet: &Packet<'_>, question: &Question) -> bool {
    match &packet.questions[..] {
        [] => !matches!(packet.rcode(), RCODE::NoError | RCODE::NameError),
        [one] => {
            let kind = QTYPE::TYPE(question.kind.code());
            one.qtype == kind && one.qname.to_string().eq_ignore_ascii_case(&question.name)
        }
        _ => false,
    }
}

fn word(code: RCODE) -> String {
    match code {
        RCODE::FormatError => "the server does not understand the query (FORMERR)".to_owned(),
        RCODE::ServerFailure => "the server has failed (SERVFAIL)".to_owned(),
        RCODE::NotImplemented => "the server does not know such queries (NOTIMP)".to_owned(),
        RCODE::Refused => "the server refuses the query (REFUSED)".to_owned(),
        other => format!("the server answers with {other:?}"),
    }
}

fn answer(packet: &Packet<'_>, question: &Question) -> Answer {
    let mut name = question.name.clone();
    let mut ttl: Option<u32> = None;
    let mut aliases = 0;
    loop {
        let mut records = Vec::new();
        let mut alias = None;
        for one in packet.answers.iter().filter(|one| is_of(one, &name)) {
            if let Some(record) = record(&one.rdata, question.kind) {
                records.push(record);
            } else if let RData::CNAME(target) = &one.rdata {
                alias = Some(target.0.to_string());
            } else {
                continue;
            }
            ttl = Some(ttl.map_or(one.ttl, |least| least.min(one.ttl)));
        }
        let is_end = !records.is_empty() || aliases == ALIASES_MAX;
        match alias.filter(|_| !is_end) {
            Some(next) => {
                aliases += 1;
                name = next;
            }
            None => {
                let is_empty = records.is_empty();
                let authority = || negative_ttl(&packet.name_servers);
                let of_end = match is_empty {
                    true => authority(),
                    false => None,
                };
                let least = ttl.into_iter().chain(of_end).min();
                // The server has stopped at an alias without an authority.
                let stopped = is_empty && aliases > 0 && of_end.is_none();
                let is_there = packet.rcode() == RCODE::NoError;
                return Answer {
                    records,
                    ttl: least.map(|seconds| Duration::from_secs(seconds.into())),
                    alias: (stopped && is_there).then_some(name),
                };
            }
        }
    }
}

fn is_of(record: &ResourceRecord<'_>, name: &str) -> bool {
    record.class == CLASS::IN && record.name.to_string().eq_ignore_ascii_case(name)
}

fn record(data: &RData<'_>, kind: Kind) -> Option<Record> {
    match (data, kind) {
        (RData::A(of), Kind::A) => Some(Record::Address(IpAddr::V4(Ipv4Addr::from(of.address)))),
        (RData::AAAA(of), Kind::Aaaa) => {
            Some(Record::Address(IpAddr::V6(Ipv6Addr::from(of.address))))
        }
        (RData::SRV(of), Kind::Srv) => Some(Record::Service(Service {
            priority: of.priority,
            weight: of.weight,
            port: of.port,
            target: of.target.to_string().to_ascii_lowercase(),
        })),
        _ => None,
    }
}

/// The time for which an empty answer holds, in seconds (RFC 2308, 5).
fn negative_ttl(authority: &[ResourceRecord<'_>]) -> Option<u32> {
    authority.iter().find_map(|one| match &one.rdata {
        RData::SOA(soa) => Some(one.ttl.min(soa.minimum)),
        _ => None,
    })
}
