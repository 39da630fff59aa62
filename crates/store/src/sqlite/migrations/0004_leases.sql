-- Who works on a lane of background work, and under which fencing number.
CREATE TABLE lease (
    lane TEXT NOT NULL PRIMARY KEY,
    holder BLOB NOT NULL CHECK (length(holder) = 16),
    fencing INTEGER NOT NULL CHECK (fencing >= 1),
    expires_at INTEGER NOT NULL,
    version INTEGER NOT NULL CHECK (version >= 1)
) STRICT, WITHOUT ROWID;

-- The last wall against a holder that was taken over: a number never goes back.
CREATE TRIGGER lease_number_never_goes_back BEFORE UPDATE ON lease WHEN NEW.fencing < OLD.fencing
BEGIN
    SELECT RAISE(ABORT, 'a fencing number never goes back');
END;
