//! "Did you mean": the closest known word.

/// The candidate with the smallest edit distance to `word`, if it is close enough to be a typo of it.
///
/// Distance is Damerau–Levenshtein (optimal string alignment), without case. Close enough means at most a third
/// of the longer word's length, and at most 4. Among equals the first candidate wins.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Longer words than this are not typos of a keyword; it bounds the quadratic work on hostile input.
    const WORD_LENGTH_MAX: usize = 64;
    if word.is_empty() || word.len() > WORD_LENGTH_MAX {
        return None;
    }
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates.into_iter().filter(|c| c.len() <= WORD_LENGTH_MAX) {
        let limit = (word.len().max(candidate.len()) / 3).clamp(1, 4);
        let distance = distance(word.as_bytes(), candidate.as_bytes());
        if distance <= limit && best.is_none_or(|(found, _)| distance < found) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// The edit distance between two texts, without case; only the first bytes of long ones are looked at.
///
/// For ranking candidates where something is to be offered in any case; [`closest`] is for typos.
pub fn edit_distance(a: &str, b: &str) -> usize {
    /// Bounds the quadratic work on hostile input.
    const LENGTH_MAX: usize = 128;
    let cut = |text: &str| text.bytes().take(LENGTH_MAX).collect::<Vec<u8>>();
    distance(&cut(a), &cut(b))
}

fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let same = a[i - 1].eq_ignore_ascii_case(&b[j - 1]);
            row[j] = (above[j] + 1).min(row[j - 1] + 1).min(above[j - 1] + usize::from(!same));
            let swapped = i > 1
                && j > 1
                && a[i - 1].eq_ignore_ascii_case(&b[j - 2])
                && a[i - 2].eq_ignore_ascii_case(&b[j - 1]);
            if swapped {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_find_their_word() {
        let known = ["bind", "balance", "backend", "option", "timeout"];
        assert_eq!(closest("balence", known), Some("balance"));
        assert_eq!(closest("opiton", known), Some("option"));
        assert_eq!(closest("BIND", known), Some("bind"));
        assert_eq!(closest("zzzzzz", known), None);
        assert_eq!(closest("", known), None);
    }
}
