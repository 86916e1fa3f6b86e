//! Cookies as persistence and captures need them: finding, removing and rewriting one cookie among others.
//!
//! Follows what HAProxy reads, which is more lenient than RFC 6265: blanks around names and values, cookies without
//! a value. What it does not do: decide which server a cookie means.

use super::headers::{HeadFull, HeaderList, trim_blanks};

/// One `name=value` within a `Cookie` or at the start of a `Set-Cookie` value, as ranges of that value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookiePair {
    pub name: std::ops::Range<usize>,
    /// Empty range after the name for a cookie without `=`.
    pub value: std::ops::Range<usize>,
}

/// The pairs of a `Cookie` header's value, separated by `;` (or, in `Set-Cookie`, only the first matters).
pub fn pairs(header: &[u8]) -> impl Iterator<Item = CookiePair> + '_ {
    let mut start = Some(0);
    std::iter::from_fn(move || {
        let from = start?;
        let rest = header.get(from..)?;
        let length = memchr::memchr(b';', rest).unwrap_or(rest.len());
        start = (length < rest.len()).then_some(from + length + 1);
        let part = rest.get(..length)?;
        let equals = memchr::memchr(b'=', part);
        let name = trimmed(header, from, from + equals.unwrap_or(length));
        let value = match equals {
            Some(equals) => trimmed(header, from + equals + 1, from + length),
            None => name.end..name.end,
        };
        Some(CookiePair { name, value })
    })
}

fn trimmed(header: &[u8], start: usize, end: usize) -> std::ops::Range<usize> {
    let part = header.get(start..end).unwrap_or_default();
    let kept = trim_blanks(part);
    let lead =
        part.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count().min(part.len() - kept.len());
    start + lead..start + lead + kept.len()
}

/// The first cookie of this name in a request.
pub fn request_cookie<'h>(headers: &'h HeaderList, name: &[u8]) -> Option<&'h [u8]> {
    headers.find_all(b"cookie").find_map(|header| {
        pairs(header)
            .find(|pair| header.get(pair.name.clone()) == Some(name))
            .and_then(|pair| header.get(pair.value))
    })
}

/// The first `Set-Cookie` of this name: its position among the headers and the value's range in it.
pub fn set_cookie(headers: &HeaderList, name: &[u8]) -> Option<(usize, std::ops::Range<usize>)> {
    let mut from = 0;
    while let Some(index) = headers.position(b"set-cookie", from) {
        let value = headers.get(index)?.value;
        if let Some(pair) = pairs(value).next()
            && value.get(pair.name.clone()) == Some(name)
        {
            // A comma ends it: another cookie may follow in the same field.
            let length = value.get(pair.value.clone()).and_then(|value| memchr::memchr(b',', value));
            let end = length.map_or(pair.value.end, |length| pair.value.start + length);
            return Some((index, pair.value.start..end));
        }
        from = index + 1;
    }
    None
}

/// The first cookie whose name starts with `prefix`, as `name=value`, for `capture cookie`.
pub fn capture<'h>(
    headers: &'h HeaderList,
    header_name: &[u8],
    prefix: &[u8],
    exact: bool,
) -> Option<&'h [u8]> {
    headers.find_all(header_name).find_map(|header| {
        let pair = pairs(header).find(|pair| {
            let name = header.get(pair.name.clone()).unwrap_or_default();
            if exact { name == prefix } else { name.starts_with(prefix) }
        })?;
        header.get(pair.name.start..pair.value.end.max(pair.name.end))
    })
}

/// Takes every cookie of this name out of the request (`cookie … indirect`), and headers that become empty.
pub fn remove_request_cookie(headers: &mut HeaderList, name: &[u8]) -> Result<(), HeadFull> {
    edit_request(headers, name, |_| Edit::Remove)
}

/// Cuts `SERVER~` off the value of the cookie of this name (`cookie … prefix`).
pub fn strip_prefix(headers: &mut HeaderList, name: &[u8]) -> Result<(), HeadFull> {
    edit_request(headers, name, |value| match memchr::memchr(PREFIX_DELIMITER, value) {
        Some(tilde) => Edit::CutFront(tilde + 1),
        None => Edit::Keep,
    })
}

