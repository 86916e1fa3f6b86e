//! The header fields of one message: names, values and their order, over one reused buffer.
//!
//! A head's bytes are copied here once; fields are offsets into the copy. Added and changed fields are appended to
//! the same buffer as `name: value` lines, so that the encoder can copy runs of lines at once. Nothing is allocated
//! per message once the buffers are warm ([`HeaderList::clear`] keeps them).
//!
//! Names are kept in lower case, as HAProxy sends them. What this module does not do: know what any header means.

use thiserror::Error;

/// A change did not fit into the space that `tune.bufsize` leaves for a message's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the message head is full")]
pub struct HeadFull;

/// A range of bytes in a [`HeaderList`]'s buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Range {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Range {
    pub(crate) fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }
}

/// One field's place in the buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) name: Range,
    pub(crate) value: Range,
    /// The buffer holds exactly `name: value\r\n` from `name.start` on.
    pub(crate) canonical: bool,
}

/// One header field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// In lower case.
    pub name: &'a [u8],
    /// Without surrounding blanks if it was received, as it is if a rule wrote it; may hold any byte but CR, LF and NUL.
    pub value: &'a [u8],
}

/// The most bytes a list holds unless told otherwise: `tune.bufsize`.
pub const HEAD_BYTES_MAX: usize = 16384;

/// Ordered header fields.
#[derive(Debug, Clone)]
pub struct HeaderList {
    pub(crate) buffer: Vec<u8>,
    pub(crate) slots: Vec<Slot>,
    /// Bytes of all lines that are in the list now.
    live_bytes: usize,
    /// The most that `live_bytes` may become.
    limit_bytes: usize,
}

impl Default for HeaderList {
    fn default() -> Self {
        Self { buffer: Vec::new(), slots: Vec::new(), live_bytes: 0, limit_bytes: HEAD_BYTES_MAX }
    }
}

/// `": "` and CR LF.
const LINE_OVERHEAD: usize = 4;

