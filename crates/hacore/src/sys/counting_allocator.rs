//! An allocator that counts what the threads of a test allocate: for proving that a path takes no memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The system's allocator with a count; made the global one by `#[global_allocator]` in a test.
#[derive(Debug, Default)]
pub struct CountingAllocator {
    allocations: AtomicU64,
}

thread_local! {
    static IS_COUNTED: Cell<bool> = const { Cell::new(true) };
}

impl CountingAllocator {
    pub const fn new() -> Self {
        Self { allocations: AtomicU64::new(0) }
    }

    /// Allocations and enlargements so far, in all threads that are counted.
    pub fn allocations(&self) -> u64 {
        self.allocations.load(Relaxed)
    }

    /// Leaves the calling thread out of the count from here on.
    pub fn ignore_this_thread() {
        IS_COUNTED.with(|counted| counted.set(false));
    }

    fn count(&self) {
        // A thread that is ending has no such variable any more.
        if IS_COUNTED.try_with(Cell::get).unwrap_or(false) {
            self.allocations.fetch_add(1, Relaxed);
        }
    }
}

// SAFETY: every call goes to the system's allocator as it came, which keeps the contract; counting allocates nothing,
// because the thread's variable is made without an initialiser or a destructor.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.count();
        // SAFETY: the caller's promises about `layout` are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the block came from `System` in `alloc` or `realloc` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        self.count();
        // SAFETY: the block came from `System` with this layout, and the caller's promises about the size are passed on.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocations_are_counted_and_memory_is_usable() {
        let allocator = CountingAllocator::new();
        let layout = Layout::array::<u8>(64).unwrap();
        // SAFETY: the layout has a size, and the block is used within it and freed with the same layout.
        unsafe {
            let block = allocator.alloc(layout);
            block.write_bytes(7, 64);
            let block = allocator.realloc(block, layout, 128);
            assert_eq!(block.add(63).read(), 7);
            allocator.dealloc(block, Layout::array::<u8>(128).unwrap());
        }
        assert_eq!(allocator.allocations(), 2);
        CountingAllocator::ignore_this_thread();
        allocator.count();
        assert_eq!(allocator.allocations(), 2);
    }
}
