-- Policies under the life cycle: where each stands, every version it had, who was asked, what happened.

CREATE TABLE policy (
    id         TEXT PRIMARY KEY,          -- policy-<slug>-<YYYYMMDD>
    name       TEXT NOT NULL,
    stage      TEXT NOT NULL CHECK (stage IN ('draft', 'review', 'approved', 'active', 'deprecated', 'archived')),
    revision   INTEGER NOT NULL,          -- raised by each write
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    doc        TEXT NOT NULL              -- domain::lifecycle::PolicyRecord
) STRICT, WITHOUT ROWID;
CREATE INDEX policy_name ON policy (name);

-- Versions never change and never go away: findings and history refer to them.
CREATE TABLE policy_version (
    policy  TEXT NOT NULL REFERENCES policy (id),
    seq     INTEGER NOT NULL,             -- from 1 without a gap
    version TEXT NOT NULL,                -- x.y.z
    hash    TEXT NOT NULL,
    change  TEXT NOT NULL CHECK (change IN ('minor', 'major')),
    summary TEXT NOT NULL,
    by_whom TEXT NOT NULL,
    at      INTEGER NOT NULL,
    format  TEXT NOT NULL,                -- ending of the file's name
    content TEXT NOT NULL,                -- the document as written
    json    TEXT NOT NULL,                -- the same as a plain value
    PRIMARY KEY (policy, seq),
    UNIQUE (policy, version)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER policy_version_no_update BEFORE UPDATE ON policy_version BEGIN
    SELECT RAISE (ABORT, 'versions of policies are append-only');
END;
CREATE TRIGGER policy_version_no_delete BEFORE DELETE ON policy_version BEGIN
    SELECT RAISE (ABORT, 'versions of policies are append-only');
END;

CREATE TABLE policy_event (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    policy  TEXT NOT NULL REFERENCES policy (id),
    at      INTEGER NOT NULL,
    by_whom TEXT NOT NULL,
    what    TEXT NOT NULL,                -- created, updated, submitted, approved, activated, …
    version TEXT NOT NULL,
    detail  TEXT NOT NULL
) STRICT;
CREATE INDEX policy_event_policy ON policy_event (policy, seq);
CREATE TRIGGER policy_event_no_update BEFORE UPDATE ON policy_event BEGIN
    SELECT RAISE (ABORT, 'the history of policies is append-only');
END;
CREATE TRIGGER policy_event_no_delete BEFORE DELETE ON policy_event BEGIN
    SELECT RAISE (ABORT, 'the history of policies is append-only');
END;

-- Questions to people, of every kind: one row for each person who is asked.
CREATE TABLE approval (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    kind       TEXT NOT NULL CHECK (kind IN ('policy_review', 'request', 'exception', 'remediation')),
    subject    TEXT NOT NULL,             -- id of what is asked about
    round      INTEGER NOT NULL DEFAULT 0, -- which state of it: a policy's version number
    approver   TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'rejected', 'withdrawn')),
    asked_by   TEXT NOT NULL,
    asked_at   INTEGER NOT NULL,
    decided_at INTEGER,
    comment    TEXT,
    doc        TEXT                       -- what a kind has beside that
) STRICT;
CREATE INDEX approval_subject ON approval (kind, subject, round);
CREATE INDEX approval_approver ON approval (approver, state);
-- One open question of a kind about a thing to one person.
CREATE UNIQUE INDEX approval_one_open ON approval (kind, subject, approver) WHERE state = 'pending';
