//! Pattern and map files: one list of entries per path, shared by all that use it, changeable at run time.
//!
//! `virt@name` has no file behind it; `opt@path` may be missing. What this module does not do: read files (the
//! loader does) or match (each user compiles the entries for its own method).

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};

use super::scope::{FileLoader, LoadError};

/// One line of a file: the pattern, and for maps what it maps to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternEntry {
    pub key: Box<[u8]>,
    /// Empty for plain pattern files.
    pub value: Box<[u8]>,
    /// Line in the file, 0 when it was added at run time.
    pub line: u32,
    /// The unique number by which the runtime API names it (`#0x10`).
    pub id: u64,
}

impl PatternEntry {
    /// An entry with a number of its own.
    pub fn new(key: impl Into<Box<[u8]>>, value: impl Into<Box<[u8]>>, line: u32) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = 0x1000 + NEXT.fetch_add(1, Ordering::Relaxed) * 16;
        Self { key: key.into(), value: value.into(), line, id }
    }
}

/// What somebody who matches by a file's entries says about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The matching method.
    pub method: &'static str,
    pub ignores_case: bool,
    /// The index of the entry that matches.
    pub found: Option<usize>,
}

/// Something compiled from a file's entries that must be compiled again when they change.
pub trait Recompile: Send + Sync {
    fn recompile(&self, entries: &[PatternEntry]) -> Result<(), String>;

    /// Looks a key up as a request would (`get map`, `get acl`).
    fn look_up(&self, key: &str) -> Look;
}

/// Entries that a later `commit` puts in force.
#[derive(Debug, Default)]
struct Versions {
    current: u32,
    /// The last one that `prepare` gave.
    next: u32,
    pending: BTreeMap<u32, Vec<PatternEntry>>,
}

/// Versions that wait for their `commit`; a client that forgets them must not fill the memory.
const PENDING_MAX: usize = 16;

/// Why a version cannot be used; in HAProxy's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    #[error("Version number out of range.")]
    OutOfRange,
    #[error("Version number in the future, please use 'prepare' before.")]
    Future,
    #[error("Too many versions wait for their commit.")]
    TooMany,
}

/// The entries of one file.
pub struct PatternFile {
    /// The unique number by which the runtime API names it (`#3`).
    pub id: u32,
    /// The path as written, with its `virt@`, `opt@` or `file@`.
    pub name: Box<str>,
    /// Lines are `key value`.
    pub is_map: bool,
    entries: RwLock<Vec<PatternEntry>>,
    users: Mutex<Vec<Weak<dyn Recompile>>>,
    generation: AtomicU64,
    versions: Mutex<Versions>,
    /// The entries as the file had them, to tell at a reload whether it is another file now.
    loaded: u64,
}

impl std::fmt::Debug for PatternFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PatternFile({})", self.name)
    }
}

impl PatternFile {
    /// The most entries; a line is at least two bytes, so this is some tens of megabytes of text.
    pub const ENTRIES_MAX: usize = 10_000_000;

    fn new(id: u32, name: &str, is_map: bool, entries: Vec<PatternEntry>) -> Self {
        Self {
            loaded: fingerprint(&entries),
            versions: Mutex::default(),
            id,
            name: name.into(),
            is_map,
            entries: RwLock::new(entries),
            users: Mutex::new(Vec::new()),
            generation: AtomicU64::new(0),
        }
    }

    /// A copy of the entries, in order.
    pub fn entries(&self) -> Vec<PatternEntry> {
        self.entries.read().clone()
    }

    pub fn len(&self) -> usize {
        self.entries.read().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes over what was changed at run time since `old`, the same file in an earlier configuration, was read; not if
    /// the file itself is another one now.
    pub fn inherit(&self, old: &PatternFile) {
        if old.generation() > 0 && old.loaded == self.loaded && old.is_map == self.is_map {
            let entries = old.entries();
            // The users may be others than before; what they refuse stays as the file has it.
            let _ = self.update(|now| *now = entries);
        }
    }

    /// The version in force, and the last one that was prepared.
    pub fn versions(&self) -> (u32, u32) {
        let versions = self.versions.lock();
        (versions.current, versions.next)
    }

    /// `prepare map`: a new, empty version.
    pub fn prepare(&self) -> Result<u32, VersionError> {
        let mut versions = self.versions.lock();
        if versions.pending.len() >= PENDING_MAX {
            return Err(VersionError::TooMany);
        }
        versions.next = versions.next.wrapping_add(1);
        let next = versions.next;
        versions.pending.insert(next, Vec::new());
        Ok(next)
    }

    /// The entries of a version that waits, or of the one in force.
    pub fn entries_of(&self, version: u32) -> Vec<PatternEntry> {
        let versions = self.versions.lock();
        if version == versions.current {
            drop(versions);
            return self.entries();
        }
        versions.pending.get(&version).cloned().unwrap_or_default()
    }

    /// Changes a version that waits, or the one in force.
    pub fn update_version(
        &self,
        version: u32,
        change: impl FnOnce(&mut Vec<PatternEntry>),
    ) -> Result<(), String> {
        let mut versions = self.versions.lock();
        if version == versions.current {
            drop(versions);
            return self.update(change);
        }
        let pending = versions.pending.get_mut(&version);
        change(pending.ok_or_else(|| VersionError::Future.to_string())?);
        Ok(())
    }

    /// `commit map`: the version is in force, all before it are gone.
    pub fn commit(&self, version: u32) -> Result<(), String> {
        let mut versions = self.versions.lock();
        let pending = versions.pending.get(&version);
        let entries = pending.cloned().ok_or_else(|| VersionError::OutOfRange.to_string())?;
        self.update(|now| *now = entries)?;
        versions.current = version;
        versions.pending.retain(|other, _| *other > version);
        Ok(())
    }

    /// What each user says about a key.
    pub fn look_up(&self, key: &str) -> Vec<Look> {
        let users: Vec<Arc<dyn Recompile>> = self.users.lock().iter().filter_map(Weak::upgrade).collect();
        users.iter().map(|user| user.look_up(key)).collect()
    }

    /// Counts the changes since the load.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Compiles `user` from the entries, and again after every change while it lives.
    pub fn attach(&self, user: &Arc<dyn Recompile>) -> Result<(), String> {
        user.recompile(&self.entries.read())?;
        self.users.lock().push(Arc::downgrade(user));
        Ok(())
    }

    /// Changes the entries and compiles all users again; nothing changes when one of them refuses.
    pub fn update(&self, change: impl FnOnce(&mut Vec<PatternEntry>)) -> Result<(), String> {
        let mut entries = self.entries.write();
        let before = entries.clone();
        change(&mut entries);
        let users: Vec<Arc<dyn Recompile>> = self.users.lock().iter().filter_map(Weak::upgrade).collect();
        for user in &users {
            if let Err(error) = user.recompile(&entries) {
                *entries = before;
                for user in &users {
                    let _ = user.recompile(&entries);
                }
                return Err(error);
            }
        }
        self.generation.fetch_add(1, Ordering::Release);
        Ok(())
    }
}

fn fingerprint(entries: &[PatternEntry]) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    for entry in entries {
        (&entry.key, &entry.value).hash(&mut hasher);
    }
    hasher.finish()
}

