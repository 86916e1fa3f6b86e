//! Lines to a UDP receiver, each a datagram of its own, with as few passes through the kernel as can be.
//!
//! A datagram costs the sender far more than its bytes: route, buffer, queue discipline and, on the same machine, the
//! receiver's half of the way. Lines of equal length that follow one another, as access logs have them under load, are
//! handed over as one buffer that the kernel cuts into datagrams (`UDP_SEGMENT`, udp(7)); the receiver sees no
//! difference. Everything else goes out by `sendmmsg(2)`. Order is kept.

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg, sendmsg};

/// Datagrams handed to the kernel by one `sendmmsg`.
pub(super) const BATCH: usize = 32;

/// Fewer equal lines than this are not worth a call of their own.
const RUN_MIN: usize = 4;

/// Segments that every kernel with `UDP_SEGMENT` takes (`UDP_MAX_SEGMENTS` before Linux 6.7).
const RUN_MAX: usize = 64;

/// Bytes of one run: below the largest IPv4 datagram.
const RUN_BYTES_MAX: usize = 60_000;

/// Longest line that is sent as a segment: what fits any IPv6 link, since a segment is never fragmented.
const SEGMENT_MAX: usize = 1_232;

/// The receiver and the socket to reach it.
#[derive(Debug)]
pub(super) struct Datagrams {
    socket: UdpSocket,
    to: SocketAddr,
    /// Cleared for good when the kernel or the way to the receiver does not take segments.
    segments: AtomicBool,
}

