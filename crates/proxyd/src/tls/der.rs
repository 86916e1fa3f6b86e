//! DER as far as the companions of certificates need it: elements taken apart and put together.
//!
//! Not a parser of certificates: those are read by `x509-parser`.

/// Tags (X.690 §8): the universal ones used here, and context-specific ones by number.
pub mod tag {
    pub const INTEGER: u8 = 0x02;
    pub const BIT_STRING: u8 = 0x03;
    pub const OCTET_STRING: u8 = 0x04;
    pub const NULL: u8 = 0x05;
    pub const OBJECT: u8 = 0x06;
    pub const ENUMERATED: u8 = 0x0a;
    pub const UTF8_STRING: u8 = 0x0c;
    pub const UTC_TIME: u8 = 0x17;
    pub const GENERALIZED_TIME: u8 = 0x18;
    pub const SEQUENCE: u8 = 0x30;
    pub const SET: u8 = 0x31;

    /// `[number]`, constructed.
    pub const fn context(number: u8) -> u8 {
        0xa0 | number
    }

    /// `[number]`, primitive.
    pub const fn context_primitive(number: u8) -> u8 {
        0x80 | number
    }
}

/// One element: its tag, its content, and both with the length as they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    pub tag: u8,
    pub content: &'a [u8],
    pub whole: &'a [u8],
}

/// Elements in a row; it ends at the first thing that is none. Lengths up to four bytes.
#[derive(Debug, Clone, Copy)]
pub struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    pub fn of(der: &'a [u8]) -> Self {
        Self(der)
    }

    /// What was not taken yet.
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// The next element if it has this tag; it stays otherwise.
    pub fn next_if(&mut self, tag: u8) -> Option<Element<'a>> {
        if self.0.first() != Some(&tag) {
            return None;
        }
        self.next()
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let der = self.0;
        let tag = *der.first()?;
        let first = usize::from(*der.get(1)?);
        let (length, start) = match first {
            0..=127 => (first, 2),
            129..=132 => {
                let count = first - 128;
                let bytes = der.get(2..2 + count)?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), 2 + count)
            }
            _ => return None,
        };
        let end = start.checked_add(length)?;
        let element = Element { tag, content: der.get(start..end)?, whole: der.get(..end)? };
        self.0 = der.get(end..)?;
        Some(element)
    }
}

/// The content of the only element of `der`, if it has this tag.
pub fn inside(der: &[u8], tag: u8) -> Option<&[u8]> {
    Elements::of(der).next_if(tag).map(|element| element.content)
}

/// An element of these parts, one behind the other.
pub fn wrap(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut der = vec![tag];
    match u8::try_from(length) {
        Ok(short @ 0..=127) => der.push(short),
        _ => {
            let bytes = length.to_be_bytes();
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            let significant = bytes.get(zeros..).unwrap_or_default();
            der.push(0x80 | significant.len() as u8);
            der.extend_from_slice(significant);
        }
    }
    parts.iter().for_each(|part| der.extend_from_slice(part));
    der
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_take_as_many_bytes_as_they_need() {
        assert_eq!(wrap(tag::NULL, &[]), [5, 0]);
        assert_eq!(wrap(tag::SEQUENCE, &[&[0; 127]])[..2], [0x30, 127]);
        assert_eq!(wrap(tag::SEQUENCE, &[&[0; 128]])[..3], [0x30, 0x81, 128]);
        assert_eq!(wrap(tag::SEQUENCE, &[&[0; 200], &[0; 100]])[..4], [0x30, 0x82, 1, 44]);
    }

    proptest! {
        #[test]
        fn what_is_put_together_is_taken_apart(tag in 0u8..=255, content in proptest::collection::vec(any::<u8>(), 0..700)) {
            let mut der = wrap(tag, &[&content]);
            der.extend([tag::NULL, 0]);
            let mut elements = Elements::of(&der);
            let first = elements.next().unwrap();
            prop_assert_eq!((first.tag, first.content), (tag, content.as_slice()));
            prop_assert!(elements.next_if(tag::INTEGER).is_none());
            prop_assert!(elements.next_if(tag::NULL).is_some());
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let taken: usize = Elements::of(&bytes).map(|element| element.whole.len()).sum();
            prop_assert!(taken <= bytes.len());
        }
    }
}
