//! Waiting for something that another process does: look, and look again, until it is so or the deadline has passed.

use std::time::{Duration, Instant};

/// How long anything may take. Far more than it needs: only a test that fails waits this long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Waits until `look` finds something.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {} s for {what}", DEADLINE.as_secs());
        std::thread::sleep(LOOK_EVERY);
    }
}
