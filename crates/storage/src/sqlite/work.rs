//! The queue side of deliveries, as the seam asks for it.

use std::sync::Arc;

use async_trait::async_trait;
use domain::{DeliveryId, DestinationId, Timestamp};

use super::SqliteStore;
use super::claim::{self, Claim};
use super::reader;
use super::settle;
use crate::{Claimed, Fence, Lane, Result, Settled, Settlement, Work, WorkSignal};

#[async_trait]
impl Work for SqliteStore {
    async fn claim(
        &self,
        destination: DestinationId,
        now: Timestamp,
        limit: usize,
        lease_until: Timestamp,
    ) -> Result<Claimed> {
        self.shared.check_open()?;
        let claim = Claim { destination, now, limit, lease_until };
        if let Some((claimed, ahead)) = claim::from_memory(&self.shared, &claim) {
            if let Some(ahead) = ahead {
                // Beside the caller: it has what it asked for. A read that fails will fail again where it matters.
                let shared = self.shared.clone();
                let read = async move { reader::read(&shared, |conn, _| ahead.read(conn)).await };
                drop(tokio::spawn(read));
            }
            return Ok(claimed);
        }
        let shared = self.shared.clone();
        let handover = reader::read(&self.shared, move |conn, _| claim::from_disk(conn, shared, &claim)).await?;
        Ok(handover.take())
    }

    async fn settle(&self, settlements: Arc<[Settlement]>) -> Result<Vec<Settled>> {
        self.shared.queue.command(move |tx| settle::settle(tx, &settlements)).await
    }

    async fn release(&self, leases: Vec<(DeliveryId, Fence)>) -> Result<()> {
        self.shared.check_open()?;
        claim::release(&self.shared, leases);
        Ok(())
    }

    async fn rescue(&self, now: Timestamp) -> Result<usize> {
        self.shared.check_open()?;
        let (count, lanes) = self.shared.lanes().rescue(now);
        self.shared.signal.mark(lanes);
        Ok(count)
    }

    fn signal(&self) -> Arc<WorkSignal> {
        self.shared.signal.clone()
    }

    async fn lanes(&self) -> Result<Vec<Lane>> {
        self.shared.check_open()?;
        let lanes = self.shared.lanes();
        let open = lanes.iter().filter(|(_, lane)| lane.pending > 0 && !lane.is_closed);
        let backlog = open.map(|(_, lane)| Lane {
            destination: lane.destination,
            pending: lane.pending,
            oldest_due: lane.next_due(),
        });
        Ok(backlog.collect())
    }
}
