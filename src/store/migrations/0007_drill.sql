-- Restore drills: one row each, moved in place; what became of each is in the audit trail as well.

CREATE TABLE IF NOT EXISTS drill (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    state      TEXT NOT NULL,
    ended      INTEGER NOT NULL CHECK (ended IN (0, 1)),
    fence      INTEGER NOT NULL,
    begun_at   INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    doc        TEXT NOT NULL              -- domain::drill::Drill
) STRICT;
-- One at a time: a drill that was interrupted is ended before another begins.
CREATE UNIQUE INDEX IF NOT EXISTS drill_one_open ON drill (ended) WHERE ended = 0;
