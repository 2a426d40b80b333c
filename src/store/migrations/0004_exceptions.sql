-- Exceptions that people ask for and grant, what happened to each, and each scan that used one.
CREATE TABLE exception (
    id       TEXT PRIMARY KEY,            -- UUID, version 4
    account  TEXT NOT NULL,
    resource TEXT NOT NULL,
    policy   TEXT NOT NULL,
    rule     TEXT NOT NULL,
    status   TEXT NOT NULL CHECK (status IN ('pending', 'approved', 'rejected', 'expired', 'revoked')),
    revision INTEGER NOT NULL,            -- raised by each write
    asked_at INTEGER NOT NULL,
    doc      TEXT NOT NULL                -- domain::exception::ExceptionRecord
) STRICT, WITHOUT ROWID;
CREATE INDEX exception_resource ON exception (account, resource);
-- One open request for the same thing.
CREATE UNIQUE INDEX exception_one_open ON exception (account, resource, policy, rule) WHERE status = 'pending';

CREATE TABLE exception_event (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    exception TEXT NOT NULL REFERENCES exception (id),
    doc       TEXT NOT NULL               -- domain::exception::ExceptionEvent
) STRICT;
CREATE INDEX exception_event_exception ON exception_event (exception, seq);
CREATE TRIGGER exception_event_no_update BEFORE UPDATE ON exception_event BEGIN
    SELECT RAISE (ABORT, 'the history of exceptions is append-only');
END;
CREATE TRIGGER exception_event_no_delete BEFORE DELETE ON exception_event BEGIN
    SELECT RAISE (ABORT, 'the history of exceptions is append-only');
END;

-- Those of the settings are used too, so the id refers to no table.
CREATE TABLE exception_use (
    exception TEXT NOT NULL,
    scan      TEXT NOT NULL,
    finding   TEXT NOT NULL,
    at        INTEGER NOT NULL,
    PRIMARY KEY (exception, scan, finding)
) STRICT, WITHOUT ROWID;

-- Acts that a policy wants people's word for; the answers stand in `approval` under `act-<id>`.
CREATE TABLE act_request (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    finding  TEXT NOT NULL,
    step     TEXT NOT NULL,               -- hash of what is approved
    asked_at INTEGER NOT NULL,
    doc      TEXT NOT NULL                -- domain::act_approval::ActRequest
) STRICT;
CREATE INDEX act_request_finding ON act_request (finding, step);
