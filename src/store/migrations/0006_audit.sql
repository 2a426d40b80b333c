-- The trail takes its next row and nothing else. Without this an INSERT OR REPLACE would put a row in another's place:
-- SQLite fires no DELETE trigger for the row that it replaces.
CREATE TRIGGER audit_only_at_the_end BEFORE INSERT ON audit
WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM audit)
    OR NEW.previous IS NOT coalesce((SELECT hash FROM audit ORDER BY seq DESC LIMIT 1), hex(zeroblob(32)))
BEGIN
    SELECT RAISE (ABORT, 'the audit trail is append-only');
END;
