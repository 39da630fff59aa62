-- Where organisations are told of their investments, and what waits to be told. A delivered event is gone.
CREATE TABLE webhook (
    organisation_id BLOB NOT NULL PRIMARY KEY REFERENCES organisation (id),
    created_at INTEGER NOT NULL,
    url TEXT NOT NULL CHECK (length(url) BETWEEN 1 AND 2048),
    sealed BLOB NOT NULL,
    resting_since INTEGER,
    resting_reason TEXT CHECK ((resting_reason IS NULL) = (resting_since IS NULL)
        AND (resting_reason IS NULL OR resting_reason = 'failing' OR resting_reason = 'gone')),
    removed_at INTEGER CHECK (removed_at IS NULL OR resting_since IS NULL)
) STRICT;

CREATE TABLE webhook_event (
    id BLOB NOT NULL CHECK (length(id) = 16),
    organisation_id BLOB NOT NULL REFERENCES webhook (organisation_id),
    investment_id BLOB NOT NULL CHECK (length(investment_id) = 16),
    name TEXT NOT NULL CHECK (name = 'investment.status_changed' OR name = 'credit.finished'),
    status TEXT NOT NULL,
    credit_id BLOB CHECK (length(credit_id) = 16 AND (credit_id IS NULL) = (name = 'investment.status_changed')),
    changed_at INTEGER NOT NULL,
    sequence INTEGER NOT NULL CHECK (sequence >= 1),
    attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    due_at INTEGER NOT NULL,
    PRIMARY KEY (organisation_id, id)
) STRICT;
CREATE INDEX webhook_event_due ON webhook_event (organisation_id, due_at, id);
