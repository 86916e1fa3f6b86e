//! Waiting for an event with a limit that is reached only when something is broken.

use std::time::{Duration, Instant};

/// Long enough for a busy machine; a test that gets near it has failed.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Polls `condition` until it gives a value; `None` after `limit`.
pub fn until<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
