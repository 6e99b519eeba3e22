//! Look-ups against small servers on loopback, over UDP and TCP.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use simple_dns::rdata::{A, CNAME, RData, SOA, SRV};
use simple_dns::{CLASS, Name, Packet, PacketFlag, RCODE, ResourceRecord};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::Builder;

use super::lookup::{Found, Resolver};
use super::message::Service;
use crate::config::{Families, Resolver as Options};

const LONG: Duration = Duration::from_secs(20);

/// The answer of a server to a query.
type Reply = fn(&mut Packet<'_>);

/// A server on loopback.
struct Server {
    address: SocketAddr,
    /// Queries over UDP and over TCP.
    asked: [Arc<AtomicUsize>; 2],
}

impl Server {
    /// Answers over UDP by the first, over TCP by the second; `None` keeps silent.
    async fn start(by_udp: Option<Reply>, by_tcp: Option<Reply>) -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let address = udp.local_addr().unwrap();
            // The port may belong to a foreign program.
            if let Ok(tcp) = TcpListener::bind(address).await {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let asked = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
        let [of_udp, of_tcp] = asked.clone();
        tokio::spawn(async move {
            let mut bytes = [0; 512];
            loop {
                let (length, client) = udp.recv_from(&mut bytes).await.unwrap();
                of_udp.fetch_add(1, Relaxed);
                if let Some(reply) = by_udp {
                    let answer = answer(&bytes[..length], reply);
                    udp.send_to(&answer, client).await.unwrap();
                }
            }
        });
        tokio::spawn(async move {
            loop {
                let (mut client, _) = tcp.accept().await.unwrap();
                of_tcp.fetch_add(1, Relaxed);
                let mut query = vec![0; client.read_u16().await.unwrap().into()];
                client.read_exact(&mut query).await.unwrap();
                if let Some(reply) = by_tcp {
                    let answer = answer(&query, reply);
                    let length = u16::try_from(answer.len()).unwrap();
                    client.write_u16(length).await.unwrap();
                    client.write_all(&answer).await.unwrap();
                }
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> [usize; 2] {
        [0, 1].map(|way| self.asked[way].load(Relaxed))
    }
}

fn answer(query: &[u8], reply: Reply) -> Vec<u8> {
    let mut packet = Packet::parse(query).unwrap().into_reply();
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    reply(&mut packet);
    packet.build_bytes_vec_compressed().unwrap()
}

fn record(name: &'static str, ttl: u32, data: RData<'static>) -> ResourceRecord<'static> {
    ResourceRecord::new(Name::new(name).unwrap(), CLASS::IN, ttl, data)
}

fn a(name: &'static str, ttl: u32, number: u8) -> ResourceRecord<'static> {
    let address = Ipv4Addr::new(10, 0, 0, number).into();
    record(name, ttl, RData::A(A { address }))
}

fn cname(name: &'static str, ttl: u32, target: &'static str) -> ResourceRecord<'static> {
    record(name, ttl, RData::CNAME(CNAME(Name::new(target).unwrap())))
}

fn srv(priority: u16, weight: u16, port: u16, target: &'static str) -> ResourceRecord<'static> {
    let target = Name::new(target).unwrap();
    let data = SRV {
        priority,
        weight,
        port,
        target,
    };
    record("_db._tcp.test", 60, RData::SRV(data))
}

/// Two addresses, in no order.
fn two(packet: &mut Packet<'_>) {
    packet.answers = vec![a("db.test", 60, 2), a("DB.test", 60, 1)];
}

fn truncated(packet: &mut Packet<'_>) {
    packet.answers.push(a("db.test", 60, 9));
    packet.set_flags(PacketFlag::TRUNCATION);
}

fn fails(packet: &mut Packet<'_>) {
    *packet.rcode_mut() = RCODE::ServerFailure;
}

fn unknown(packet: &mut Packet<'_>) {
    *packet.rcode_mut() = RCODE::NameError;
}

fn run(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(LONG, test).await.expect("in time");
    });
}

fn options(servers: &[&Server]) -> Options {
    Options {
        servers: servers.iter().map(|server| server.address).collect(),
        families: Families::Ipv4,
        hosts: false,
        timeout: LONG,
        min_ttl: Duration::from_secs(5),
        max_ttl: Duration::from_secs(100),
        negative_ttl: Duration::from_secs(10),
    }
}

fn ips(numbers: &[u8]) -> Vec<IpAddr> {
    let ip = |&number: &u8| IpAddr::from([10, 0, 0, number]);
    numbers.iter().map(ip).collect()
}

fn found(numbers: &[u8], seconds: u64) -> Result<Found<IpAddr>, String> {
    Ok(Found {
        all: ips(numbers),
        ttl: Duration::from_secs(seconds),
    })
}

/// The result of a look-up at a server with this reply.
async fn look_up(reply: Reply) -> Result<Found<IpAddr>, String> {
    let server = Server::start(Some(reply), None).await;
    let resolver = Resolver::new(options(&[&server]));
    resolver.addresses("db.test", &[]).await
}

#[test]
fn addresses_come_in_order_with_the_least_time_of_the_chain() {
    run(async {
        assert_eq!(look_up(two).await, found(&[1, 2], 60));
        let chain: Reply = |packet| {
            packet.answers = vec![
                cname("db.test", 90, "b.test"),
                a("c.test", 50, 3),
                a("foreign.test", 60, 4),
                cname("b.test", 40, "C.test"),
            ];
        };
        assert_eq!(look_up(chain).await, found(&[3], 40));
        let brief: Reply = |packet| packet.answers = vec![a("db.test", 0, 1)];
        assert_eq!(look_up(brief).await, found(&[1], 5), "no less than min_ttl");
        let long: Reply = |packet| packet.answers = vec![a("db.test", 86_400, 1)];
        assert_eq!(
            look_up(long).await,
            found(&[1], 100),
            "no more than max_ttl"
        );
    });
}

#[test]
fn an_empty_answer_holds_as_its_authority_says_or_as_configured() {
    run(async {
        // dnsmasq's NXDOMAIN has no SOA record.
        assert_eq!(look_up(unknown).await, found(&[], 10));
        let with_soa: Reply = |packet| {
            unknown(packet);
            let name = Name::new("test").unwrap();
            let soa = SOA {
                mname: name.clone(),
                rname: name,
                serial: 1,
                refresh: 1,
                retry: 1,
                expire: 1,
                minimum: 7,
            };
            packet.name_servers = vec![record("test", 9, RData::SOA(soa))];
        };
        assert_eq!(look_up(with_soa).await, found(&[], 7));
    });
}

#[test]
fn an_alias_that_the_server_leaves_is_followed_and_a_ring_of_aliases_ends() {
    run(async {
        let left: Reply = |packet| {
            packet.answers = match packet.questions[0].qname.to_string().as_str() {
                "db.test" => vec![cname("db.test", 30, "other.test")],
                _ => vec![a("other.test", 60, 5)],
            };
        };
        assert_eq!(look_up(left).await, found(&[5], 30));
        let ring: Reply = |packet| {
            packet.answers = vec![
                cname("db.test", 30, "b.test"),
                cname("b.test", 30, "db.test"),
            ];
        };
        let said = look_up(ring).await;
        assert!(
            matches!(&said, Ok(found) if found.all.is_empty()) || said.is_err(),
            "{said:?}"
        );
    });
}

#[test]
fn a_truncated_answer_is_asked_again_over_tcp() {
    run(async {
        let many: Reply = |packet| {
            packet.answers = (0..250).map(|number| a("db.test", 60, number)).collect();
        };
        let server = Server::start(Some(truncated), Some(many)).await;
        let resolver = Resolver::new(options(&[&server]));
        let answer = resolver.addresses("db.test", &[]).await.unwrap();
        assert_eq!(answer.all.len(), 250);
        assert_eq!(server.asked(), [1, 1]);
    });
}

#[test]
fn a_silent_first_server_costs_no_time_out_and_is_asked_last_afterwards() {
    run(async {
        let silent = Server::start(None, None).await;
        let good = Server::start(Some(two), None).await;
        // The time of a server is longer than the test.
        let resolver = Resolver::new(options(&[&silent, &good]));
        for asked in 1..=3 {
            let answer = resolver.addresses("db.test", &[]).await;
            assert_eq!(answer, found(&[1, 2], 60));
            assert_eq!(silent.asked()[0], 1, "only at first");
            assert_eq!(good.asked()[0], asked);
        }
    });
}

#[test]
fn the_next_server_answers_for_one_that_fails_or_is_closed() {
    run(async {
        let failing = Server::start(Some(fails), None).await;
        let good = Server::start(Some(two), None).await;
        let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut options = options(&[&failing, &failing, &good]);
        options.servers[0] = closed.local_addr().unwrap();
        drop(closed);
        let resolver = Resolver::new(options.clone());
        assert_eq!(resolver.addresses("db.test", &[]).await, found(&[1, 2], 60));
        options.servers.pop();
        let said = Resolver::new(options.clone())
            .addresses("db.test", &[])
            .await;
        let said = said.unwrap_err();
        assert!(
            said.contains("SERVFAIL") || said.contains("listens"),
            "{said}"
        );
        options.servers.clear();
        options.servers.push(failing.address);
        let said = Resolver::new(options).addresses("db.test", &[]).await;
        let expected = format!("{}: the server has failed (SERVFAIL)", failing.address);
        assert_eq!(said, Err(expected));
    });
}

#[test]
fn an_answer_to_another_question_is_not_believed() {
    run(async {
        let forged: Reply = |packet| {
            packet.set_id(packet.id().wrapping_add(1));
            two(packet);
        };
        let server = Server::start(Some(forged), None).await;
        let mut options = options(&[&server]);
        options.timeout = Duration::from_millis(200);
        let said = Resolver::new(options).addresses("db.test", &[]).await;
        assert!(said.unwrap_err().contains("no answer within"));
        assert_eq!(server.asked()[0], 2, "a datagram may get lost");
    });
}

#[test]
fn a_family_that_fails_keeps_its_addresses_if_the_other_answers() {
    run(async {
        let half: Reply = |packet| match packet.questions[0].qtype {
            simple_dns::QTYPE::TYPE(simple_dns::TYPE::A) => two(packet),
            _ => fails(packet),
        };
        let server = Server::start(Some(half), None).await;
        let options = Options {
            families: Families::Both,
            ..options(&[&server])
        };
        let resolver = Resolver::new(options);
        let kept: Vec<IpAddr> = vec!["10.0.0.9".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        let answer = resolver.addresses("db.test", &kept).await.unwrap();
        let v4: Vec<_> = answer.all.iter().filter(|ip| ip.is_ipv4()).collect();
        assert_eq!(v4, ips(&[1, 2]).iter().collect::<Vec<_>>());
        let has_ipv6 = crate::sys::has_ipv6();
        assert_eq!(answer.all.contains(&kept[1]), has_ipv6);
    });
}

/// As a resolver in an outage that still knows that the name has no IPv6 address.
#[test]
fn a_family_without_addresses_does_not_hide_a_failure() {
    run(async {
        let outage: Reply = |packet| {
            if packet.questions[0].qtype == simple_dns::TYPE::A.into() {
                fails(packet);
            }
        };
        let server = Server::start(Some(outage), None).await;
        let options = Options {
            families: Families::Both,
            ..options(&[&server])
        };
        let kept: IpAddr = "10.0.0.9".parse().unwrap();
        let found = Resolver::new(options).addresses("db.test", &[kept]).await;
        assert!(found.unwrap_err().contains("SERVFAIL"));
    });
}

#[test]
fn services_are_records_but_for_the_one_that_says_not_offered() {
    run(async {
        let services: Reply = |packet| {
            packet.answers = vec![srv(10, 5, 5432, "A.test"), srv(0, 0, 0, "")];
        };
        let server = Server::start(Some(services), None).await;
        let resolver = Resolver::new(options(&[&server]));
        let answer = resolver.services("_db._tcp.test").await.unwrap();
        let expected = Service {
            priority: 10,
            weight: 5,
            port: 5432,
            target: "a.test".to_owned(),
        };
        assert_eq!(answer.all, [expected]);
    });
}
