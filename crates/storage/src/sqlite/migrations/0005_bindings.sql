-- Whether any destination has a record of a subject: retention asks when it is about to forget a device. Few memos are of this
-- kind, and the others are in no index.
CREATE INDEX memos_of_subjects ON memos (key) WHERE key >= 'bind:' AND key < 'bind;';
