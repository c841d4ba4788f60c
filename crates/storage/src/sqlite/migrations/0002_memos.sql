-- From here on deliveries.state has one more value: 4 skipped.

-- Retention removes old bodies.
CREATE INDEX quarantine_by_time ON quarantine (received_at);

-- What the delivery engine remembers of a destination. The value is sealed: remote ids and addresses are personal.
CREATE TABLE memos (
    destination_no INTEGER NOT NULL,
    key            TEXT NOT NULL,
    sealed         BLOB NOT NULL,
    expires_at     INTEGER,
    PRIMARY KEY (destination_no, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX memos_by_end ON memos (expires_at) WHERE expires_at IS NOT NULL;
