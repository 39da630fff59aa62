CREATE TABLE campaign (
    id uuid PRIMARY KEY,
    allocation bigint NOT NULL,
    used bigint NOT NULL DEFAULT 0,
    CHECK (used BETWEEN 0 AND allocation)
);
CREATE TABLE investment (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    campaign_id uuid NOT NULL REFERENCES campaign (id),
    investor_id uuid NOT NULL,
    units bigint NOT NULL CHECK (units > 0),
    signed_at text NOT NULL,
    idempotency_key text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);
