-- Violations that the decision point found, each step after them with its own outcome, and tickets for people.
CREATE TABLE violation (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    at       INTEGER NOT NULL,
    policy   TEXT NOT NULL,
    state    TEXT NOT NULL CHECK (state IN ('open', 'in_progress', 'resolved')),
    doc      TEXT NOT NULL                -- domain::violation::RecordedViolation
) STRICT;
CREATE INDEX violation_at ON violation (at);

CREATE TABLE violation_step (
    violation INTEGER NOT NULL REFERENCES violation (id),
    seq       INTEGER NOT NULL,
    doc       TEXT NOT NULL,              -- domain::violation::StepOutcome
    PRIMARY KEY (violation, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE ticket (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    violation INTEGER NOT NULL UNIQUE REFERENCES violation (id),
    doc       TEXT NOT NULL               -- domain::violation::Ticket
) STRICT;
