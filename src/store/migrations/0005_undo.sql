-- Undos: one row for each try to take an act back, one history row for each transition, as in the journal.

CREATE TABLE IF NOT EXISTS undo (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    remediation INTEGER NOT NULL REFERENCES remediation (id),
    resource    TEXT NOT NULL,            -- ResourceKey that the act was on
    state       TEXT NOT NULL,
    ended       INTEGER NOT NULL CHECK (ended IN (0, 1)),
    fence       INTEGER NOT NULL,
    claimed_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    doc         TEXT NOT NULL             -- domain::undo::Undo
) STRICT;
-- One open undo per resource, and an act is taken back once.
CREATE UNIQUE INDEX IF NOT EXISTS undo_one_open ON undo (resource) WHERE ended = 0;
CREATE UNIQUE INDEX IF NOT EXISTS undo_once ON undo (remediation) WHERE state = 'J11_done';

CREATE TABLE IF NOT EXISTS undo_history (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    undo    INTEGER NOT NULL REFERENCES undo (id),
    at      INTEGER NOT NULL,
    state   TEXT NOT NULL,
    fence   INTEGER NOT NULL,
    message TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS undo_history_row ON undo_history (undo, seq);
