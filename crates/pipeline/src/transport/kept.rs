//! Kept connections: what lies idle between two exchanges of a lane with a broker.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use domain::DestinationId;
use tokio::time::Instant;

/// How long a connection may lie idle. Brokers ask whether somebody is still there after some minutes, and nobody
/// answers for an idle one.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// Most idle connections of one lane.
const IDLE_PER_LANE_MAX: usize = 16;
/// How often idle connections are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// Idle connections by lane. `P` says where a connection leads and who it is logged in as; one that leads elsewhere is
/// not given out.
pub(super) struct Kept<P, C>(Mutex<HashMap<DestinationId, Vec<Idle<P, C>>>>);

struct Idle<P, C> {
    place: P,
    connection: C,
    until: Instant,
}

impl<P: PartialEq + Send + 'static, C: Send + 'static> Kept<P, C> {
    /// Must be called inside the runtime: what is idle for too long is closed by a task that ends with this.
    pub(super) fn start() -> Arc<Self> {
        let kept = Arc::new(Self(Mutex::default()));
        tokio::spawn(sweep(Arc::downgrade(&kept)));
        kept
    }

    /// A connection of this lane to this place.
    pub(super) fn take(&self, lane: DestinationId, place: &P) -> Option<C> {
        let mut lanes = self.lock();
        let idle = lanes.get_mut(&lane)?;
        let found = idle.iter().rposition(|it| it.place == *place && it.until > Instant::now())?;
        Some(idle.remove(found).connection)
    }

    /// Lets a connection lie until somebody takes it. If too many lie there, the one that has lain longest goes.
    pub(super) fn lay_down(&self, lane: DestinationId, place: P, connection: C) {
        let mut lanes = self.lock();
        let idle = lanes.entry(lane).or_default();
        let oldest = (idle.len() >= IDLE_PER_LANE_MAX).then(|| idle.remove(0));
        idle.push(Idle { place, connection, until: Instant::now() + IDLE_MAX });
        // Closing is a system call, so it happens here, outside the lock.
        drop(lanes);
        drop(oldest);
    }

    fn sweep(&self) {
        let now = Instant::now();
        let mut expired = Vec::new();
        self.lock().retain(|_, idle| {
            expired.extend(idle.extract_if(.., |it| it.until <= now));
            !idle.is_empty()
        });
        // Closing is a system call each, so it happens here, outside the lock.
        drop(expired);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<DestinationId, Vec<Idle<P, C>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn sweep<P: PartialEq + Send + 'static, C: Send + 'static>(kept: Weak<Kept<P, C>>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        match kept.upgrade() {
            Some(kept) => kept.sweep(),
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_given_to_its_lane_and_place_until_it_is_too_old() {
        let kept = Kept::<&str, u8>::start();
        let lane = |number| DestinationId::mint(Timestamp::from_secs(1), number);
        kept.lay_down(lane(1), "a", 1);
        assert_eq!(kept.take(lane(2), &"a"), None);
        assert_eq!(kept.take(lane(1), &"b"), None);
        assert_eq!(kept.take(lane(1), &"a"), Some(1));
        assert_eq!(kept.take(lane(1), &"a"), None);
        kept.lay_down(lane(1), "a", 2);
        tokio::time::advance(IDLE_MAX).await;
        assert_eq!(kept.take(lane(1), &"a"), None);
    }
}
