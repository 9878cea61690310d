//! Counts what the program asks the heap for: how often, and how many bytes. It hands every request on to the system.
//!
//! Always on, so that a build that is measured is the build that is used. Each thread counts into one of a few
//! counters, which are added up when someone asks; nothing is shared between two busy threads.

#![expect(
    unsafe_code,
    reason = "GlobalAlloc is an unsafe trait; every call is handed on to System as it came"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use serde::{Deserialize, Serialize};

#[global_allocator]
static COUNTING: Counting = Counting;

/// Threads beyond so many share counters.
const SHARDS: usize = 32;

/// What the process has asked the heap for since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocations {
    /// Calls: allocated, allocated zeroed, or resized.
    pub count: u64,
    /// Bytes asked for; of a resize the growth.
    pub bytes: u64,
    /// Bytes given back; of a resize what it became smaller. What was asked for and not given back is held.
    #[serde(default)]
    pub freed: u64,
}

impl Allocations {
    /// Bytes that are held now.
    pub fn held(&self) -> u64 {
        self.bytes.saturating_sub(self.freed)
    }
}

/// The sums over all threads.
pub fn now() -> Allocations {
    SHARD.iter().fold(Allocations::default(), |sum, shard| Allocations {
        count: sum.count + shard.count.load(Relaxed),
        bytes: sum.bytes + shard.bytes.load(Relaxed),
        freed: sum.freed + shard.freed.load(Relaxed),
    })
}

/// Alone on its cache lines, in pairs of which processors fetch them.
#[repr(align(128))]
struct Shard {
    count: AtomicU64,
    bytes: AtomicU64,
    freed: AtomicU64,
}

static SHARD: [Shard; SHARDS] =
    [const { Shard { count: AtomicU64::new(0), bytes: AtomicU64::new(0), freed: AtomicU64::new(0) } };
        SHARDS];
static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    // Without an initialiser and without a destructor, so that touching it allocates nothing.
    static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
}

struct Counting;

impl Counting {
    #[inline]
    fn note(bytes: usize) {
        let shard = Self::shard();
        shard.count.fetch_add(1, Relaxed);
        shard.bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// A thread may give back what another one was given: only the sums over all are right.
    #[inline]
    fn note_freed(bytes: usize) {
        Self::shard().freed.fetch_add(bytes as u64, Relaxed);
    }

    #[inline]
    fn shard() -> &'static Shard {
        let mine = MINE.with(|mine| {
            if mine.get() == usize::MAX {
                mine.set(NEXT.fetch_add(1, Relaxed) % SHARDS);
            }
            mine.get()
        });
        &SHARD[mine]
    }
}

// SAFETY: each call goes to `System` with the arguments it came with, and its answer is returned as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::note(layout.size());
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::note(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        Self::note(new_size.saturating_sub(layout.size()));
        if new_size < layout.size() {
            Self::note_freed(layout.size() - new_size);
        }
        // SAFETY: `block` came from `System` with this layout, as the caller promises of this allocator.
        unsafe { System.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        Self::note_freed(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_counted() {
        // Other tests allocate meanwhile: at least so much.
        let before = now();
        let mut text = std::hint::black_box(String::with_capacity(1_000));
        text.reserve_exact(5_000);
        let after = now();
        assert!(after.count >= before.count + 2, "{before:?} {after:?}");
        assert!(after.bytes >= before.bytes + 5_000, "{before:?} {after:?}");
        let zeroed = std::hint::black_box(vec![0_u8; 10_000]);
        let before = now();
        assert!(before.bytes >= after.bytes + zeroed.len() as u64);
        drop(zeroed);
        assert!(now().freed >= before.freed + 10_000);
    }
}
