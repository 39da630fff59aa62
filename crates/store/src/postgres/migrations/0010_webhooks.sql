-- Where organisations are told of their investments, and what waits to be told. A delivered event is gone.
CREATE TABLE webhook (
    organisation_id uuid NOT NULL PRIMARY KEY REFERENCES organisation (id),
    created_at timestamptz NOT NULL,
    url text NOT NULL CHECK (length(url) BETWEEN 1 AND 2048),
    sealed bytea NOT NULL,
    resting_since timestamptz,
    resting_reason text CHECK ((resting_reason IS NULL) = (resting_since IS NULL)
        AND (resting_reason IS NULL OR resting_reason IN ('failing', 'gone'))),
    removed_at timestamptz CHECK (removed_at IS NULL OR resting_since IS NULL)
);

CREATE TABLE webhook_event (
    id uuid NOT NULL,
    organisation_id uuid NOT NULL REFERENCES webhook (organisation_id),
    investment_id uuid NOT NULL,
    name text NOT NULL CHECK (name IN ('investment.status_changed', 'credit.finished')),
    status text NOT NULL,
    credit_id uuid CHECK ((credit_id IS NULL) = (name = 'investment.status_changed')),
    changed_at timestamptz NOT NULL,
    sequence bigint NOT NULL CHECK (sequence >= 1),
    attempts bigint NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    due_at timestamptz NOT NULL,
    PRIMARY KEY (organisation_id, id)
);
CREATE INDEX webhook_event_due ON webhook_event (organisation_id, due_at, id);