impl Datagrams {
    pub(super) fn open(to: SocketAddr) -> io::Result<Self> {
        let local: SocketAddr =
            if to.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
        let socket = UdpSocket::bind(local)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, to, segments: AtomicBool::new(true) })
    }

    pub(super) fn send(&self, line: &[u8]) -> io::Result<()> {
        self.socket.send_to(line, self.to).map(drop)
    }

    /// Sends the lines that stand one after the other in `bytes` and end at `ends`; gives how many the kernel took.
    pub(super) fn send_all(&self, bytes: &[u8], ends: &[usize]) -> usize {
        let mut sent = 0;
        let mut singles = 0..0;
        while let Some(rest) = ends.get(singles.end..).filter(|rest| !rest.is_empty()) {
            let start = line_start(ends, singles.end);
            let run = self.run(start, rest);
            if run < RUN_MIN {
                singles.end += run.max(1);
                continue;
            }
            sent += self.send_singles(bytes, ends, singles.clone());
            let lines = singles.end..singles.end + run;
            sent += self.send_run(bytes, ends, lines.clone());
            singles = lines.end..lines.end;
        }
        sent + self.send_singles(bytes, ends, singles)
    }

    /// How many of the lines that begin at `start` and end at `ends` make one run: equal lengths, the last may be shorter.
    fn run(&self, start: usize, ends: &[usize]) -> usize {
        let length = ends.first().map_or(0, |end| end.saturating_sub(start));
        if length == 0 || length > SEGMENT_MAX || !self.segments.load(Relaxed) {
            return 1;
        }
        let most = RUN_MAX.min(RUN_BYTES_MAX / length);
        let mut expected = start;
        let equal = ends
            .iter()
            .take(most)
            .take_while(|end| {
                expected += length;
                **end == expected
            })
            .count();
        let last = ends.get(equal.wrapping_sub(1)).copied().unwrap_or(start);
        let shorter = ends.get(equal).is_some_and(|end| *end > last && *end < last + length);
        if shorter && equal < most { equal + 1 } else { equal }
    }

    /// One run as one buffer; as single datagrams when the kernel cannot cut it.
    fn send_run(&self, bytes: &[u8], ends: &[usize], lines: Range<usize>) -> usize {
        let start = line_start(ends, lines.start);
        let length = ends.get(lines.start).map_or(0, |end| end.saturating_sub(start));
        let end = line_start(ends, lines.end);
        let Ok(size) = u16::try_from(length) else { return self.send_singles(bytes, ends, lines) };
        let slice = [IoSlice::new(bytes.get(start..end).unwrap_or_default())];
        let control = [ControlMessage::UdpGsoSegments(&size)];
        let address = SockaddrStorage::from(self.to);
        match sendmsg(self.socket.as_raw_fd(), &slice, &control, send_flags(), Some(&address)) {
            Ok(_) => lines.len(),
            Err(Errno::EINVAL | Errno::EIO | Errno::EMSGSIZE | Errno::EOPNOTSUPP | Errno::ENOPROTOOPT) => {
                self.segments.store(false, Relaxed);
                self.send_singles(bytes, ends, lines)
            }
            Err(_) => 0,
        }
    }

    fn send_singles(&self, bytes: &[u8], ends: &[usize], lines: Range<usize>) -> usize {
        let mut sent = 0;
        let mut at = lines.start;
        while at < lines.end {
            let batch = at..lines.end.min(at + BATCH);
            at = batch.end;
            sent += self.send_batch(bytes, ends, batch);
        }
        sent
    }

    fn send_batch(&self, bytes: &[u8], ends: &[usize], lines: Range<usize>) -> usize {
        let line = |n: usize| bytes.get(line_start(ends, n)..line_start(ends, n + 1)).unwrap_or_default();
        if lines.len() == 1 {
            return usize::from(self.send(line(lines.start)).is_ok());
        }
        let mut batch: [[IoSlice<'_>; 1]; BATCH] = std::array::from_fn(|_| [IoSlice::new(&[])]);
        for (slot, n) in batch.iter_mut().zip(lines.clone()) {
            *slot = [IoSlice::new(line(n))];
        }
        let batch = batch.get(..lines.len()).unwrap_or_default();
        let addresses = [Some(SockaddrStorage::from(self.to)); BATCH];
        let mut headers = MultiHeaders::preallocate(batch.len(), None);
        match sendmmsg(self.socket.as_raw_fd(), &mut headers, batch, addresses, [], send_flags()) {
            Ok(results) => results.count(),
            Err(_) => 0,
        }
    }
}

fn send_flags() -> MsgFlags {
    MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL
}

/// Where line `n` begins: at the end of the one before it.
fn line_start(ends: &[usize], n: usize) -> usize {
    n.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Sends `lines` and reads as many datagrams as were taken.
    fn round_trip(datagrams: &Datagrams, receiver: &UdpSocket, lines: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let ends: Vec<usize> = lines
            .iter()
            .scan(0, |end, line| {
                *end += line.len();
                Some(*end)
            })
            .collect();
        let sent = datagrams.send_all(&lines.concat(), &ends);
        let mut buffer = [0; 2_000];
        (0..sent)
            .map(|_| {
                let n = receiver.recv(&mut buffer).unwrap();
                buffer[..n].to_vec()
            })
            .collect()
    }

    fn pair() -> (Datagrams, UdpSocket) {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
        (Datagrams::open(receiver.local_addr().unwrap()).unwrap(), receiver)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Runs, breaks between them, shorter last lines and lines too long for a segment.
        #[test]
        fn every_line_arrives_as_its_own_datagram_in_order(
            lengths in prop::collection::vec((prop_oneof![1usize..6, Just(40usize), 1_200usize..1_300], 1usize..9), 1..16),
        ) {
            let lines: Vec<Vec<u8>> = lengths
                .into_iter()
                .flat_map(|(length, times)| std::iter::repeat_n(length, times))
                .enumerate()
                .map(|(n, length)| vec![n as u8; length])
                .collect();
            let (datagrams, receiver) = pair();
            prop_assert_eq!(round_trip(&datagrams, &receiver, &lines), lines);
            prop_assert!(datagrams.segments.load(Relaxed));
        }
    }

    #[test]
    fn more_equal_lines_than_one_run_takes() {
        let (datagrams, receiver) = pair();
        let lines: Vec<Vec<u8>> = (0..150u8).map(|n| vec![n; 20]).collect();
        assert_eq!(round_trip(&datagrams, &receiver, &lines), lines);
    }

    #[test]
    fn a_way_without_segments_takes_single_datagrams() {
        let (datagrams, receiver) = pair();
        datagrams.segments.store(false, Relaxed);
        let lines: Vec<Vec<u8>> = (0..40u8).map(|n| vec![n; 20]).collect();
        assert_eq!(round_trip(&datagrams, &receiver, &lines), lines);
    }
}
