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
use crate::model::AddressSpec;
use crate::net::{Channel, transmit::Envelope};
use crate::runtime::instance::Identity;
use crate::vrrp::Legacy;

/// Bytes of one record at most: about three thousand addresses. The file is sparse, what is not written costs nothing.
const HALF_BYTES: u64 = 1 << 20;
const HEAD_BYTES: u64 = 4096;
const REGION_BYTES: u64 = HEAD_BYTES + 2 * HALF_BYTES;
/// Instances that can be recorded: 255 VRIDs of two families on many interfaces.
const REGIONS_MAX: usize = 8192;
/// The region after all instances: what was changed on the machine for all of them.
const HOST_REGION: usize = REGIONS_MAX;

/// One instance as its worker knew it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// For log lines.
    pub name: String,
    /// Which instance.
    pub identity: Identity,
    /// What the next worker goes on with.
    pub legacy: Legacy,
    /// What the supervisor does if there is no next worker.
    pub farewell: Farewell,
}

/// How to give up an instance without knowing anything of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Farewell {
    /// Where adverts leave; none without an interface.
    pub channel: Option<Channel>,
    /// Adverts of priority 0, ready to be sent.
    pub adverts: Vec<(Envelope, Vec<u8>)>,
    /// Addresses and the index of the interface that each is on.
    pub addresses: Vec<(u32, AddressSpec)>,
    /// Netlink requests that remove rules and routes, in this order.
    pub paths: Vec<Vec<u8>>,
    /// How long the other routers may take to find a new master, microseconds.
    pub master_down_us: u64,
}