impl HeaderList {
    /// Empties the list and keeps its memory.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.slots.clear();
        self.live_bytes = 0;
    }

    /// Becomes equal to another list without giving up memory.
    pub fn copy_from(&mut self, other: &HeaderList) {
        self.buffer.clone_from(&other.buffer);
        self.slots.clone_from(&other.slots);
        self.live_bytes = other.live_bytes;
    }

    /// Sets how many bytes the head may have after rules changed it (`tune.bufsize`).
    pub fn set_limit(&mut self, limit_bytes: usize) {
        self.limit_bytes = limit_bytes;
    }

    /// Allows no more than this, if that is less than before.
    pub fn lower_limit(&mut self, limit_bytes: usize) {
        self.limit_bytes = self.limit_bytes.min(limit_bytes);
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The fields in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Header<'_>> + ExactSizeIterator {
        self.slots.iter().map(|slot| self.header(slot))
    }

    /// The field at a position.
    pub fn get(&self, index: usize) -> Option<Header<'_>> {
        self.slots.get(index).map(|slot| self.header(slot))
    }

    /// The value of the first field with this name; names compare without case.
    pub fn find(&self, name: &[u8]) -> Option<&[u8]> {
        self.find_all(name).next()
    }

    /// The values of all fields with this name, whole lines, in order.
    pub fn find_all<'s, 'n>(
        &'s self,
        name: &'n [u8],
    ) -> impl DoubleEndedIterator<Item = &'s [u8]> + use<'s, 'n> {
        self.slots
            .iter()
            .filter(move |slot| {
                slot.name.len() == name.len() && self.bytes(slot.name).eq_ignore_ascii_case(name)
            })
            .map(|slot| self.bytes(slot.value))
    }

    /// The last field with this name.
    pub fn last(&self, name: &[u8]) -> Option<&[u8]> {
        self.find_all(name).next_back()
    }

    /// The position of the first field with this name at or after `from`.
    pub fn position(&self, name: &[u8], from: usize) -> Option<usize> {
        let rest = self.slots.get(from..)?;
        let found = rest.iter().position(|slot| self.bytes(slot.name).eq_ignore_ascii_case(name))?;
        Some(from + found)
    }

    pub fn contains(&self, name: &[u8]) -> bool {
        self.find(name).is_some()
    }

    /// How many fields have this name.
    pub fn count(&self, name: &[u8]) -> usize {
        self.find_all(name).count()
    }

    /// The comma-separated elements of all fields with this name, in order, without surrounding blanks.
    ///
    /// Commas within double quotes do not separate (RFC 9110 §5.6.1). Empty elements are given too, as HAProxy's
    /// `hdr()` counts them.
    pub fn values<'s, 'n>(&'s self, name: &'n [u8]) -> impl Iterator<Item = &'s [u8]> + use<'s, 'n> {
        self.find_all(name).flat_map(split_commas)
    }

    /// One whole value by occurrence as `fhdr(name,n)` counts: 1 is the first, -1 the last, 0 is the last too.
    pub fn nth(&self, name: &[u8], occurrence: i32) -> Option<&[u8]> {
        nth_of(self.find_all(name), occurrence)
    }

    /// One comma-separated element by occurrence as `hdr(name,n)` counts.
    pub fn nth_value(&self, name: &[u8], occurrence: i32) -> Option<&[u8]> {
        match occurrence {
            1.. => self.values(name).nth(occurrence as usize - 1),
            _ => {
                let count = self.values(name).count();
                let back = occurrence.unsigned_abs().max(1) as usize;
                self.values(name).nth(count.checked_sub(back)?)
            }
        }
    }

    /// Appends a field. The name is lower-cased; bytes that would end the line become blanks.
    pub fn add(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeadFull> {
        let slot = self.append_line(name, value)?;
        self.slots.push(slot);
        Ok(())
    }

    /// Inserts a field before all others (`option forwardfor` and friends append; `early-hint` needs this not).
    pub fn add_first(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeadFull> {
        let slot = self.append_line(name, value)?;
        self.slots.insert(0, slot);
        Ok(())
    }

    /// Removes all fields with this name and appends one.
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeadFull> {
        self.remove(name);
        self.add(name, value)
    }

    /// Removes all fields with this name; tells how many there were.
    pub fn remove(&mut self, name: &[u8]) -> usize {
        if !self.contains(name) {
            return 0;
        }
        self.remove_where(|header| header.name.eq_ignore_ascii_case(name))
    }

    /// Removes all fields for which `condition` holds; tells how many.
    pub fn remove_where(&mut self, mut condition: impl FnMut(Header<'_>) -> bool) -> usize {
        let Self { buffer, slots, live_bytes, .. } = self;
        let before = slots.len();
        slots.retain(|slot| {
            let header = Header { name: bytes_of(buffer, slot.name), value: bytes_of(buffer, slot.value) };
            let gone = condition(header);
            if gone {
                *live_bytes = live_bytes.saturating_sub(line_bytes(slot));
            }
            !gone
        });
        before - slots.len()
    }

    /// Removes the field at a position.
    pub fn remove_at(&mut self, index: usize) {
        if index < self.slots.len() {
            let slot = self.slots.remove(index);
            self.live_bytes = self.live_bytes.saturating_sub(line_bytes(&slot));
        }
    }

    /// Replaces the value of the field at a position and keeps its place.
    pub fn replace_value(&mut self, index: usize, value: &[u8]) -> Result<(), HeadFull> {
        let Some(old) = self.slots.get(index).copied() else { return Ok(()) };
        self.live_bytes = self.live_bytes.saturating_sub(line_bytes(&old));
        match self.append_line_with_name_at(old.name, value) {
            Ok(slot) => {
                if let Some(place) = self.slots.get_mut(index) {
                    *place = slot;
                }
                Ok(())
            }
            Err(full) => {
                self.live_bytes += line_bytes(&old);
                Err(full)
            }
        }
    }

    /// Bytes of all lines that are in the list.
    pub fn live_bytes(&self) -> usize {
        self.live_bytes
    }

    pub(crate) fn bytes(&self, range: Range) -> &[u8] {
        bytes_of(&self.buffer, range)
    }

    fn header(&self, slot: &Slot) -> Header<'_> {
        Header { name: self.bytes(slot.name), value: self.bytes(slot.value) }
    }

    /// Takes a received head's bytes; the slots that were pushed count from the first of them.
    pub(crate) fn load(&mut self, head: &[u8]) {
        self.buffer.clear();
        self.buffer.extend_from_slice(head);
    }

    /// Adds a field whose bytes are in the buffer already.
    pub(crate) fn push_slot(&mut self, slot: Slot) {
        self.live_bytes += line_bytes(&slot);
        self.slots.push(slot);
    }

    /// Appends bytes that are no field, such as a new request target.
    pub(crate) fn append_bytes(&mut self, parts: &[&[u8]]) -> Result<Range, HeadFull> {
        self.reserve(parts.iter().map(|part| part.len()).sum())?;
        let start = self.buffer.len() as u32;
        for part in parts {
            self.buffer.extend_from_slice(part);
        }
        Ok(Range { start, end: self.buffer.len() as u32 })
    }

    fn append_line(&mut self, name: &[u8], value: &[u8]) -> Result<Slot, HeadFull> {
        let room = name.len() + value.len() + LINE_OVERHEAD;
        self.account(room)?;
        let start = self.buffer.len() as u32;
        self.buffer.extend(name.iter().map(|byte| no_line_end(byte.to_ascii_lowercase())));
        Ok(self.finish_line(start, value, room))
    }

    fn append_line_with_name_at(&mut self, name: Range, value: &[u8]) -> Result<Slot, HeadFull> {
        let room = name.len() + value.len() + LINE_OVERHEAD;
        self.account(room)?;
        let start = self.buffer.len() as u32;
        if name.end as usize <= self.buffer.len() && name.start <= name.end {
            self.buffer.extend_from_within(name.start as usize..name.end as usize);
        }
        Ok(self.finish_line(start, value, room))
    }

    /// Checks that a line fits.
    fn account(&mut self, room: usize) -> Result<(), HeadFull> {
        if self.live_bytes + room > self.limit_bytes {
            return Err(HeadFull);
        }
        self.reserve(room)
    }

    /// Rules that rewrite the same field again and again leave dead bytes behind; they are bounded too.
    fn reserve(&mut self, room: usize) -> Result<(), HeadFull> {
        const DEAD_FACTOR: usize = 8;
        let limit = self.limit_bytes.saturating_mul(DEAD_FACTOR).min(u32::MAX as usize);
        if self.buffer.len() + room > limit { Err(HeadFull) } else { Ok(()) }
    }

    fn finish_line(&mut self, start: u32, value: &[u8], room: usize) -> Slot {
        let name = Range { start, end: self.buffer.len() as u32 };
        self.buffer.extend_from_slice(b": ");
        let value_start = self.buffer.len();
        self.buffer.extend_from_slice(value);
        if let Some(written) = self.buffer.get_mut(value_start..) {
            for byte in written {
                *byte = no_line_end(*byte);
            }
        }
        let value = Range { start: value_start as u32, end: self.buffer.len() as u32 };
        self.buffer.extend_from_slice(b"\r\n");
        self.live_bytes += room;
        Slot { name, value, canonical: true }
    }
}

fn bytes_of(buffer: &[u8], range: Range) -> &[u8] {
    buffer.get(range.start as usize..range.end as usize).unwrap_or_default()
}

fn line_bytes(slot: &Slot) -> usize {
    slot.name.len() + slot.value.len() + LINE_OVERHEAD
}

/// A value made by a rule must never start a new line: no response splitting from variables.
fn no_line_end(byte: u8) -> u8 {
    match byte {
        b'\r' | b'\n' | 0 => b' ',
        other => other,
    }
}

fn nth_of<'a>(mut all: impl DoubleEndedIterator<Item = &'a [u8]>, occurrence: i32) -> Option<&'a [u8]> {
    match occurrence {
        1.. => all.nth(occurrence as usize - 1),
        _ => all.nth_back(occurrence.unsigned_abs().max(1) as usize - 1),
    }
}

