//! Byte queues that own no memory while they are empty, and the pool their memory comes from.

/// Bytes that arrived and wait to be used, or wait to be sent.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// Drops bytes from the front.
    pub fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.bytes.len());
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, start: 0 }
    }
}

/// Memory of buffers that are empty now; one a thread.
#[derive(Debug)]
pub struct BufferPool {
    free: Vec<Vec<u8>>,
    size_bytes: usize,
}

/// Buffers kept for reuse; more are given back to the allocator.
const FREE_MAX: usize = 512;

impl BufferPool {
    /// A pool of buffers that start with room for `size_bytes`.
    pub fn new(size_bytes: usize) -> Self {
        Self { free: Vec::new(), size_bytes }
    }

    /// Appends to a buffer, giving it memory if it has none.
    pub fn append(&mut self, buffer: &mut Buffer, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if buffer.bytes.capacity() == 0 {
            buffer.bytes = self.free.pop().unwrap_or_else(|| Vec::with_capacity(self.size_bytes));
        }
        if buffer.start > 0 {
            buffer.bytes.drain(..buffer.start);
            buffer.start = 0;
        }
        buffer.bytes.extend_from_slice(bytes);
    }

    /// Takes the memory back from a buffer that has become empty.
    pub fn reclaim(&mut self, buffer: &mut Buffer) {
        if buffer.is_empty() {
            self.release(buffer);
        }
    }

    /// Empties a buffer and takes its memory back.
    pub fn release(&mut self, buffer: &mut Buffer) {
        let mut bytes = std::mem::take(&mut buffer.bytes);
        buffer.start = 0;
        if bytes.capacity() > 0 && self.free.len() < FREE_MAX && bytes.capacity() <= 4 * self.size_bytes {
            bytes.clear();
            self.free.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_goes_back_when_a_buffer_is_empty() {
        let mut pool = BufferPool::new(64);
        let mut buffer = Buffer::default();
        pool.append(&mut buffer, b"hello");
        buffer.consume(2);
        pool.append(&mut buffer, b" world");
        assert_eq!(buffer.as_slice(), b"llo world");
        buffer.consume(100);
        pool.reclaim(&mut buffer);
        assert_eq!((buffer.bytes.capacity(), pool.free.len()), (0, 1));
    }
}
