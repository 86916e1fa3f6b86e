//! Announcing addresses: gratuitous ARP and unsolicited neighbour advertisements (keepalived's behaviour).
//!
//! Without a minimum interval everything leaves at once; with one, frames wait in a bounded queue per interface or
//! `garp_group`.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::IpAddr,
    os::fd::AsRawFd,
};

use nix::{
    ifaddrs::getifaddrs,
    sys::socket::{LinkAddr, MsgFlags, sendto},
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::packet::{arp, ndisc};

/// Frames that wait per lane at most; more are dropped, the refresh brings them again.
const QUEUE_LEN_MAX: usize = 4096;

/// One announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcement {
    /// Interface it leaves by.
    pub ifindex: u32,
    /// The hardware address that owns the virtual address now.
    pub mac: [u8; 6],
    /// The virtual address.
    pub address: IpAddr,
    /// IPv6: whether we forward.
    pub role: ndisc::Role,
}

/// What announcements wait for: those of one lane keep a distance, those of two do not know each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LaneKey {
    /// An interface on its own.
    Interface(u32),
    /// The interfaces of the `garp_group` of this position.
    Group(usize),
}

/// A lane and its minimum gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// Which one.
    pub key: LaneKey,
    /// Between two frames, microseconds; 0 for none.
    pub gap_us: u64,
}

/// The packet socket and what waits for it.
#[derive(Debug)]
pub struct Announcer {
    socket: Socket,
    links: BTreeMap<u32, LinkAddr>,
    queues: BTreeMap<LaneKey, Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Frames and the gap that each leaves behind it.
    waiting: VecDeque<(Announcement, u64)>,
    next_us: u64,
}

impl Announcer {
    /// Opens the packet socket, which receives nothing.
    ///
    /// # Errors
    /// The kernel's, `PermissionDenied` without CAP_NET_RAW.
    pub fn open() -> io::Result<Self> {
        let kind = Type::RAW.nonblocking().cloexec();
        let socket = Socket::new(Domain::PACKET, kind, Some(Protocol::from(0)))?;
        Ok(Announcer { socket, links: BTreeMap::new(), queues: BTreeMap::new() })
    }

    /// Forgets what is known of an interface that changed or vanished.
    pub fn forget(&mut self, ifindex: u32) {
        self.links.remove(&ifindex);
        self.queues.remove(&LaneKey::Interface(ifindex));
    }

    /// Sends `announcement`, or queues it when its lane had one a moment ago.
    ///
    /// # Errors
    /// What the kernel said, when it was sent at once.
    pub fn announce(&mut self, announcement: Announcement, lane: Lane, now_us: u64) -> io::Result<()> {
        if lane.gap_us > 0 {
            let queue = self.queues.entry(lane.key).or_default();
            if !queue.waiting.is_empty() || queue.next_us > now_us {
                if queue.waiting.len() < QUEUE_LEN_MAX {
                    queue.waiting.push_back((announcement, lane.gap_us));
                }
                return Ok(());
            }
            queue.next_us = now_us + lane.gap_us;
        }
        self.send(announcement)
    }

    /// When a queued announcement is due.
    pub fn next_deadline_us(&self) -> Option<u64> {
        self.queues.values().filter(|queue| !queue.waiting.is_empty()).map(|q| q.next_us).min()
    }

    /// Sends what is due. Errors only mean that the interface is gone, which the monitor reports.
    pub fn timers(&mut self, now_us: u64) {
        let mut due = Vec::new();
        for queue in self.queues.values_mut().filter(|queue| queue.next_us <= now_us) {
            if let Some((announcement, gap_us)) = queue.waiting.pop_front() {
                queue.next_us = now_us + gap_us;
                due.push(announcement);
            }
        }
        for announcement in due {
            let _ = self.send(announcement);
        }
    }

    fn send(&mut self, announcement: Announcement) -> io::Result<()> {
        let link = self.link(announcement.ifindex)?;
        let frame: &[u8] = match announcement.address {
            IpAddr::V4(address) => &arp::gratuitous(announcement.mac, address),
            IpAddr::V6(address) => &ndisc::unsolicited(announcement.mac, address, announcement.role),
        };
        sendto(self.socket.as_raw_fd(), frame, &link, MsgFlags::empty())?;
        Ok(())
    }

    /// The packet address of an interface, as the system's own list gives it.
    fn link(&mut self, ifindex: u32) -> io::Result<LinkAddr> {
        if let Some(link) = self.links.get(&ifindex) {
            return Ok(*link);
        }
        for interface in getifaddrs()? {
            let address = interface.address.as_ref();
            if let Some(link) = address.and_then(|address| address.as_link_addr()) {
                self.links.insert(link.ifindex() as u32, *link);
            }
        }
        self.links.get(&ifindex).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
