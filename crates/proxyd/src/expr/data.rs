//! Bytes of a sample: borrowed from a buffer, shared, or made by a converter.

use std::ops::Deref;

use bytes::Bytes;

/// The bytes of a `str` or `bin` sample. Fetches borrow; variables share; converters own.
#[derive(Debug, Clone)]
pub enum Data<'a> {
    Borrowed(&'a [u8]),
    Shared(Bytes),
    Owned(Vec<u8>),
}

impl<'a> Data<'a> {
    /// The bytes as a vector, copied only when they are not owned yet.
    pub fn into_vec(self) -> Vec<u8> {
        match self {
            Data::Borrowed(bytes) => bytes.to_vec(),
            Data::Shared(bytes) => bytes.to_vec(),
            Data::Owned(bytes) => bytes,
        }
    }

    /// The bytes as a shared value that outlives the request's buffers.
    pub fn into_shared(self) -> Bytes {
        match self {
            Data::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            Data::Shared(bytes) => bytes,
            Data::Owned(bytes) => Bytes::from(bytes),
        }
    }

    /// A part of the same bytes, clamped to them; copies nothing.
    pub fn slice(self, start: usize, end: usize) -> Data<'a> {
        let end = end.min(self.len());
        let start = start.min(end);
        match self {
            Data::Borrowed(bytes) => Data::Borrowed(bytes.get(start..end).unwrap_or_default()),
            Data::Shared(bytes) => Data::Shared(bytes.slice(start..end)),
            Data::Owned(mut bytes) => {
                bytes.truncate(end);
                bytes.drain(..start);
                Data::Owned(bytes)
            }
        }
    }
}

impl Deref for Data<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Data::Borrowed(bytes) => bytes,
            Data::Shared(bytes) => bytes,
            Data::Owned(bytes) => bytes,
        }
    }
}

impl PartialEq for Data<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Data<'_> {}

impl<'a> From<&'a [u8]> for Data<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Data::Borrowed(bytes)
    }
}

impl<'a> From<&'a str> for Data<'a> {
    fn from(text: &'a str) -> Self {
        Data::Borrowed(text.as_bytes())
    }
}

impl<'a> From<std::borrow::Cow<'a, [u8]>> for Data<'a> {
    fn from(bytes: std::borrow::Cow<'a, [u8]>) -> Self {
        match bytes {
            std::borrow::Cow::Borrowed(bytes) => Data::Borrowed(bytes),
            std::borrow::Cow::Owned(bytes) => Data::Owned(bytes),
        }
    }
}

impl From<Vec<u8>> for Data<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Data::Owned(bytes)
    }
}

impl From<String> for Data<'_> {
    fn from(text: String) -> Self {
        Data::Owned(text.into_bytes())
    }
}
