//! The end without a worker: priority 0 for every master, a wait until its new master speaks, then everything of ours off
//! the machine, with plain system calls and nothing of what made the worker die. All memory was taken at the start.

use std::{
    ffi::OsStr,
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6},
    os::fd::AsRawFd,
    os::unix::ffi::OsStrExt as _,
};

use hacore::time::{monotonic_us, wall_us};
use nix::{
    errno::Errno,
    libc::MSG_DONTROUTE,
    sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
    sys::socket::{SockaddrStorage, recvfrom},
};
use socket2::Socket;

use crate::logging::Log;
use crate::net::socket::{self, Place};
use crate::netlink::plain::{self, Part};
use crate::packet::{PRIORITY_STOP, ah, receive};

use super::record::{Board, REGIONS_MAX, WILL_BYTES_MAX};
use super::will::{self, Item, Renewal};

/// The new master's addresses are there a moment after its first advert, microseconds.
const OVERLAP_US: u64 = 5_000;
/// The worker may have used numbers a little ahead of the clock since it wrote its record.
const SEQUENCE_MARGIN_US: u64 = 1_000_000;
/// How often a wish for the end at once is looked for, milliseconds.
const ASKED_EVERY_MS: u64 = 50;
/// Largest packet that is read; the head of an advert is enough.
const READ_LEN: usize = 512;
/// Largest advert that is sent: with IPv4 header, authentication header and trailer.
const PACKET_LEN_MAX: usize = receive::ADVERT_LEN_MAX + 60 + 24;
/// Places that are listened at; instances elsewhere wait the whole time.
const EARS_MAX: usize = 256;
/// Adverts that are read in a row before the time counts again.
const BATCH_MAX: usize = 64;

/// The memory of a farewell, taken at the start. What is not needed is never touched.
#[derive(Debug)]
pub struct Reserve {
    will: Vec<u8>,
    packet: Vec<u8>,
    pending: Vec<Pending>,
    ears: Vec<(Place, Socket)>,
    board: Board,
}

impl Reserve {
    /// For the wills on this board.
    pub fn new(board: Board) -> Self {
        Reserve {
            will: vec![0; WILL_BYTES_MAX],
            packet: vec![0; PACKET_LEN_MAX],
            pending: Vec::with_capacity(REGIONS_MAX),
            ears: Vec::with_capacity(EARS_MAX),
            board,
        }
    }

    /// Gives up every instance that still holds its addresses: says so, keeps them until the new master was heard (at most
    /// the time in which there must be one), and removes them with their routes and rules. Then goes what was changed on
    /// the machine: static addresses, packet filter, vmacs, switches. `asked_to_end` cuts the wait short.
    pub fn say_farewell(&mut self, log: &Log, asked_to_end: impl FnMut() -> bool) {
        self.pending.clear();
        self.ears.clear();
        // Ears before mouths: the answer to a good-bye may come at once.
        for region in 0..self.board.count() {
            self.note(region, log);
        }
        for index in 0..self.pending.len() {
            self.take_leave(index, log);
        }
        self.release(log, asked_to_end);
        if let Some(will) = self.board.read_host_will(&mut self.will) {
            carry_out(will, log);
        }
    }

    /// Notes an instance that holds its addresses, and listens where its new master will speak.
    fn note(&mut self, region: usize, log: &Log) {
        let Some(will) = self.board.read_will(region, &mut self.will) else { return };
        let mut items = will::items(will);
        let Some(Item::Holder { vrid, master_down_us, .. }) = items.next() else { return };
        let mut pending = Pending { region, vrid, ear: None, own: None, until_us: monotonic_us() };
        for item in items {
            match item {
                Item::Place(place) => pending.ear = ear(&mut self.ears, place, log),
                // Without an advert nobody knows that we leave, and nobody will answer.
                Item::Advert { source, .. } => {
                    pending.own = Some(source);
                    pending.until_us = monotonic_us() + master_down_us;
                }
                _ => {}
            }
        }
        if self.pending.len() < self.pending.capacity() {
            self.pending.push(pending);
        }
    }

