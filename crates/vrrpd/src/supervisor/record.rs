//! What the worker writes down at every change, for whoever comes after its death: the next worker, which adopts it, or
//! the supervisor, which says good-bye in its place.
//!
//! A memory file that all processes inherit: one region an instance, each with two halves. A record is written to the
//! half that is not in use and then named in the region's head with one small write, so that a death in between leaves
//! the former record.

use std::{fs::File, io, os::unix::fs::FileExt};

use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::host::sysctl::Switch;
use crate::runtime::instance::Identity;
use crate::vrrp::Legacy;

use super::will::Will;

/// Bytes of one record with its will. The file is sparse, what is not written costs nothing.
const HALF_BYTES: u64 = 1 << 20;
/// Where the will begins: behind the longest record.
const WILL_AT: u64 = HALF_BYTES - WILL_BYTES_MAX as u64;
/// Bytes of one will at most: about ten thousand addresses.
pub const WILL_BYTES_MAX: usize = 3 << 18;
/// Bytes of a configuration's text at most.
const CONFIGURATION_BYTES_MAX: u64 = 1 << 28;
const HEAD_BYTES: u64 = 4096;
const REGION_BYTES: u64 = HEAD_BYTES + 2 * HALF_BYTES;
/// Instances that can be recorded: 255 VRIDs of two families on many interfaces.
pub const REGIONS_MAX: usize = 8192;
/// The region after all instances: what was changed on the machine for all of them.
const HOST_REGION: usize = REGIONS_MAX;
/// Where the configuration begins: behind the last region.
const CONFIGURATION_AT: u64 = HEAD_BYTES + (REGIONS_MAX as u64 + 1) * REGION_BYTES;

/// One instance as its worker knew it, for the next worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// For log lines.
    pub name: String,
    /// Which instance.
    pub identity: Identity,
    /// What the next worker goes on with.
    pub legacy: Legacy,
}

/// What was changed on the machine and does not belong to one instance, for the next worker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRecord {
    /// Kernel switches and what they were before.
    pub sysctls: Vec<Switch>,
    /// Table of the packet filter.
    pub firewall_table: Option<String>,
}

/// The file.
#[derive(Debug)]
pub struct Board {
    file: File,
}

impl Board {
    /// An empty one.
    ///
    /// # Errors
    /// When the system has no memory files.
    pub fn new() -> io::Result<Self> {
        let file = File::from(memfd_create(c"vrrpd", MFdFlags::MFD_CLOEXEC)?);
        Ok(Board { file })
    }