/// Between server and application part in `cookie … prefix` mode.
pub const PREFIX_DELIMITER: u8 = b'~';

enum Edit {
    Keep,
    Remove,
    /// So many bytes off the front of the value.
    CutFront(usize),
}

fn edit_request(headers: &mut HeaderList, name: &[u8], edit: impl Fn(&[u8]) -> Edit) -> Result<(), HeadFull> {
    let mut from = 0;
    while let Some(index) = headers.position(b"cookie", from) {
        from = index + 1;
        let Some(header) = headers.get(index).map(|header| header.value) else { break };
        let Some(new) = edited(header, name, &edit) else { continue };
        if new.is_empty() {
            headers.remove_at(index);
            from = index;
        } else {
            headers.replace_value(index, &new)?;
        }
    }
    Ok(())
}

/// The value after the edit; `None` when nothing changes.
fn edited(header: &[u8], name: &[u8], edit: &impl Fn(&[u8]) -> Edit) -> Option<Vec<u8>> {
    let mut new = Vec::new();
    let mut copied = 0;
    let mut changed = false;
    for pair in pairs(header).filter(|pair| header.get(pair.name.clone()) == Some(name)) {
        let start = pair.name.start;
        let end = memchr::memchr(b';', header.get(start..)?).map_or(header.len(), |length| start + length);
        match edit(header.get(pair.value.clone())?) {
            Edit::Keep => continue,
            Edit::CutFront(count) => {
                new.extend_from_slice(header.get(copied..pair.value.start)?);
                copied = pair.value.start + count;
            }
            Edit::Remove => {
                // What stood before keeps its separator only if something follows.
                let before = trim_end(header.get(copied..start)?);
                new.extend_from_slice(before);
                copied = (end + 1).min(header.len());
                let rest = trim_blanks(header.get(copied..)?);
                copied = header.len() - rest.len();
                if rest.is_empty() {
                    while matches!(new.last(), Some(b';' | b' ' | b'\t')) {
                        new.pop();
                    }
                } else if !new.is_empty() {
                    while matches!(new.last(), Some(b';' | b' ' | b'\t')) {
                        new.pop();
                    }
                    new.extend_from_slice(b"; ");
                }
            }
        }
        changed = true;
    }
    new.extend_from_slice(header.get(copied..)?);
    changed.then_some(new)
}

fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Replaces the value of the first `Set-Cookie` of this name and keeps its attributes (`rewrite`), or puts
/// `front~` before it (`prefix`). Tells whether there was one.
pub fn rewrite_set_cookie(
    headers: &mut HeaderList,
    name: &[u8],
    server: &[u8],
    keep_value: bool,
) -> Result<bool, HeadFull> {
    let Some((index, value)) = set_cookie(headers, name) else { return Ok(false) };
    let Some(header) = headers.get(index).map(|header| header.value) else { return Ok(false) };
    let old = header.get(value.clone()).unwrap_or_default();
    let attributes = header.get(value.end..).unwrap_or_default();
    let mut new = Vec::with_capacity(header.len() + server.len() + 1);
    new.extend_from_slice(name);
    new.push(b'=');
    new.extend_from_slice(server);
    if keep_value {
        new.push(PREFIX_DELIMITER);
        new.extend_from_slice(old);
    }
    new.extend_from_slice(attributes);
    headers.replace_value(index, &new)?;
    Ok(true)
}

/// HAProxy's five-character date in a cookie value (`maxidle`, `maxlife`): seconds divided by 4, in base 64.
pub fn encode_date(seconds_since_epoch: u64) -> [u8; 5] {
    let mut number = (seconds_since_epoch + 3) >> 2;
    let mut text = [b'A'; 5];
    for place in text.iter_mut().rev() {
        *place = DATE_DIGITS[(number & 63) as usize];
        number >>= 6;
    }
    text
}