/// All pattern files of one load, by name. Two of them count as equal: what configurations say about them is in their
/// expressions.
#[derive(Debug, Default)]
pub struct PatternFiles {
    files: Mutex<HashMap<String, Arc<PatternFile>>>,
}

impl PatternFiles {
    /// The file of this name, read on first use.
    pub fn open(
        &self,
        name: &str,
        is_map: bool,
        loader: &dyn FileLoader,
    ) -> Result<Arc<PatternFile>, LoadError> {
        let mut files = self.files.lock();
        if let Some(file) = files.get(name) {
            return Ok(Arc::clone(file));
        }
        let entries = read_entries(name, is_map, loader)?;
        let file = Arc::new(PatternFile::new(files.len() as u32, name, is_map, entries));
        files.insert(name.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    /// Takes over what was changed at run time in the files of an earlier configuration.
    pub fn inherit(&self, old: &PatternFiles) {
        for file in self.all() {
            let known = old.files.lock().get(&*file.name).cloned();
            if let Some(known) = known {
                file.inherit(&known);
            }
        }
    }

    /// Names of the files that both have and that say something else than they did for `old`.
    pub fn edited_since(&self, old: &PatternFiles) -> Vec<String> {
        let is_edited = |file: &Arc<PatternFile>| {
            let known = old.files.lock().get(&*file.name).cloned();
            known.is_some_and(|known| known.loaded != file.loaded)
        };
        self.all().into_iter().filter(is_edited).map(|file| file.name.to_string()).collect()
    }

    /// All files, by id.
    pub fn all(&self) -> Vec<Arc<PatternFile>> {
        let mut all: Vec<_> = self.files.lock().values().cloned().collect();
        all.sort_by_key(|file| file.id);
        all
    }
}

fn read_entries(name: &str, is_map: bool, loader: &dyn FileLoader) -> Result<Vec<PatternEntry>, LoadError> {
    if name.starts_with("virt@") {
        return Ok(Vec::new());
    }
    if let Some(path) = name.strip_prefix("opt@") {
        return match loader.load(path) {
            Ok(text) => parse_entries(path, &text, is_map),
            Err(LoadError::Open { .. }) => Ok(Vec::new()),
            Err(other) => Err(other),
        };
    }
    let path = name.strip_prefix("file@").unwrap_or(name);
    parse_entries(path, &loader.load(path)?, is_map)
}

/// Lines without leading blanks and trailing line end; empty ones and those that begin with `#` are left out.
fn parse_entries(path: &str, text: &[u8], is_map: bool) -> Result<Vec<PatternEntry>, LoadError> {
    let mut entries = Vec::new();
    for (index, line) in text.split(|b| *b == b'\n').enumerate() {
        if line.first() == Some(&b'#') {
            continue;
        }
        let blanks = line.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
        let line = line.get(blanks..).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let (key, value) = if is_map { split_map_line(line) } else { (line, &b""[..]) };
        if entries.len() >= PatternFile::ENTRIES_MAX {
            return Err(LoadError::TooLong { path: path.to_owned(), limit: PatternFile::ENTRIES_MAX });
        }
        entries.push(PatternEntry::new(key, value, index as u32 + 1));
    }
    Ok(entries)
}

fn split_map_line(line: &[u8]) -> (&[u8], &[u8]) {
    let is_blank = |b: &u8| matches!(b, b' ' | b'\t');
    let end = line.iter().position(is_blank).unwrap_or(line.len());
    let (key, rest) = line.split_at(end);
    let start = rest.iter().position(|b| !is_blank(b)).unwrap_or(rest.len());
    let value = rest.get(start..).unwrap_or_default();
    let end = value.iter().rposition(|b| !is_blank(b)).map_or(0, |last| last + 1);
    (key, value.get(..end).unwrap_or_default())
}

impl PartialEq for PatternFiles {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