    /// Says that nobody is left, on the wire and in the log.
    fn take_leave(&mut self, index: usize, log: &Log) {
        let Some(region) = self.pending.get(index).map(|pending| pending.region) else { return };
        let Some(will) = self.board.read_will(region, &mut self.will) else { return };
        let (mut name, mut place) = ("", None);
        for item in will::items(will) {
            match item {
                Item::Holder { name: own, .. } => {
                    name = own;
                    log.say(format_args!(
                        "({name}) nobody is left to hold the addresses: sent 0 priority, removing VIPs."
                    ));
                }
                Item::Place(found) => place = Some(found),
                Item::Advert { source, destination, renewal, packet } => {
                    let Some(place) = place else { continue };
                    let Some(copy) = self.packet.get_mut(..packet.len()) else { continue };
                    copy.copy_from_slice(packet);
                    renew(renewal, source, destination, copy);
                    if let Err(error) = send(&place, source, destination, copy) {
                        log.say(format_args!("({name}) send advert error ({})", code(&error)));
                    }
                }
                _ => {}
            }
        }
    }

    fn release(&mut self, log: &Log, mut asked_to_end: impl FnMut() -> bool) {
        let poller = poller(&self.ears);
        while !self.pending.is_empty() {
            let now_us = monotonic_us();
            let at_once = asked_to_end();
            let (board, buffer) = (&self.board, &mut self.will);
            self.pending.retain(|instance| {
                let over = at_once || instance.until_us <= now_us;
                if let (true, Some(will)) = (over, board.read_will(instance.region, buffer)) {
                    carry_out(will, log);
                }
                !over
            });
            let Some(next_us) = self.pending.iter().map(|instance| instance.until_us).min() else { return };
            let wait_ms = next_us.saturating_sub(now_us).div_ceil(1000).min(ASKED_EVERY_MS);
            self.listen(poller.as_ref(), wait_ms as u16);
        }
    }

    /// Hears adverts that arrive within the time; unchecked, because all that a forged one wins is an earlier end.
    fn listen(&mut self, poller: Option<&Epoll>, wait_ms: u16) {
        let mut events = [EpollEvent::empty(); 16];
        let found = match poller {
            Some(poller) => poller.wait(&mut events, EpollTimeout::from(wait_ms)),
            None => Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)
                .and_then(|nothing| nothing.wait(&mut events, EpollTimeout::from(wait_ms))),
        };
        for event in events.iter().take(found.unwrap_or(0)) {
            let ear = event.data() as usize;
            let Some((place, socket)) = self.ears.get(ear) else { continue };
            for _ in 0..BATCH_MAX {
                let Ok(heard) = read(place, socket) else { break };
                let heard_us = monotonic_us();
                for instance in &mut self.pending {
                    if heard.is_some_and(|heard| instance.is_succeeded_by(ear, heard)) {
                        instance.until_us = instance.until_us.min(heard_us + OVERLAP_US);
                    }
                }
            }
        }
    }
}

/// An instance whose addresses are still there.
#[derive(Debug)]
struct Pending {
    region: usize,
    vrid: u8,
    /// Where its new master will be heard.
    ear: Option<usize>,
    /// From where it sent its own adverts.
    own: Option<IpAddr>,
    /// When they go, monotonic microseconds.
    until_us: u64,
}

impl Pending {
    /// Whether this is the advert of the new master.
    fn is_succeeded_by(&self, ear: usize, (source, vrid, priority): Heard) -> bool {
        self.ear == Some(ear)
            && self.vrid == vrid
            && priority != PRIORITY_STOP
            && self.own.is_some()
            && self.own != Some(source)
    }
}

/// What was heard: from whom, which virtual router, with which priority.
type Heard = (IpAddr, u8, u8);

/// The place's ear, which is opened if there is none yet.
fn ear(ears: &mut Vec<(Place, Socket)>, place: Place, log: &Log) -> Option<usize> {
    if let Some(known) = ears.iter().position(|(known, _)| *known == place) {
        return Some(known);
    }
    if ears.len() == ears.capacity() {
        return None;
    }
    match socket::open_receiving(&place, None) {
        Ok(socket) => ears.push((place, socket)),
        // Then the whole time is waited.
        Err(error) => {
            log.say(format_args!("cannot listen for the new master of {}: {}", place.address, code(&error)));
            return None;
        }
    }
    Some(ears.len() - 1)
}