    /// The same file for another owner.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Board { file: self.file.try_clone()? })
    }

    fn start(region: usize) -> io::Result<u64> {
        if region > HOST_REGION {
            return Err(io::Error::other("too many instances to record"));
        }
        // The first head is the board's own.
        Ok(HEAD_BYTES + region as u64 * REGION_BYTES)
    }

    /// Replaces one record and the will that goes with it; without a will nothing is to be done for the instance.
    ///
    /// # Errors
    /// When it is too long or memory is short; the former record stays then.
    pub fn write(&self, region: usize, record: &Record, will: &Will) -> io::Result<()> {
        if region >= REGIONS_MAX {
            return Err(io::Error::other("too many instances to record"));
        }
        self.write_region(region, record, will)
    }

    /// Replaces the record of the machine.
    ///
    /// # Errors
    /// When it is too long or memory is short; the former record stays then.
    pub fn write_host(&self, record: &HostRecord, will: &Will) -> io::Result<()> {
        self.write_region(HOST_REGION, record, will)
    }

    /// The record of the machine; empty when none was written.
    pub fn read_host(&self) -> HostRecord {
        self.read_region(HOST_REGION).ok().flatten().unwrap_or_default()
    }

    fn write_region(&self, region: usize, record: &impl Serialize, will: &Will) -> io::Result<()> {
        let text = serde_json::to_vec(record)?;
        let too_long = || io::Error::other("too many addresses to record");
        let len =
            u32::try_from(text.len()).ok().filter(|len| u64::from(*len) <= WILL_AT).ok_or_else(too_long)?;
        let will = will.bytes();
        let will_len =
            u32::try_from(will.len()).ok().filter(|_| will.len() <= WILL_BYTES_MAX).ok_or_else(too_long)?;
        let start = Self::start(region)?;
        let half = self.head(start)?.map_or(0, |head| 1 - head.half);
        let at = start + HEAD_BYTES + u64::from(half) * HALF_BYTES;
        self.file.write_all_at(&text, at)?;
        self.file.write_all_at(will, at + WILL_AT)?;
        self.write_head(start, Head { half, len, will_len })
    }

    /// Forgets one record.
    ///
    /// # Errors
    /// When memory is short.
    pub fn clear(&self, region: usize) -> io::Result<()> {
        self.write_head(Self::start(region)?, Head { half: 0, len: 0, will_len: 0 })
    }

    /// Says how many regions count.
    ///
    /// # Errors
    /// When there are too many, or memory is short.
    pub fn set_count(&self, regions: usize) -> io::Result<()> {
        Self::start(regions)?;
        self.write_head(0, Head { half: 0, len: regions as u32, will_len: 0 })
    }

    /// How many regions count.
    pub fn count(&self) -> usize {
        self.head(0).ok().flatten().map_or(0, |head| head.len as usize).min(REGIONS_MAX)
    }

    /// Every record that can be read.
    pub fn read(&self) -> Vec<Record> {
        (0..self.count()).filter_map(|region| self.read_region(region).ok().flatten()).collect()
    }

    /// The will of an instance, if it left one, in a buffer of [`WILL_BYTES_MAX`]. Takes no memory.
    pub fn read_will<'a>(&self, region: usize, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        let start = Self::start(region).ok()?;
        let head = self.head(start).ok()??;
        let will = buffer.get_mut(..head.will_len as usize)?;
        let at = start + HEAD_BYTES + u64::from(head.half) * HALF_BYTES + WILL_AT;
        self.file.read_exact_at(will, at).ok()?;
        Some(will)
    }

    /// The machine's will, in the same way.
    pub fn read_host_will<'a>(&self, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        self.read_will(HOST_REGION, buffer)
    }

    /// Replaces the text of the configuration in force, which the next worker starts with.
    ///
    /// # Errors
    /// When it is too long or memory is short; the former text stays then.
    pub fn write_configuration(&self, text: &[u8]) -> io::Result<()> {
        let len = u32::try_from(text.len()).ok().filter(|len| u64::from(*len) <= CONFIGURATION_BYTES_MAX);
        let len = len.ok_or_else(|| io::Error::other("too much configuration to keep"))?;
        let half = self.head(CONFIGURATION_AT)?.map_or(0, |head| 1 - head.half);
        self.file.write_all_at(text, Self::configuration_at(half))?;
        self.write_head(CONFIGURATION_AT, Head { half, len, will_len: 0 })
    }

    /// The text of the configuration in force.
    ///
    /// # Errors
    /// When there is none.
    pub fn read_configuration(&self) -> io::Result<Vec<u8>> {
        let head = self.head(CONFIGURATION_AT)?.ok_or(io::ErrorKind::NotFound)?;
        let mut text = vec![0; head.len as usize];
        self.file.read_exact_at(&mut text, Self::configuration_at(head.half))?;
        Ok(text)
    }

    fn configuration_at(half: u32) -> u64 {
        CONFIGURATION_AT + HEAD_BYTES + u64::from(half) * CONFIGURATION_BYTES_MAX
    }

    fn read_region<T: DeserializeOwned>(&self, region: usize) -> io::Result<Option<T>> {
        let start = Self::start(region)?;
        let Some(head) = self.head(start)? else { return Ok(None) };
        let mut text = vec![0; head.len as usize];
        self.file.read_exact_at(&mut text, start + HEAD_BYTES + u64::from(head.half) * HALF_BYTES)?;
        Ok(Some(serde_json::from_slice(&text)?))
    }

    /// `None` where nothing was written.
    fn head(&self, at: u64) -> io::Result<Option<Head>> {
        let mut head = [0; 12];
        match self.file.read_exact_at(&mut head, at) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let [a, b, c, d, e, f, g, h, i, j, k, l] = head;
        let [half, len, will_len] = [[a, b, c, d], [e, f, g, h], [i, j, k, l]].map(u32::from_ne_bytes);
        let head = Head { half, len, will_len };
        Ok((half <= 1 && len > 0 && u64::from(len) <= CONFIGURATION_BYTES_MAX).then_some(head))
    }

    fn write_head(&self, at: u64, head: Head) -> io::Result<()> {
        let mut bytes = [0; 12];
        let numbers = [head.half, head.len, head.will_len].map(u32::to_ne_bytes);
        bytes.iter_mut().zip(numbers.as_flattened()).for_each(|(to, from)| *to = *from);
        self.file.write_all_at(&bytes, at)
    }
}

