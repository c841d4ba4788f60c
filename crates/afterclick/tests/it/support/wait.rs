//! Waiting for something that another process does: look, and look again, until it is so or nothing has moved for too long.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// How long anything may take. Far more than it needs: only a test that fails waits this long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// How often something may move before it is done, in deadlines.
const DEADLINES_MAX: u32 = 10;
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Waits until `look` finds something.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    until_done(what, || look().ok_or(()))
}

/// Waits until `look` finds something, and longer than the deadline as long as what is left instead goes on changing.
pub(crate) fn until_done<T, L: PartialEq + Debug>(what: &str, mut look: impl FnMut() -> Result<T, L>) -> T {
    let started = Instant::now();
    let (mut last, mut moved) = (None, started);
    loop {
        let left = match look() {
            Ok(found) => return found,
            Err(left) => Some(left),
        };
        if left != last {
            (last, moved) = (left, Instant::now());
        }
        let is_late = moved.elapsed() > DEADLINE || started.elapsed() > DEADLINE * DEADLINES_MAX;
        assert!(!is_late, "waited {:?} for {what}; left: {last:#?}", started.elapsed());
        std::thread::sleep(LOOK_EVERY);
    }
}
