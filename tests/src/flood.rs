//! A bounded flood of VRRP packets that are all wrong, at a given rate, from the bridge of a segment to both hosts.

use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{LinkAddr, MsgFlags, MultiHeaders, sendmmsg};
use socket2::{Domain, Protocol, Socket, Type};

use crate::vrrp::Segment;

/// Packets handed to the kernel at once.
const BATCH: usize = 50;
/// Ethernet and IPv4 headers.
const HEADERS_LEN: usize = 34;

/// Frames from 10.99.0.9 for router id 51 that every receiver refuses, each for another reason.
fn frames() -> Vec<Vec<u8>> {
    let frame = |ttl: u8, message: &[u8]| {
        let mut out = vec![1, 0, 0x5e, 0, 0, 18, 2, 0, 0, 0, 0, 9, 8, 0];
        let total = (20 + message.len()) as u16;
        out.extend_from_slice(&[0x45, 0xc0]);
        out.extend_from_slice(&total.to_be_bytes());
        out.extend_from_slice(&[0, 1, 0, 0, ttl, 112, 0, 0, 10, 99, 0, 9, 224, 0, 0, 18]);
        let sum: u32 =
            out[14..HEADERS_LEN].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        out[24..26].copy_from_slice(&(!sum as u16).to_be_bytes());
        out.extend_from_slice(message);
        out
    };
    let advert = |first: u8, vrid: u8| [first, vrid, 200, 1, 0, 10, 0x12, 0x34, 10, 99, 0, 100];
    vec![
        frame(254, &advert(0x31, 51)),
        frame(255, &advert(0x31, 51)),
        frame(255, &advert(0x41, 51)),
        frame(255, &advert(0x32, 51)),
        frame(255, &advert(0x31, 99)),
        frame(255, &advert(0x31, 51)[..10]),
        frame(255, &advert(0x31, 51)[..3]),
        frame(255, &[]),
    ]
}

/// Sends for a while; answers with the number of packets. The thread that does it lives in the namespace of the bridge.
///
/// # Errors
/// What the system refused.
pub fn from_the_switch(segment: &Segment, packets_per_second: u64, time: Duration) -> io::Result<u64> {
    let namespace = std::fs::File::open(format!("/run/netns/{}", segment.switch()))?;
    let sender = std::thread::spawn(move || -> io::Result<u64> {
        setns(namespace, CloneFlags::CLONE_NEWNET)?;
        send(packets_per_second, time)
    });
    sender.join().map_err(|_| io::Error::other("the flood panicked"))?
}

fn send(packets_per_second: u64, time: Duration) -> io::Result<u64> {
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
    let bridge: Option<LinkAddr> = getifaddrs()?
        .filter(|interface| interface.interface_name == "br0")
        .find_map(|interface| interface.address?.as_link_addr().copied());
    let addresses = [Some(bridge.ok_or(io::ErrorKind::NotFound)?); BATCH];
    let frames = frames();
    let mut headers = MultiHeaders::preallocate(BATCH, None);
    let (start, mut sent, mut tried) = (Instant::now(), 0, 0);
    while start.elapsed() < time {
        let due = (start.elapsed().as_micros() as u64).saturating_mul(packets_per_second) / 1_000_000;
        if tried >= due {
            std::thread::yield_now();
            continue;
        }
        let batch: Vec<[IoSlice<'_>; 1]> = (0..BATCH)
            .map(|index| [IoSlice::new(&frames[(tried as usize + index) % frames.len()])])
            .collect();
        let flags = MsgFlags::MSG_DONTWAIT;
        // A full queue is no failure: what it does not take is not sent.
        sent += sendmmsg(socket.as_raw_fd(), &mut headers, &batch, addresses, [], flags)
            .map_or(0, |results| results.count() as u64);
        tried += BATCH as u64;
    }
    Ok(sent)
}