/// Which half of a region counts, and how much of it.
#[derive(Debug, Clone, Copy)]
struct Head {
    half: u32,
    len: u32,
    will_len: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Family;
    use crate::vrrp::{Effect, State, Tracker};

    fn record(vrid: u8, since_us: u64) -> Record {
        Record {
            name: format!("VI_{vrid}"),
            identity: Identity { vrid, family: Family::V4, interface: Some("eth0".into()), vmac: None },
            legacy: Legacy {
                steering: Default::default(),
                state: State::Master,
                since_us,
                master_interval_us: 1_000_000,
                holds_addresses: true,
                release_us: None,
                effects: vec![(Tracker::Script("check".into()), Effect::Weight(-20))],
            },
        }
    }

    fn will(bytes: usize) -> Will {
        let mut will = Will::of_holder("VI", 1, 7);
        will.route_removal(&vec![9; bytes]);
        will
    }

    #[test]
    fn the_last_record_of_each_region_is_read_back_by_another_owner() {
        let board = Board::new().unwrap();
        let other = board.try_clone().unwrap();
        assert_eq!(other.read(), []);
        board.set_count(2).unwrap();
        board.write(1, &record(9, 1), &Will::default()).unwrap();
        assert_eq!(other.read(), [record(9, 1)]);
        let mut buffer = vec![0; WILL_BYTES_MAX];
        assert_eq!(other.read_will(1, &mut buffer), Some(&[][..]));
        for round in 0..5 {
            board.write(0, &record(1, round), &will(round as usize)).unwrap();
            assert_eq!(other.read_will(0, &mut buffer), Some(will(round as usize).bytes()));
        }
        assert_eq!(other.read(), [record(1, 4), record(9, 1)]);
        board.clear(1).unwrap();
        assert_eq!(other.read(), [record(1, 4)]);
        assert_eq!(other.read_will(1, &mut buffer), None);
    }

    #[test]
    fn a_will_that_is_too_long_leaves_the_former() {
        let board = Board::new().unwrap();
        board.set_count(1).unwrap();
        board.write(0, &record(1, 1), &will(1)).unwrap();
        assert!(board.write(0, &record(1, 2), &will(WILL_BYTES_MAX)).is_err());
        assert_eq!(board.read(), [record(1, 1)]);
        let mut buffer = vec![0; WILL_BYTES_MAX];
        assert_eq!(board.read_will(0, &mut buffer), Some(will(1).bytes()));
        // The longest that is taken.
        board.write(0, &record(1, 3), &will(WILL_BYTES_MAX - will(0).bytes().len())).unwrap();
        assert_eq!(board.read_will(0, &mut buffer).map(<[u8]>::len), Some(WILL_BYTES_MAX));
    }

    #[test]
    fn a_death_between_the_two_writes_leaves_the_former_record() {
        let board = Board::new().unwrap();
        board.set_count(1).unwrap();
        board.write(0, &record(1, 1), &Will::default()).unwrap();
        let start = Board::start(0).unwrap();
        let unused = 1 - board.head(start).unwrap().unwrap().half;
        board.file.write_all_at(b"{\"half", start + HEAD_BYTES + u64::from(unused) * HALF_BYTES).unwrap();
        assert_eq!(board.read(), [record(1, 1)]);
    }

    #[test]
    fn the_configuration_in_force_is_the_one_written_last() {
        let board = Board::new().unwrap();
        assert!(board.read_configuration().is_err());
        for text in [&b"first"[..], b"the second", b"3"] {
            board.write_configuration(text).unwrap();
            assert_eq!(board.try_clone().unwrap().read_configuration().unwrap(), text);
        }
    }
}