fn poller(ears: &[(Place, Socket)]) -> Option<Epoll> {
    let poller = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).ok()?;
    for (index, (_, socket)) in ears.iter().enumerate() {
        // One that cannot be added is not heard, and its instances wait the whole time.
        let _ = poller.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, index as u64));
    }
    Some(poller)
}

/// One packet; `Ok(None)` when it is no advert.
fn read(place: &Place, socket: &Socket) -> Result<Option<Heard>, Errno> {
    let mut buffer = [0; READ_LEN];
    let (len, from) = loop {
        // A longer packet is cut, and its head is all we want.
        match recvfrom::<SockaddrStorage>(socket.as_raw_fd(), &mut buffer) {
            Err(Errno::EINTR) => {}
            received => break received?,
        }
    };
    Ok(heard(place, buffer.get(..len).unwrap_or_default(), from))
}

fn heard(place: &Place, bytes: &[u8], from: Option<SockaddrStorage>) -> Option<Heard> {
    let source = match place.address {
        IpAddr::V4(_) => IpAddr::from(<[u8; 4]>::try_from(bytes.get(12..16)?).map(Ipv4Addr::from).ok()?),
        IpAddr::V6(_) => IpAddr::V6(from?.as_sockaddr_in6()?.ip()),
    };
    let (vrid, priority) = receive::peek_election(bytes, source)?;
    Some((source, vrid, priority))
}

/// Makes an advert of long ago one of now.
fn renew(renewal: Renewal, source: IpAddr, destination: IpAddr, packet: &mut [u8]) {
    match renewal {
        Renewal::None => {}
        Renewal::Header(seal) => ah::reseal(packet, seal.renewed(farewell_sequence())),
        Renewal::Trailer(signer) => {
            let signer = signer.renewed(wall_us() + SEQUENCE_MARGIN_US);
            signer.sign_in_place(source, destination, packet);
        }
    }
}

/// Above any sequence number that the worker may have used since it wrote its record: those follow the clock.
fn farewell_sequence() -> u32 {
    const MARGIN_S: u64 = 60;
    u32::try_from(wall_us() / 1_000_000 + MARGIN_S).unwrap_or(u32::MAX)
}

fn send(place: &Place, source: IpAddr, destination: IpAddr, packet: &[u8]) -> io::Result<()> {
    let socket = socket::open_sending(place)?;
    let flags = if destination.is_multicast() { MSG_DONTROUTE } else { 0 };
    let to = match (source, destination) {
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            // The source is chosen by binding: a control message would take memory.
            socket.set_freebind_v6(true)?;
            socket.bind(&SocketAddrV6::new(source, 0, 0, place.ifindex).into())?;
            SocketAddrV6::new(destination, 0, 0, place.ifindex).into()
        }
        _ => SocketAddr::new(destination, 0),
    };
    socket.send_to_with_flags(packet, &to.into(), flags).map(drop)
}

/// Removes and puts back what a will names, in its order.
fn carry_out(will: &[u8], log: &Log) {
    let mut owner = "host";
    for item in will::items(will) {
        let done = match item {
            Item::Holder { name, .. } => {
                owner = name;
                Ok(())
            }
            Item::RouteRemoval(request) => plain::remove(Part::Route, request),
            Item::FilterRemoval(request) => plain::remove(Part::Netfilter, request),
            Item::Switch { path, value } => {
                // The interface may be gone.
                let _ = put_back(path, value);
                Ok(())
            }
            Item::Place(_) | Item::Advert { .. } => Ok(()),
        };
        if let Err(error) = done {
            log.say(format_args!("({owner}) cannot be removed: {error}"));
        }
    }
}

fn put_back(path: &[u8], value: &[u8]) -> io::Result<()> {
    std::fs::File::options().write(true).open(OsStr::from_bytes(path))?.write_all(value)
}

/// An error's number in words; its own text would take memory.
pub(super) fn code(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)
}
