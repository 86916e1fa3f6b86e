//! File name patterns of `include`: `*`, `?`, `[…]` and csh braces, as glob(3) matches them.

use std::path::{Path, PathBuf};

/// The most alternatives that braces may expand to.
const BRACES_MAX: usize = 1024;
/// The most names one pattern may match.
pub(super) const MATCHES_MAX: usize = 10_000;

/// Whether glob(3) would search rather than take the name as it is.
pub(super) fn has_wildcard(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

/// Each alternative of the braces in `pattern`, in order; the pattern itself without braces.
pub(super) fn braces(pattern: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut open = vec![pattern.to_owned()];
    while let Some(pattern) = open.pop() {
        if done.len() + open.len() > BRACES_MAX {
            break;
        }
        match split_braces(&pattern) {
            Some(alternatives) => open.extend(alternatives.into_iter().rev()),
            None => done.push(pattern),
        }
    }
    done
}

/// The alternatives of the first balanced pair of braces.
fn split_braces(pattern: &str) -> Option<Vec<String>> {
    let start = pattern.find('{')?;
    let mut depth = 0_usize;
    let mut from = start + 1;
    let mut parts = Vec::new();
    for (at, c) in pattern.char_indices().skip_while(|&(at, _)| at < start) {
        match c {
            '{' => depth += 1,
            ',' if depth == 1 => {
                parts.push((from, at));
                from = at + 1;
            }
            '}' => {
                depth -= 1;
                if depth == 0 {
                    parts.push((from, at));
                    let (before, after) = (pattern.get(..start)?, pattern.get(at + 1..)?);
                    return parts
                        .into_iter()
                        .map(|(from, to)| Some(format!("{before}{}{after}", pattern.get(from..to)?)))
                        .collect();
                }
            }
            _ => {}
        }
    }
    None
}

/// The existing files that a pattern without braces matches, sorted.
pub(super) fn matches(base: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![if pattern.starts_with('/') { PathBuf::from("/") } else { base.to_owned() }];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        found = found.iter().flat_map(|dir| step(dir, part)).take(MATCHES_MAX).collect();
    }
    found.retain(|path| path.exists());
    found
}

fn step(dir: &Path, part: &str) -> Vec<PathBuf> {
    if !has_wildcard(part) {
        return vec![dir.join(part)];
    }
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let pattern: Vec<char> = part.chars().collect();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.') || part.starts_with('.'))
        .filter(|name| fits(&pattern, &name.chars().collect::<Vec<_>>()))
        .take(MATCHES_MAX)
        .collect();
    names.sort();
    names.into_iter().map(|name| dir.join(name)).collect()
}

/// fnmatch(3) without slashes, iterative so that `*a*a*a` stays quadratic.
fn fits(pattern: &[char], name: &[char]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        let (hit, width) = match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, n));
                p += 1;
                continue;
            }
            Some('?') => (true, 1),
            Some('[') => class(&pattern[p..], name[n]),
            Some(&c) => (c == name[n], 1),
            None => (false, 0),
        };
        if hit {
            p += width;
            n += 1;
        } else if let Some((after, at)) = retry {
            retry = Some((after, at + 1));
            (p, n) = (after, at + 1);
        } else {
            return false;
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|&c| c == '*'))
}

/// A bracket expression at the start of `pattern`: whether `c` is in it, and its width.
fn class(pattern: &[char], c: char) -> (bool, usize) {
    let negated = matches!(pattern.get(1), Some('!' | '^'));
    let first = 1 + usize::from(negated);
    let Some(end) = (first + 1..pattern.len()).find(|&at| pattern.get(at) == Some(&']')) else {
        return (c == '[', 1);
    };
    let set = pattern.get(first..end).unwrap_or_default();
    let mut at = 0;
    let mut hit = false;
    while let Some(&low) = set.get(at) {
        if let (Some('-'), Some(&high)) = (set.get(at + 1), set.get(at + 2)) {
            hit |= (low..=high).contains(&c);
            at += 3;
        } else {
            hit |= low == c;
            at += 1;
        }
    }
    (hit != negated, end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_in_the_shell() {
        let fit = |pattern: &str, name: &str| {
            fits(&pattern.chars().collect::<Vec<_>>(), &name.chars().collect::<Vec<_>>())
        };
        assert!(fit("*.conf", "a.conf") && !fit("*.conf", "a.conf.bak"));
        assert!(fit("[a-c]?x", "b1x") && !fit("[!a-c]?x", "b1x"));
        assert!(fit("a*b*c", "a_b_bc") && !fit("a*b*c", "a_c"));
    }

    #[test]
    fn braces_are_those_of_csh() {
        assert_eq!(braces("{foo/{,cat,dog},bar}"), ["foo/", "foo/cat", "foo/dog", "bar"]);
        assert_eq!(braces("plain"), ["plain"]);
        assert_eq!(braces("{open"), ["{open"]);
    }
}
