-- Instants are whole microseconds since 1970 UTC; money is whole micro-dollars; documents are JSON text.

-- Facts about this state file: state_id (made once), epoch (raised by a restore), clock_mark (latest wall clock seen).
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE scan (
    id          TEXT PRIMARY KEY,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER,
    complete    INTEGER NOT NULL DEFAULT 0 CHECK (complete IN (0, 1)), -- ended, every partition trusted
    doc         TEXT NOT NULL,            -- domain::scan::Scan
    summary     TEXT                      -- engine's fold over the scan: score, counts by policy and team
) STRICT;
CREATE INDEX scan_started ON scan (started_at);

-- One partition's night: resources and facts as read, compressed; kept 35 days (`inventory.keep_nights`).
CREATE TABLE night (
    scan_id   TEXT NOT NULL REFERENCES scan (id) ON DELETE CASCADE,
    account   TEXT NOT NULL,
    region    TEXT NOT NULL,
    kind      TEXT NOT NULL,
    taken_at  INTEGER NOT NULL,
    status    TEXT NOT NULL,              -- complete | partial | failed
    suspect   INTEGER NOT NULL,           -- 1: the inventory floor does not believe it
    resources INTEGER NOT NULL,
    blob      BLOB NOT NULL,
    UNIQUE (account, region, kind, taken_at)
) STRICT;
CREATE INDEX night_scan ON night (scan_id);

-- Our own clock for what the cloud does not date: how long a resource has been seen unattached or unassociated.
CREATE TABLE sighting (
    resource TEXT PRIMARY KEY,            -- ResourceKey
    account  TEXT NOT NULL,
    region   TEXT NOT NULL,
    kind     TEXT NOT NULL,
    since    INTEGER NOT NULL,
    scans    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sighting_partition ON sighting (account, region, kind);

CREATE TABLE finding (
    id          TEXT PRIMARY KEY,
    account     TEXT NOT NULL,
    region      TEXT NOT NULL,
    kind        TEXT NOT NULL,
    resource    TEXT NOT NULL,            -- ResourceKey
    policy      TEXT NOT NULL,
    rule        TEXT NOT NULL,
    severity    TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('open', 'excepted', 'remediated', 'resolved')),
    phase       TEXT NOT NULL,
    owner       TEXT,
    detected_at INTEGER NOT NULL,
    seen_at     INTEGER NOT NULL,
    due_at      INTEGER,
    closed_at   INTEGER,
    monthly     INTEGER,                  -- micro-dollars a month; NULL is unknown
    doc         TEXT NOT NULL             -- domain::finding::Finding
) STRICT;
CREATE INDEX finding_partition ON finding (account, region, kind, id);
CREATE INDEX finding_state ON finding (state, due_at);
CREATE INDEX finding_resource ON finding (resource);
CREATE INDEX finding_detected ON finding (detected_at);

-- What happened to a finding, in order; append only.
CREATE TABLE finding_event (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    finding TEXT NOT NULL,
    at      INTEGER NOT NULL,
    what    TEXT NOT NULL,                -- detected, excepted, escalated, resolved, reopened, …
    detail  TEXT NOT NULL
) STRICT;
CREATE INDEX finding_event_finding ON finding_event (finding, seq);
CREATE INDEX finding_event_at ON finding_event (at);
CREATE TRIGGER finding_event_no_update BEFORE UPDATE ON finding_event BEGIN
    SELECT RAISE (ABORT, 'the history of findings is append-only');
END;
CREATE TRIGGER finding_event_no_delete BEFORE DELETE ON finding_event BEGIN
    SELECT RAISE (ABORT, 'the history of findings is append-only');
END;

-- Every message that is to leave, with its delivery; a row is written in the transaction that decides to send it.
CREATE TABLE outbox (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    dedup        TEXT NOT NULL UNIQUE,    -- what makes it the same message: kind, recipient, subject matter
    kind         TEXT NOT NULL,           -- notice, report, budget, alert
    recipient    TEXT NOT NULL,
    message      TEXT NOT NULL,           -- deliver::Message without attachments
    attachments  BLOB,                    -- deliver's own framing
    created_at   INTEGER NOT NULL,
    next_try_at  INTEGER NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    last_error   TEXT,
    delivered_at INTEGER,
    dead_at      INTEGER                  -- given up after too many failures
) STRICT;
CREATE INDEX outbox_pending ON outbox (next_try_at) WHERE delivered_at IS NULL AND dead_at IS NULL;

-- Which finding a message speaks of; delivery of the message starts or ends that finding's clocks.
CREATE TABLE notice (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    finding      TEXT NOT NULL,
    kind         TEXT NOT NULL,
    outbox       INTEGER NOT NULL REFERENCES outbox (id),
    decided_at   INTEGER NOT NULL,
    delivered_at INTEGER
) STRICT;
CREATE INDEX notice_finding ON notice (finding, kind);
CREATE INDEX notice_outbox ON notice (outbox);
CREATE INDEX notice_delivered ON notice (delivered_at);

CREATE TABLE plan (
    id         TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    doc        TEXT NOT NULL              -- domain::plan::Plan
) STRICT, WITHOUT ROWID;

CREATE TABLE plan_held (
    plan TEXT NOT NULL REFERENCES plan (id) ON DELETE CASCADE,
    seq  INTEGER NOT NULL,
    code TEXT NOT NULL,
    doc  TEXT NOT NULL,                   -- domain::plan::Held
    PRIMARY KEY (plan, seq)
) STRICT, WITHOUT ROWID;