/// What was changed on the machine and does not belong to one instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRecord {
    /// Kernel switches and what they were before.
    pub sysctls: Vec<Switch>,
    /// Table of the packet filter.
    pub firewall_table: Option<String>,
    /// Indices of the vmacs.
    pub vmacs: Vec<u32>,
    /// Static addresses and the index of the interface that each is on.
    pub addresses: Vec<(u32, AddressSpec)>,
    /// Netlink requests that remove static rules and routes.
    pub paths: Vec<Vec<u8>>,
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

    /// Replaces one record.
    ///
    /// # Errors
    /// When it is too long or memory is short; the former record stays then.
    pub fn write(&self, region: usize, record: &Record) -> io::Result<()> {
        if region >= REGIONS_MAX {
            return Err(io::Error::other("too many instances to record"));
        }
        self.write_region(region, record)
    }

    /// Replaces the record of the machine.
    ///
    /// # Errors
    /// When it is too long or memory is short; the former record stays then.
    pub fn write_host(&self, record: &HostRecord) -> io::Result<()> {
        self.write_region(HOST_REGION, record)
    }

    /// The record of the machine; empty when none was written.
    pub fn read_host(&self) -> HostRecord {
        self.read_region(HOST_REGION).ok().flatten().unwrap_or_default()
    }

    fn write_region(&self, region: usize, record: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_vec(record)?;
        let len = u32::try_from(text.len()).ok().filter(|len| u64::from(*len) <= HALF_BYTES);
        let len = len.ok_or_else(|| io::Error::other("too many addresses to record"))?;
        let start = Self::start(region)?;
        let half = self.head(start)?.map_or(0, |(half, _)| 1 - half);
        self.file.write_all_at(&text, start + HEAD_BYTES + u64::from(half) * HALF_BYTES)?;
        self.write_head(start, half, len)
    }

    /// Forgets one record.
    ///
    /// # Errors
    /// When memory is short.
    pub fn clear(&self, region: usize) -> io::Result<()> {
        self.write_head(Self::start(region)?, 0, 0)
    }

    /// Says how many regions count, and whether the configuration is still that of the start.
    ///
    /// # Errors
    /// When there are too many, or memory is short.
    pub fn set_count(&self, regions: usize, reloaded: bool) -> io::Result<()> {
        Self::start(regions)?;
        self.write_head(0, u32::from(reloaded), regions as u32)
    }

    /// Whether the configuration was read again since the start.
    pub fn was_reloaded(&self) -> bool {
        matches!(self.head(0), Ok(Some((1, _))))
    }

    /// Every record that can be read.
    pub fn read(&self) -> Vec<Record> {
        let count = self.head(0).ok().flatten().map_or(0, |(_, count)| count as usize);
        (0..count.min(REGIONS_MAX)).filter_map(|region| self.read_region(region).ok().flatten()).collect()
    }

    fn read_region<T: DeserializeOwned>(&self, region: usize) -> io::Result<Option<T>> {
        let start = Self::start(region)?;
        let Some((half, len)) = self.head(start)? else { return Ok(None) };
        let mut text = vec![0; len as usize];
        self.file.read_exact_at(&mut text, start + HEAD_BYTES + u64::from(half) * HALF_BYTES)?;
        Ok(Some(serde_json::from_slice(&text)?))
    }

    /// Half and length; `None` where nothing was written.
    fn head(&self, at: u64) -> io::Result<Option<(u32, u32)>> {
        let mut head = [0; 8];
        match self.file.read_exact_at(&mut head, at) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let [a, b, c, d, e, f, g, h] = head;
        let (half, len) = (u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]));
        Ok((half <= 1 && len > 0 && u64::from(len) <= HALF_BYTES).then_some((half, len)))
    }

    fn write_head(&self, at: u64, half: u32, len: u32) -> io::Result<()> {
        let mut head = [0; 8];
        head[..4].copy_from_slice(&half.to_ne_bytes());
        head[4..].copy_from_slice(&len.to_ne_bytes());
        self.file.write_all_at(&head, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Family;
    use crate::vrrp::{Effect, State, Tracker};

    fn record(vrid: u8, addresses: usize) -> Record {
        let spec = AddressSpec::new("10.0.0.1".parse().unwrap(), 24);
        Record {
            name: format!("VI_{vrid}"),
            identity: Identity { vrid, family: Family::V4, interface: Some("eth0".into()), vmac: None },
            legacy: Legacy {
                steering: Default::default(),
                state: State::Master,
                since_us: 7,
                master_interval_us: 1_000_000,
                holds_addresses: true,
                release_us: None,
                effects: vec![(Tracker::Script("check".into()), Effect::Weight(-20))],
            },
            farewell: Farewell { addresses: vec![(2, spec); addresses], ..Farewell::default() },
        }
    }

    #[test]
    fn the_last_record_of_each_region_is_read_back_by_another_owner() {
        let board = Board::new().unwrap();
        let other = board.try_clone().unwrap();
        assert_eq!(other.read(), []);
        board.set_count(2, false).unwrap();
        board.write(1, &record(9, 1)).unwrap();
        assert_eq!(other.read(), [record(9, 1)]);
        for addresses in 0..5 {
            board.write(0, &record(1, addresses)).unwrap();
        }
        assert_eq!(other.read(), [record(1, 4), record(9, 1)]);
        board.clear(1).unwrap();
        assert_eq!(other.read(), [record(1, 4)]);
        assert!(!other.was_reloaded());
        board.set_count(1, true).unwrap();
        assert!(other.was_reloaded());
    }

    #[test]
    fn a_record_that_is_too_long_leaves_the_former() {
        let board = Board::new().unwrap();
        board.set_count(1, false).unwrap();
        board.write(0, &record(1, 1)).unwrap();
        assert!(board.write(0, &record(1, 10_000)).is_err());
        assert_eq!(board.read(), [record(1, 1)]);
    }

    #[test]
    fn a_death_between_the_two_writes_leaves_the_former_record() {
        let board = Board::new().unwrap();
        board.set_count(1, false).unwrap();
        board.write(0, &record(1, 1)).unwrap();
        let start = Board::start(0).unwrap();
        let unused = 1 - board.head(start).unwrap().unwrap().0;
        board.file.write_all_at(b"{\"half", start + HEAD_BYTES + u64::from(unused) * HALF_BYTES).unwrap();
        assert_eq!(board.read(), [record(1, 1)]);
    }
}
