-- Small whole numbers stand for appspaces, sources, destinations and event types in every large table.
-- kind: 1 appspace, 2 source, 3 destination, 4 event type. A name outlives what it stood for, so that the log can.
CREATE TABLE names (
    no    INTEGER PRIMARY KEY,
    kind  INTEGER NOT NULL,
    value BLOB NOT NULL,
    UNIQUE (kind, value)
) STRICT;

-- Values of the store itself, by key.
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE appspaces (
    id     BLOB PRIMARY KEY,
    name   TEXT NOT NULL UNIQUE,
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- `sealed` holds the settings and secrets; `record` is the rest, as JSON.
CREATE TABLE sources (
    id       BLOB PRIMARY KEY,
    appspace BLOB NOT NULL,
    name     TEXT NOT NULL,
    record   TEXT NOT NULL,
    sealed   BLOB NOT NULL,
    UNIQUE (appspace, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE destinations (
    id       BLOB PRIMARY KEY,
    appspace BLOB NOT NULL,
    name     TEXT NOT NULL,
    record   TEXT NOT NULL,
    sealed   BLOB NOT NULL,
    UNIQUE (appspace, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE keys (
    id         BLOB PRIMARY KEY,
    appspace   BLOB,
    scope      TEXT NOT NULL,
    label      TEXT NOT NULL,
    hash       BLOB NOT NULL,
    tail       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT, WITHOUT ROWID;

-- The log. Ids rise with time, so their index grows at its right edge. Rows never change.
CREATE TABLE events (
    no          INTEGER PRIMARY KEY,
    id          BLOB NOT NULL UNIQUE,
    appspace_no INTEGER NOT NULL,
    source_no   INTEGER NOT NULL,
    type_no     INTEGER NOT NULL,
    occurred_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    time_mark   INTEGER NOT NULL,
    dedupe_key  BLOB NOT NULL,
    body        BLOB NOT NULL
) STRICT;

CREATE TABLE event_duplicates (event_no INTEGER PRIMARY KEY, count INTEGER NOT NULL) STRICT;

-- One row per commit: eight bytes of the dedupe key of each of its events, whose numbers follow each other.
-- There is deliberately no index on the key itself; see fingerprints.rs.
CREATE TABLE dedupe_log (
    first_event_no INTEGER PRIMARY KEY,
    received_at    INTEGER NOT NULL,
    fingerprints   BLOB NOT NULL
) STRICT;

-- no = event_no * 65536 + ordinal: the deliveries of an event are a range of rows.
-- state: 0 pending, 1 delivered, 2 dead, 3 cancelled. class: 0 fresh, 1 retry, 2 replay.
CREATE TABLE deliveries (
    no             INTEGER PRIMARY KEY,
    destination_no INTEGER NOT NULL,
    state          INTEGER NOT NULL,
    class          INTEGER NOT NULL,
    attempts       INTEGER NOT NULL,
    spent          INTEGER NOT NULL,
    due_at         INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    reason         TEXT,
    ended_at       INTEGER,
    replay_no      INTEGER,
    dead_no        INTEGER,
    note           TEXT
) STRICT;

CREATE TABLE attempts (
    delivery_no INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    status      INTEGER,
    reason      TEXT,
    error       TEXT,
    reply       TEXT,
    PRIMARY KEY (delivery_no, number)
) STRICT, WITHOUT ROWID;

-- Pending retries and replays. Fresh deliveries are never here.
CREATE TABLE due (
    destination_no INTEGER NOT NULL,
    class          INTEGER NOT NULL,
    due_at         INTEGER NOT NULL,
    delivery_no    INTEGER NOT NULL,
    PRIMARY KEY (destination_no, class, due_at, delivery_no)
) STRICT, WITHOUT ROWID;

-- A fold sorts a stretch of the log into the tables below. Each fold is a run of its own at their right edge, so
-- that ten thousand destinations cost no more pages than one.
CREATE TABLE folds (
    no              INTEGER PRIMARY KEY,
    last_event_no   INTEGER NOT NULL,
    min_received_at INTEGER NOT NULL,
    max_received_at INTEGER NOT NULL
) STRICT;

-- A row is a block of entries; see blocks.rs.
CREATE TABLE event_runs (
    fold_no     INTEGER NOT NULL,
    appspace_no INTEGER NOT NULL,
    first_no    INTEGER NOT NULL,
    block       BLOB NOT NULL,
    PRIMARY KEY (fold_no, appspace_no, first_no)
) STRICT, WITHOUT ROWID;

CREATE TABLE delivery_runs (
    fold_no        INTEGER NOT NULL,
    destination_no INTEGER NOT NULL,
    first_no       INTEGER NOT NULL,
    block          BLOB NOT NULL,
    PRIMARY KEY (fold_no, destination_no, first_no)
) STRICT, WITHOUT ROWID;

-- Deliveries that were made after the fold of their event: by replays and by people.
CREATE TABLE late_deliveries (
    fold_no        INTEGER NOT NULL,
    destination_no INTEGER NOT NULL,
    delivery_no    INTEGER NOT NULL,
    PRIMARY KEY (fold_no, destination_no, delivery_no)
) STRICT, WITHOUT ROWID;

-- Fresh deliveries of folded events that are still pending. Those of the tail are in memory only.
CREATE TABLE fresh (
    fold_no        INTEGER NOT NULL,
    destination_no INTEGER NOT NULL,
    delivery_no    INTEGER NOT NULL,
    PRIMARY KEY (fold_no, destination_no, delivery_no)
) STRICT, WITHOUT ROWID;

-- Dead letters in the order in which they died.
CREATE TABLE dead (
    no             INTEGER PRIMARY KEY AUTOINCREMENT,
    appspace_no    INTEGER NOT NULL,
    destination_no INTEGER NOT NULL,
    delivery_no    INTEGER NOT NULL,
    reason         TEXT,
    died_at        INTEGER NOT NULL
) STRICT;

CREATE INDEX dead_of_appspace ON dead (appspace_no, no);

CREATE TABLE replays (
    no             INTEGER PRIMARY KEY AUTOINCREMENT,
    id             BLOB NOT NULL UNIQUE,
    appspace_no    INTEGER NOT NULL,
    destination_no INTEGER NOT NULL,
    is_running     INTEGER NOT NULL,
    cursor         BLOB,
    record         TEXT NOT NULL
) STRICT;

CREATE INDEX replays_of_appspace ON replays (appspace_no, no);
CREATE INDEX replays_running ON replays (no) WHERE is_running;

CREATE TABLE replay_deliveries (
    replay_no   INTEGER NOT NULL,
    delivery_no INTEGER NOT NULL,
    PRIMARY KEY (replay_no, delivery_no)
) STRICT, WITHOUT ROWID;

CREATE TABLE quarantine (
    no          INTEGER PRIMARY KEY AUTOINCREMENT,
    appspace    BLOB NOT NULL,
    source      BLOB NOT NULL,
    received_at INTEGER NOT NULL,
    reason      TEXT NOT NULL,
    body_hash   BLOB NOT NULL,
    body        BLOB NOT NULL,
    UNIQUE (appspace, source, body_hash)
) STRICT;

CREATE INDEX quarantine_of_source ON quarantine (appspace, source, no);

-- Work put off: 1 cancel what a deleted destination has left, 2 cancel what a cancelled replay has left.
CREATE TABLE chores (
    no         INTEGER PRIMARY KEY,
    kind       INTEGER NOT NULL,
    subject_no INTEGER NOT NULL,
    cursor     INTEGER NOT NULL,
    UNIQUE (kind, subject_no)
) STRICT;