-- The journal: one row per act, one history row per transition, each its own durable commit.
CREATE TABLE remediation (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    finding    TEXT NOT NULL,
    resource   TEXT NOT NULL,
    account    TEXT NOT NULL,
    act        TEXT NOT NULL,
    state      TEXT NOT NULL,
    ended      INTEGER NOT NULL CHECK (ended IN (0, 1)),
    settled_at INTEGER,                   -- when a person settled a stuck act
    fence      INTEGER NOT NULL,
    claimed_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    doc        TEXT NOT NULL              -- domain::remediation::Remediation
) STRICT;
-- One open act per resource, whatever the worker believes; a stuck one blocks until a person settled it.
CREATE UNIQUE INDEX remediation_one_open ON remediation (resource)
    WHERE ended = 0 OR (state = 'stuck' AND settled_at IS NULL);
CREATE INDEX remediation_resource ON remediation (resource);
CREATE INDEX remediation_finding ON remediation (finding);
CREATE INDEX remediation_updated ON remediation (updated_at);

CREATE TABLE remediation_history (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    remediation INTEGER NOT NULL REFERENCES remediation (id),
    at          INTEGER NOT NULL,
    state       TEXT NOT NULL,
    fence       INTEGER NOT NULL,
    message     TEXT NOT NULL
) STRICT;
CREATE INDEX remediation_history_row ON remediation_history (remediation, seq);
CREATE INDEX remediation_history_state ON remediation_history (state, at);

-- What the gate lets through, counted by it alone (not from the planner's or the journal's rows).
CREATE TABLE gate_pass (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    remediation INTEGER NOT NULL,
    run         TEXT NOT NULL,
    account     TEXT NOT NULL,
    kind        TEXT NOT NULL,
    class       TEXT NOT NULL CHECK (class IN ('destructive', 'disruptive', 'tag')),
    at          INTEGER NOT NULL
) STRICT;
CREATE INDEX gate_pass_at ON gate_pass (account, at);
CREATE INDEX gate_pass_run ON gate_pass (run);

-- Leases with fence numbers: acting (one a run) and scanning (one a partition).
CREATE TABLE lease (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    fence      INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE slot (
    job         TEXT NOT NULL,
    slot_at     INTEGER NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'missed')),
    started_at  INTEGER,
    finished_at INTEGER,
    message     TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (job, slot_at)
) STRICT, WITHOUT ROWID;

CREATE TABLE arming (
    account     TEXT PRIMARY KEY,
    by_whom     TEXT NOT NULL,
    at          INTEGER NOT NULL,
    until       INTEGER NOT NULL,
    policies    TEXT NOT NULL             -- [[name, hash], …]
) STRICT, WITHOUT ROWID;

-- All is frozen while any row has no lifted_at.
CREATE TABLE freeze (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    at        INTEGER NOT NULL,
    by_whom   TEXT NOT NULL,
    reason    TEXT NOT NULL,
    lifted_at INTEGER,
    lifted_by TEXT
) STRICT;

CREATE TABLE cost_day (
    account     TEXT NOT NULL,
    day         TEXT NOT NULL,            -- YYYY-MM-DD, UTC
    group_kind  TEXT NOT NULL CHECK (group_kind IN ('service', 'tag')),
    group_key   TEXT NOT NULL,            -- '' for services, else the tag's key
    group_value TEXT NOT NULL,
    amount      INTEGER NOT NULL,
    estimated   INTEGER NOT NULL CHECK (estimated IN (0, 1)),
    PRIMARY KEY (account, day, group_kind, group_key, group_value)
) STRICT, WITHOUT ROWID;

-- When a cost query was last answered, so that it is asked once a day.
CREATE TABLE cost_read (
    account   TEXT NOT NULL,
    group_by  TEXT NOT NULL,              -- 'service' or 'tag:KEY'
    read_at   INTEGER NOT NULL,
    from_day  TEXT NOT NULL,
    to_day    TEXT NOT NULL,
    PRIMARY KEY (account, group_by)
) STRICT, WITHOUT ROWID;

-- A threshold fires once per period.
CREATE TABLE budget_alert (
    policy  TEXT NOT NULL,
    rule    TEXT NOT NULL,
    period  TEXT NOT NULL,                -- month:YYYY-MM-01 or quarter:YYYY-MM-01
    percent INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    doc     TEXT NOT NULL,                -- domain::budget::BudgetAlert
    PRIMARY KEY (policy, rule, period, percent)
) STRICT, WITHOUT ROWID;

-- Requests made to the cloud, by UTC day.
CREATE TABLE request_day (
    day       TEXT NOT NULL,
    service   TEXT NOT NULL,
    operation TEXT NOT NULL,
    count     INTEGER NOT NULL,
    retries   INTEGER NOT NULL,
    usd       INTEGER,
    PRIMARY KEY (day, service, operation)
) STRICT, WITHOUT ROWID;

-- Append-only, hash-chained: each row's hash covers the one before it.
CREATE TABLE audit (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    at       INTEGER NOT NULL,
    actor    TEXT NOT NULL,
    what     TEXT NOT NULL,
    subject  TEXT NOT NULL,
    detail   TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash     TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN
    SELECT RAISE (ABORT, 'the audit trail is append-only');
END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN
    SELECT RAISE (ABORT, 'the audit trail is append-only');
END;
