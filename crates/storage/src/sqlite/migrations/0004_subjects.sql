-- Events that may say who somebody is, until that has been read.
CREATE TABLE unfolded (event_no INTEGER PRIMARY KEY) STRICT;

-- What is kept of identifiers and subjects. A record is sealed, and the text of an identifier is only here as a keyed hash. An
-- identifier has a number as soon as a fact belongs to it, and a record once there is one.
CREATE TABLE identifiers (
    no          INTEGER PRIMARY KEY,
    appspace_no INTEGER NOT NULL,
    hash        BLOB NOT NULL,
    sealed      BLOB,
    UNIQUE (appspace_no, hash)
) STRICT;

CREATE TABLE subjects (
    no          INTEGER PRIMARY KEY,
    appspace_no INTEGER NOT NULL,
    id          BLOB NOT NULL,
    sealed      BLOB NOT NULL,
    UNIQUE (appspace_no, id)
) STRICT;

-- Which event holds a fact about whom, from both sides. An event's fact belongs to one identifier.
CREATE TABLE facts (event_no INTEGER PRIMARY KEY, identifier_no INTEGER NOT NULL) STRICT;

CREATE TABLE identifier_events (
    identifier_no INTEGER NOT NULL,
    event_no      INTEGER NOT NULL,
    PRIMARY KEY (identifier_no, event_no)
) STRICT, WITHOUT ROWID;
