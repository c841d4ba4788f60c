-- Nearly every delivery arrives at its first try. That try stands in the row of the delivery, which is written then anyway,
-- and not in attempts. While a delivery is pending, these and ended_at only keep the room: a row that grows splits its page.
ALTER TABLE deliveries ADD COLUMN tried_at INTEGER;
ALTER TABLE deliveries ADD COLUMN tried_ms INTEGER;
ALTER TABLE deliveries ADD COLUMN tried_status INTEGER;
ALTER TABLE deliveries ADD COLUMN tried_reply TEXT;
