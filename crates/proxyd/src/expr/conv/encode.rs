//! Encodings: hexadecimal, base64, URL (manual, section 7.3.1).

/// Pairs of hexadecimal digits as bytes; `None` on anything else.
pub(crate) fn hex_decode(digits: &[u8]) -> Option<Vec<u8>> {
    if digits.len() % 2 == 1 {
        return None;
    }
    let digit = |b: u8| (b as char).to_digit(16);
    digits
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => Some((digit(*high)? * 16 + digit(*low)?) as u8),
            _ => None,
        })
        .collect()
}