/// Splits a list value at commas outside double quotes and trims blanks.
pub fn split_commas(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let current = rest?;
        let end = comma(current);
        rest = end.and_then(|end| current.get(end + 1..));
        Some(trim_blanks(current.get(..end.unwrap_or(current.len())).unwrap_or_default()))
    })
}

/// The first comma outside double quotes; a backslash in quotes hides the next byte.
fn comma(value: &[u8]) -> Option<usize> {
    let first = memchr::memchr2(b',', b'"', value)?;
    if value.get(first) == Some(&b',') {
        return Some(first);
    }
    let (mut quoted, mut escaped) = (false, false);
    for (at, &byte) in value.iter().enumerate().skip(first) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// Without leading and trailing SP and HTAB.
pub fn trim_blanks(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(fields: &[(&str, &str)]) -> HeaderList {
        let mut list = HeaderList::default();
        for (name, value) in fields {
            list.add(name.as_bytes(), value.as_bytes()).unwrap();
        }
        list
    }

    fn shown(list: &HeaderList) -> String {
        list.iter()
            .map(|h| format!("{}={};", String::from_utf8_lossy(h.name), String::from_utf8_lossy(h.value)))
            .collect()
    }

    #[test]
    fn names_are_lower_cased_and_order_is_kept() {
        let mut headers = list(&[("X-A", "1"), ("Host", "h"), ("x-a", "2")]);
        assert_eq!(shown(&headers), "x-a=1;host=h;x-a=2;");
        headers.set(b"X-A", b"3").unwrap();
        assert_eq!(shown(&headers), "host=h;x-a=3;");
        assert_eq!(headers.remove(b"HOST"), 1);
        assert_eq!(shown(&headers), "x-a=3;");
    }

    #[test]
    fn replace_value_keeps_the_place() {
        let mut headers = list(&[("a", "1"), ("b", "2"), ("c", "3")]);
        headers.replace_value(1, b"two").unwrap();
        assert_eq!(shown(&headers), "a=1;b=two;c=3;");
    }

    #[test]
    fn occurrences_count_from_both_ends() {
        let headers = list(&[("v", "a, b"), ("w", "-"), ("v", "\"c,d\" ,e")]);
        let all: Vec<&[u8]> = headers.values(b"v").collect();
        assert_eq!(all, [&b"a"[..], b"b", b"\"c,d\"", b"e"]);
        assert_eq!(headers.nth_value(b"v", 2), Some(&b"b"[..]));
        assert_eq!(headers.nth_value(b"v", -2), Some(&b"\"c,d\""[..]));
        assert_eq!(headers.nth_value(b"v", -5), None);
        assert_eq!(headers.nth(b"v", -1), Some(&b"\"c,d\" ,e"[..]));
        assert_eq!(headers.nth(b"v", 1), Some(&b"a, b"[..]));
    }

    #[test]
    fn a_value_cannot_start_a_new_line() {
        let headers = list(&[("x", "a\r\nset-cookie: b")]);
        assert_eq!(headers.find(b"x"), Some(&b"a  set-cookie: b"[..]));
    }

    #[test]
    fn the_head_has_a_limit_and_dead_bytes_have_one_too() {
        let mut headers = HeaderList::default();
        headers.set_limit(32);
        headers.add(b"a", b"0123456789").unwrap();
        assert_eq!(headers.add(b"b", b"0123456789012345"), Err(HeadFull));
        let full = (0..100).find(|_| headers.set(b"a", b"0123456789").is_err());
        assert!(full.is_some());
    }
}