/// Reads [`encode_date`]'s text; `None` when it is not one.
pub fn decode_date(text: &[u8]) -> Option<u64> {
    if text.len() != 5 {
        return None;
    }
    text.iter()
        .try_fold(0u64, |number, byte| {
            let digit = DATE_DIGITS.iter().position(|known| known == byte)?;
            Some(number << 6 | digit as u64)
        })
        .map(|number| number << 2)
}

const DATE_DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(lines: &[&str]) -> HeaderList {
        let mut headers = HeaderList::default();
        for line in lines {
            headers.add(b"cookie", line.as_bytes()).unwrap();
        }
        headers
    }

    fn shown(headers: &HeaderList) -> Vec<String> {
        headers.iter().map(|header| String::from_utf8_lossy(header.value).into_owned()).collect()
    }

    /// What HAProxy 2.6 sends to the server with `cookie SRV insert indirect` (recorded).
    #[test]
    fn indirect_removes_the_cookie() {
        for (before, after) in [
            (&["SRV=c1"][..], &[][..]),
            (&["a=b; SRV=c1; d=e"], &["a=b; d=e"]),
            (&["SRV=c1~real; z=1"], &["z=1"]),
            (&["a=b;SRV=c1;d=e"], &["a=b; d=e"]),
            (&["SRV=c1", "x=y"], &["x=y"]),
            (&["a=b ;  SRV = c1 ; d"], &["a=b; d"]),
            (&["SRV=c1; SRV=c1"], &[]),
            (&["SRVX=c1; a"], &["SRVX=c1; a"]),
        ] {
            let mut headers = cookies(before);
            remove_request_cookie(&mut headers, b"SRV").unwrap();
            assert_eq!(shown(&headers), after, "{before:?}");
        }
    }

    /// `cookie SRV prefix` (recorded).
    #[test]
    fn prefix_is_cut_off_for_the_server() {
        for (before, after) in [("SRV=c1~real; z=1", "SRV=real; z=1"), ("SRV=c1", "SRV=c1")] {
            let mut headers = cookies(&[before]);
            strip_prefix(&mut headers, b"SRV").unwrap();
            assert_eq!(shown(&headers), [after]);
        }
    }

    #[test]
    fn set_cookie_is_rewritten_or_prefixed() {
        for (keep, expected) in [(false, "SRV=c1; path=/"), (true, "SRV=c1~app; path=/")] {
            let mut headers = HeaderList::default();
            headers.add(b"set-cookie", b"a=b").unwrap();
            headers.add(b"set-cookie", b"SRV =  app; path=/").unwrap();
            assert_eq!(rewrite_set_cookie(&mut headers, b"SRV", b"c1", keep), Ok(true));
            assert_eq!(shown(&headers), ["a=b", expected]);
        }
    }

    #[test]
    fn finds_cookies_among_blanks() {
        let headers = cookies(&["a=b ;  SRV = c1 ; d"]);
        assert_eq!(request_cookie(&headers, b"SRV"), Some(&b"c1"[..]));
        assert_eq!(request_cookie(&headers, b"d"), Some(&b""[..]));
        assert_eq!(request_cookie(&headers, b"c"), None);
        assert_eq!(capture(&headers, b"cookie", b"SR", false), Some(&b"SRV = c1"[..]));
    }

    /// `awMaZ` stood in a cookie that HAProxy made on 2026-11-22 at 16:37:56 UTC or up to 3 seconds before.
    #[test]
    fn dates_are_base_64_of_quarter_seconds() {
        assert_eq!(decode_date(b"awMaZ"), Some(1_795_365_476));
        assert_eq!(&encode_date(1_795_365_473), b"awMaZ");
        assert_eq!(decode_date(b"aw*aZ"), None);
        // The digits are those of plain base 64: HAProxy 2.6 takes these two for dates, and not `awOJ-` or `awOJ_`.
        assert_eq!(decode_date(b"awOJ/").zip(decode_date(b"awOJ+")).map(|(a, b)| a - b), Some(4));
        assert_eq!(decode_date(b"awOJ_").or(decode_date(b"awOJ-")), None);
    }
}
