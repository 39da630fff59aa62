-- The tables of the embedded engine in the types of PostgreSQL: ids uuid, instants timestamptz, whole numbers and money
-- bigint, flags boolean, hashes and addresses bytea. The checks restate the coarse rules: a row that no sequence of acts
-- could have made is refused, whoever writes it.

CREATE TABLE organisation (
    id uuid NOT NULL PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('issuer', 'distributor', 'registrar')),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    created_at timestamptz NOT NULL,
    UNIQUE (kind, name)
);

CREATE TABLE client (
    id uuid NOT NULL PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES organisation (id),
    kind text NOT NULL CHECK (kind IN ('issuer', 'distributor', 'registrar')),
    created_at timestamptz NOT NULL,
    secret_digest bytea NOT NULL CHECK (length(secret_digest) = 32),
    epoch bigint NOT NULL CHECK (epoch >= 0),
    revoked_at timestamptz
);

CREATE TABLE issuer (
    id uuid NOT NULL PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES organisation (id),
    company_name text NOT NULL,
    commercial_register text NOT NULL,
    commercial_register_number text NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX issuer_by_organisation ON issuer (organisation_id, created_at, id);

CREATE TABLE product (
    id uuid NOT NULL PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES organisation (id),
    issuer_id uuid NOT NULL REFERENCES issuer (id),
    name text NOT NULL,
    asset_code text NOT NULL UNIQUE CHECK (length(asset_code) BETWEEN 1 AND 11),
    product_type text NOT NULL,
    ewpg boolean NOT NULL,
    isin text,
    issuable_units_max bigint NOT NULL CHECK (issuable_units_max >= 0),
    step_size bigint NOT NULL CHECK (step_size >= 1),
    agio_percent text NOT NULL,
    nominal_value_minor bigint,
    nominal_value_currency text,
    interest text NOT NULL CHECK (interest IN ('none')),
    outside_review boolean NOT NULL,
    strict_dates boolean NOT NULL,
    lock_in_until timestamptz,
    terms_hash bytea NOT NULL CHECK (length(terms_hash) = 32),
    created_at timestamptz NOT NULL,
    reserved bigint NOT NULL,
    campaigns_created bigint NOT NULL CHECK (campaigns_created >= 0),
    token_address bytea CHECK (length(token_address) = 20),
    version bigint NOT NULL CHECK (version >= 1),
    CHECK (reserved BETWEEN 0 AND issuable_units_max),
    CHECK ((nominal_value_minor IS NULL) = (nominal_value_currency IS NULL))
);
CREATE INDEX product_by_organisation ON product (organisation_id, created_at, id);
CREATE UNIQUE INDEX product_by_token_address ON product (token_address) WHERE token_address IS NOT NULL;

CREATE TABLE listing (
    id uuid NOT NULL PRIMARY KEY,
    product_id uuid NOT NULL REFERENCES product (id),
    platform_id uuid NOT NULL REFERENCES organisation (id),
    created_at timestamptz NOT NULL,
    UNIQUE (product_id, platform_id)
);
CREATE INDEX listing_by_platform ON listing (platform_id, product_id);

CREATE TABLE campaign (
    id uuid NOT NULL PRIMARY KEY,
    product_id uuid NOT NULL REFERENCES product (id),
    organisation_id uuid NOT NULL REFERENCES organisation (id),
    campaign_index bigint NOT NULL CHECK (campaign_index >= 1),
    platform_id uuid NOT NULL REFERENCES organisation (id),
    name text NOT NULL,
    allocation bigint NOT NULL CHECK (allocation >= 0),
    price_amount bigint NOT NULL CHECK (price_amount > 0),
    price_decimals bigint NOT NULL CHECK (price_decimals BETWEEN 0 AND 18),
    price_currency text NOT NULL CHECK (length(price_currency) = 3),
    min_number_of_tokens bigint NOT NULL CHECK (min_number_of_tokens >= 0),
    max_number_of_tokens bigint NOT NULL,
    legal_persons_allowed boolean NOT NULL,
    natural_persons_allowed boolean NOT NULL,
    country text NOT NULL CHECK (length(country) = 3),
    rule_type text NOT NULL CHECK (rule_type IN ('public_offering', 'minimum_investment_amount')),
    minimum_investment_amount_minor bigint CHECK (minimum_investment_amount_minor >= 0),
    minimum_investment_amount_currency text,
    agio_percent text NOT NULL,
    created_at timestamptz NOT NULL,
    used bigint NOT NULL,
    investments_created bigint NOT NULL CHECK (investments_created >= 0),
    is_active boolean NOT NULL,
    version bigint NOT NULL CHECK (version >= 1),
    UNIQUE (product_id, campaign_index),
    CHECK (used BETWEEN 0 AND allocation),
    CHECK (min_number_of_tokens <= max_number_of_tokens),
    CHECK ((rule_type = 'minimum_investment_amount') = (minimum_investment_amount_minor IS NOT NULL)),
    CHECK ((minimum_investment_amount_minor IS NULL) = (minimum_investment_amount_currency IS NULL))
);

CREATE TABLE investor (
    id uuid NOT NULL PRIMARY KEY,
    platform_id uuid NOT NULL REFERENCES organisation (id),
    person text NOT NULL CHECK (person IN ('natural_person', 'legal_person')),
    created_at timestamptz NOT NULL,
    kyc text NOT NULL CHECK (kyc IN ('PENDING', 'SUCCESS', 'REJECTED')),
    kyc_at timestamptz,
    kyc_valid_until timestamptz,
    benefiting_persons bigint NOT NULL CHECK (benefiting_persons >= 0),
    version bigint NOT NULL CHECK (version >= 1),
    CHECK ((kyc = 'PENDING') = (kyc_at IS NULL)),
    CHECK (kyc = 'SUCCESS' OR kyc_valid_until IS NULL)
);
CREATE INDEX investor_by_platform ON investor (platform_id, created_at, id);

CREATE TABLE investor_count (
    platform_id uuid NOT NULL PRIMARY KEY REFERENCES organisation (id),
    rows bigint NOT NULL CHECK (rows >= 0)
);

CREATE TABLE subject_key (
    investor_id uuid NOT NULL PRIMARY KEY REFERENCES investor (id),
    wrapped bytea NOT NULL
);

CREATE TABLE investor_person (
    investor_id uuid NOT NULL PRIMARY KEY REFERENCES investor (id),
    sealed bytea NOT NULL
);

CREATE TABLE wallet (
    id uuid NOT NULL PRIMARY KEY,
    investor_id uuid NOT NULL REFERENCES investor (id),
    platform_id uuid NOT NULL REFERENCES organisation (id),
    address bytea NOT NULL UNIQUE CHECK (length(address) = 20),
    receiving_enabled boolean NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX wallet_by_investor ON wallet (investor_id, created_at, id);

CREATE TABLE document (
    id uuid NOT NULL PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES organisation (id),
    file_name text NOT NULL,
    content_type text NOT NULL,
    size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
    sha256 bytea NOT NULL CHECK (length(sha256) = 32),
    content_check text NOT NULL CHECK (content_check IN ('pdf', 'not_pdf')),
    created_at timestamptz NOT NULL
);

CREATE TABLE investment (
    id uuid NOT NULL PRIMARY KEY,
    product_id uuid NOT NULL REFERENCES product (id),
    campaign_id uuid NOT NULL REFERENCES campaign (id),
    platform_id uuid NOT NULL REFERENCES organisation (id),
    issuer_organisation_id uuid NOT NULL REFERENCES organisation (id),
    investor_id uuid NOT NULL REFERENCES investor (id),
    number bigint NOT NULL CHECK (number >= 0),
    investment_type text NOT NULL CHECK (investment_type IN ('primary')),
    units bigint NOT NULL CHECK (units > 0),
    signed_at timestamptz NOT NULL,
    signed_received_at timestamptz NOT NULL,
    currency text NOT NULL CHECK (length(currency) = 3),
    created_at timestamptz NOT NULL,
    status text NOT NULL CHECK (status IN (
        'KYC_PENDING', 'REVIEW_PENDING', 'WAITING_FOR_ACCEPTANCE', 'ACCEPTED', 'PAID', 'DELIVERED',
        'KYC_INSUFFICIENT', 'ABORTED', 'REJECTION', 'CANCELLATION', 'PAYMENT_MISSING'
    )),
    remaining bigint NOT NULL,
    disagio_stated_minor bigint,
    investment_amount_minor bigint NOT NULL CHECK (investment_amount_minor >= 0),
    agio_minor bigint NOT NULL CHECK (agio_minor >= 0),
    disagio_minor bigint NOT NULL CHECK (disagio_minor >= 0),
    accrued_interest_minor bigint NOT NULL CHECK (accrued_interest_minor >= 0),
    payment_total_minor bigint NOT NULL,
    wallet_id uuid REFERENCES wallet (id),
    wallet_address bytea CHECK (length(wallet_address) = 20),
    kyc_passed_at timestamptz,
    review text NOT NULL CHECK (review IN ('not_asked', 'pending', 'passed')),
    review_passed_at timestamptz,
    accepted_at timestamptz,
    accepted_received_at timestamptz,
    paid_at timestamptz,
    paid_received_at timestamptz,
    delivered_at timestamptz,
    ending text CHECK (ending IN (
        'kyc_insufficient', 'aborted_by_investor', 'rejected_by_issuer', 'withdrawn_by_investor', 'payment_missing'
    )),
    cancellation_at timestamptz,
    cancellation_received_at timestamptz,
    refund_due boolean,
    latest_credit_id uuid,
    latest_credit_excludes boolean,
    updated_at timestamptz NOT NULL,
    version bigint NOT NULL CHECK (version >= 1),
    UNIQUE (product_id, number),
    CHECK (remaining BETWEEN 0 AND units),
    CHECK (payment_total_minor = investment_amount_minor + agio_minor - disagio_minor + accrued_interest_minor),
    CHECK ((wallet_id IS NULL) = (wallet_address IS NULL)),
    CHECK ((review = 'passed') = (review_passed_at IS NOT NULL)),
    CHECK ((accepted_at IS NULL) = (accepted_received_at IS NULL)),
    CHECK ((paid_at IS NULL) = (paid_received_at IS NULL)),
    CHECK (paid_at IS NULL OR accepted_at IS NOT NULL),
    CHECK (delivered_at IS NULL OR (paid_at IS NOT NULL AND wallet_id IS NOT NULL)),
    CHECK ((ending IS NULL) = (cancellation_at IS NULL)),
    CHECK ((ending IS NULL) = (cancellation_received_at IS NULL)),
    CHECK ((ending IS NULL) = (refund_due IS NULL)),
    CHECK ((latest_credit_id IS NULL) = (latest_credit_excludes IS NULL)),
    CHECK (coalesce(ending, '') = CASE status
        WHEN 'KYC_INSUFFICIENT' THEN 'kyc_insufficient'
        WHEN 'ABORTED' THEN 'aborted_by_investor'
        WHEN 'REJECTION' THEN 'rejected_by_issuer'
        WHEN 'CANCELLATION' THEN 'withdrawn_by_investor'
        WHEN 'PAYMENT_MISSING' THEN 'payment_missing'
        ELSE '' END),
    CHECK (status <> 'ACCEPTED' OR accepted_at IS NOT NULL),
    CHECK (status <> 'PAID' OR paid_at IS NOT NULL),
    CHECK (ending IS NOT NULL OR (status = 'DELIVERED') = (delivered_at IS NOT NULL))
);
CREATE INDEX investment_by_platform ON investment (platform_id, created_at, id);
CREATE INDEX investment_by_issuer ON investment (issuer_organisation_id, created_at, id);
CREATE INDEX investment_by_investor ON investment (investor_id, created_at, id);
CREATE INDEX investment_by_campaign ON investment (campaign_id, created_at, id);

-- How many investments there are of each status; changed in the commit that changes them.
CREATE TABLE investment_count (
    platform_id uuid NOT NULL REFERENCES organisation (id),
    product_id uuid NOT NULL REFERENCES product (id),
    campaign_id uuid NOT NULL REFERENCES campaign (id),
    status text NOT NULL,
    rows bigint NOT NULL CHECK (rows >= 0),
    PRIMARY KEY (platform_id, product_id, campaign_id, status)
);
CREATE INDEX investment_count_by_product ON investment_count (product_id);

CREATE TABLE signed_document (
    id uuid NOT NULL,
    investment_id uuid NOT NULL REFERENCES investment (id),
    position bigint NOT NULL CHECK (position >= 0),
    document_type text NOT NULL CHECK (document_type IN ('effecta_cryptoregistry_tos', 'effecta_document')),
    document_id uuid NOT NULL REFERENCES document (id),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (investment_id, position)
);
CREATE INDEX signed_document_by_document ON signed_document (document_id);

CREATE TABLE credit (
    id uuid NOT NULL PRIMARY KEY,
    investment_id uuid NOT NULL REFERENCES investment (id),
    product_id uuid NOT NULL REFERENCES product (id),
    platform_id uuid NOT NULL REFERENCES organisation (id),
    investor_id uuid NOT NULL REFERENCES investor (id),
    number bigint NOT NULL CHECK (number >= 0),
    units bigint NOT NULL CHECK (units > 0),
    address bytea NOT NULL CHECK (length(address) = 20),
    created_at timestamptz NOT NULL,
    status text NOT NULL CHECK (status IN ('processing', 'succeeded', 'failed')),
    transaction_hash bytea CHECK (length(transaction_hash) = 32),
    block_number bigint CHECK (block_number >= 0),
    failure text CHECK (failure IN (
        'account_blocked', 'address_forbidden', 'cap_exceeded', 'refused_by_contract', 'expired'
    )),
    finished_at timestamptz,
    version bigint NOT NULL CHECK (version >= 1),
    CHECK ((status = 'succeeded') = (transaction_hash IS NOT NULL)),
    CHECK ((status = 'succeeded') = (block_number IS NOT NULL)),
    CHECK ((status = 'failed') = (failure IS NOT NULL)),
    CHECK ((status = 'processing') = (finished_at IS NULL))
);
-- An investment is written before its newest credit in the same commit.
ALTER TABLE investment ADD FOREIGN KEY (latest_credit_id) REFERENCES credit (id) DEFERRABLE INITIALLY DEFERRED;
-- The last wall against issuing units twice: no second credit while one runs or has succeeded.
CREATE UNIQUE INDEX credit_one_per_investment ON credit (investment_id) WHERE status <> 'failed';
CREATE INDEX credit_by_investment ON credit (investment_id, created_at, id);

CREATE TABLE signer (
    address bytea NOT NULL PRIMARY KEY CHECK (length(address) = 20),
    next_nonce bigint NOT NULL CHECK (next_nonce >= 0),
    version bigint NOT NULL CHECK (version >= 1)
);

CREATE TABLE ledger_transaction (
    id uuid NOT NULL PRIMARY KEY,
    signer bytea NOT NULL REFERENCES signer (address),
    nonce bigint NOT NULL CHECK (nonce >= 0),
    purpose text NOT NULL CHECK (purpose IN ('deploy_factory', 'deploy_token', 'execute')),
    product_id uuid REFERENCES product (id),
    valid_until_seconds bigint,
    created_at timestamptz NOT NULL,
    state text NOT NULL CHECK (state IN ('live', 'closed')),
    version bigint NOT NULL CHECK (version >= 1),
    UNIQUE (signer, nonce),
    CHECK ((purpose = 'deploy_factory') = (product_id IS NULL)),
    CHECK ((purpose = 'execute') = (valid_until_seconds IS NOT NULL))
);
CREATE INDEX ledger_transaction_live ON ledger_transaction (signer, nonce) WHERE state = 'live';

CREATE TABLE attempt (
    id uuid NOT NULL PRIMARY KEY,
    ledger_transaction_id uuid NOT NULL REFERENCES ledger_transaction (id),
    raw bytea NOT NULL,
    hash bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
    created_at timestamptz NOT NULL
);
CREATE INDEX attempt_by_ledger_transaction ON attempt (ledger_transaction_id, created_at, id);

CREATE TABLE instruction (
    id uuid NOT NULL PRIMARY KEY,
    credit_id uuid NOT NULL UNIQUE REFERENCES credit (id),
    product_id uuid NOT NULL REFERENCES product (id),
    investment_id uuid NOT NULL REFERENCES investment (id),
    number bigint NOT NULL CHECK (number >= 0),
    account bytea NOT NULL CHECK (length(account) = 20),
    units bigint NOT NULL CHECK (units > 0),
    created_at timestamptz NOT NULL,
    state text NOT NULL CHECK (state IN ('queued', 'bound', 'judged')),
    ledger_transaction_id uuid REFERENCES ledger_transaction (id),
    version bigint NOT NULL CHECK (version >= 1),
    CHECK ((state = 'bound') = (ledger_transaction_id IS NOT NULL))
);
CREATE INDEX instruction_queued ON instruction (product_id, created_at, id) WHERE state = 'queued';
CREATE INDEX instruction_bound ON instruction (ledger_transaction_id, created_at, id) WHERE ledger_transaction_id IS NOT NULL;

CREATE TABLE journal (
    sequence bigint NOT NULL PRIMARY KEY CHECK (sequence >= 1),
    occurred_at timestamptz NOT NULL,
    actor uuid,
    act text NOT NULL,
    object_kind text NOT NULL,
    object_id uuid NOT NULL,
    subject uuid,
    state_mac bytea NOT NULL CHECK (length(state_mac) = 32),
    previous_hash bytea NOT NULL CHECK (length(previous_hash) = 32),
    hash bytea NOT NULL CHECK (length(hash) = 32)
);
-- The journal's newest entry: one row. Whoever holds its lock appends next.
CREATE TABLE journal_head (
    is_head boolean NOT NULL PRIMARY KEY CHECK (is_head),
    sequence bigint NOT NULL CHECK (sequence >= 0),
    hash bytea NOT NULL CHECK (length(hash) = 32)
) WITH (fillfactor = 20);
INSERT INTO journal_head (is_head, sequence, hash) VALUES (true, 0, decode(repeat('00', 32), 'hex'));

CREATE FUNCTION refuse_journal_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the journal is append-only';
END
$$;
CREATE TRIGGER journal_is_not_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON journal
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_journal_change();

-- One look per statement: every new entry comes after the head.
CREATE FUNCTION refuse_journal_insertion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT min(sequence) FROM appended) <= (SELECT sequence FROM journal_head) THEN
        RAISE EXCEPTION 'the journal is append-only';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER journal_is_appended AFTER INSERT ON journal REFERENCING NEW TABLE AS appended
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_journal_insertion();

CREATE TABLE setting (
    name text NOT NULL PRIMARY KEY,
    value bytea NOT NULL
);

CREATE TABLE revoked_token (
    id uuid NOT NULL PRIMARY KEY,
    expires_at timestamptz NOT NULL
);

-- What the tables of a day are made like: remembered answers, and ids of committed batches. These two stay empty.
CREATE TABLE answer (
    organisation_id uuid NOT NULL,
    client_id uuid NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL CHECK (length(fingerprint) = 32),
    status bigint NOT NULL CHECK (status BETWEEN 100 AND 599),
    is_problem boolean NOT NULL,
    body bytea NOT NULL,
    subject uuid,
    PRIMARY KEY (organisation_id, client_id, key)
);
-- Sealed bodies do not compress.
ALTER TABLE answer ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE TABLE batch (
    id uuid NOT NULL PRIMARY KEY
);
