-- Ids are 16 bytes, instants microseconds since 1970-01-01T00:00:00Z, money whole minor units, flags 0 or 1.
-- The checks restate the coarse rules: a row that no sequence of acts could have made is refused, whoever writes it.
--
-- Tables keep their rowid unless said otherwise: ids ascend with time, so rows are appended, and the index of the id
-- holds 16 bytes a row instead of moving whole rows about.

CREATE TABLE organisation (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    kind TEXT NOT NULL CHECK (kind IN ('issuer', 'distributor', 'registrar')),
    name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    created_at INTEGER NOT NULL,
    UNIQUE (kind, name)
) STRICT;

CREATE TABLE client (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    organisation_id BLOB NOT NULL REFERENCES organisation (id),
    kind TEXT NOT NULL CHECK (kind IN ('issuer', 'distributor', 'registrar')),
    created_at INTEGER NOT NULL,
    secret_digest BLOB NOT NULL CHECK (length(secret_digest) = 32),
    epoch INTEGER NOT NULL CHECK (epoch >= 0),
    revoked_at INTEGER
) STRICT;

CREATE TABLE issuer (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    organisation_id BLOB NOT NULL REFERENCES organisation (id),
    company_name TEXT NOT NULL,
    commercial_register TEXT NOT NULL,
    commercial_register_number TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX issuer_by_organisation ON issuer (organisation_id, created_at, id);

CREATE TABLE product (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    organisation_id BLOB NOT NULL REFERENCES organisation (id),
    issuer_id BLOB NOT NULL REFERENCES issuer (id),
    name TEXT NOT NULL,
    asset_code TEXT NOT NULL UNIQUE CHECK (length(asset_code) BETWEEN 1 AND 11),
    product_type TEXT NOT NULL,
    ewpg INTEGER NOT NULL CHECK (ewpg IN (0, 1)),
    isin TEXT,
    issuable_units_max INTEGER NOT NULL CHECK (issuable_units_max >= 0),
    step_size INTEGER NOT NULL CHECK (step_size >= 1),
    agio_percent TEXT NOT NULL,
    nominal_value_minor INTEGER,
    nominal_value_currency TEXT,
    interest TEXT NOT NULL CHECK (interest IN ('none')),
    outside_review INTEGER NOT NULL CHECK (outside_review IN (0, 1)),
    strict_dates INTEGER NOT NULL CHECK (strict_dates IN (0, 1)),
    lock_in_until INTEGER,
    terms_hash BLOB NOT NULL CHECK (length(terms_hash) = 32),
    created_at INTEGER NOT NULL,
    reserved INTEGER NOT NULL,
    campaigns_created INTEGER NOT NULL CHECK (campaigns_created >= 0),
    token_address BLOB CHECK (length(token_address) = 20),
    version INTEGER NOT NULL CHECK (version >= 1),
    CHECK (reserved BETWEEN 0 AND issuable_units_max),
    CHECK ((nominal_value_minor IS NULL) = (nominal_value_currency IS NULL))
) STRICT;
CREATE INDEX product_by_organisation ON product (organisation_id, created_at, id);
CREATE UNIQUE INDEX product_by_token_address ON product (token_address) WHERE token_address IS NOT NULL;

CREATE TABLE listing (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    product_id BLOB NOT NULL REFERENCES product (id),
    platform_id BLOB NOT NULL REFERENCES organisation (id),
    created_at INTEGER NOT NULL,
    UNIQUE (product_id, platform_id)
) STRICT;
CREATE INDEX listing_by_platform ON listing (platform_id, product_id);

CREATE TABLE campaign (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    product_id BLOB NOT NULL REFERENCES product (id),
    organisation_id BLOB NOT NULL REFERENCES organisation (id),
    campaign_index INTEGER NOT NULL CHECK (campaign_index >= 1),
    platform_id BLOB NOT NULL REFERENCES organisation (id),
    name TEXT NOT NULL,
    allocation INTEGER NOT NULL CHECK (allocation >= 0),
    price_amount INTEGER NOT NULL CHECK (price_amount > 0),
    price_decimals INTEGER NOT NULL CHECK (price_decimals BETWEEN 0 AND 18),
    price_currency TEXT NOT NULL CHECK (length(price_currency) = 3),
    min_number_of_tokens INTEGER NOT NULL CHECK (min_number_of_tokens >= 0),
    max_number_of_tokens INTEGER NOT NULL,
    legal_persons_allowed INTEGER NOT NULL CHECK (legal_persons_allowed IN (0, 1)),
    natural_persons_allowed INTEGER NOT NULL CHECK (natural_persons_allowed IN (0, 1)),
    country TEXT NOT NULL CHECK (length(country) = 3),
    rule_type TEXT NOT NULL CHECK (rule_type IN ('public_offering', 'minimum_investment_amount')),
    minimum_investment_amount_minor INTEGER CHECK (minimum_investment_amount_minor >= 0),
    minimum_investment_amount_currency TEXT,
    agio_percent TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    used INTEGER NOT NULL,
    investments_created INTEGER NOT NULL CHECK (investments_created >= 0),
    is_active INTEGER NOT NULL CHECK (is_active IN (0, 1)),
    version INTEGER NOT NULL CHECK (version >= 1),
    UNIQUE (product_id, campaign_index),
    CHECK (used BETWEEN 0 AND allocation),
    CHECK (min_number_of_tokens <= max_number_of_tokens),
    CHECK ((rule_type = 'minimum_investment_amount') = (minimum_investment_amount_minor IS NOT NULL)),
    CHECK ((minimum_investment_amount_minor IS NULL) = (minimum_investment_amount_currency IS NULL))
) STRICT;

CREATE TABLE investor (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    platform_id BLOB NOT NULL REFERENCES organisation (id),
    person TEXT NOT NULL CHECK (person IN ('natural_person', 'legal_person')),
    created_at INTEGER NOT NULL,
    kyc TEXT NOT NULL CHECK (kyc IN ('PENDING', 'SUCCESS', 'REJECTED')),
    kyc_at INTEGER,
    kyc_valid_until INTEGER,
    benefiting_persons INTEGER NOT NULL CHECK (benefiting_persons >= 0),
    version INTEGER NOT NULL CHECK (version >= 1),
    CHECK ((kyc = 'PENDING') = (kyc_at IS NULL)),
    CHECK (kyc = 'SUCCESS' OR kyc_valid_until IS NULL)
) STRICT;
CREATE INDEX investor_by_platform ON investor (platform_id, created_at, id);

-- Investors of each platform, counted. WITHOUT ROWID: small rows that are found by their key and nothing else.
CREATE TABLE investor_count (
    platform_id BLOB NOT NULL PRIMARY KEY REFERENCES organisation (id),
    rows INTEGER NOT NULL CHECK (rows >= 0)
) STRICT, WITHOUT ROWID;

-- Deleting the row erases the person. WITHOUT ROWID: as above.
CREATE TABLE subject_key (
    investor_id BLOB NOT NULL PRIMARY KEY REFERENCES investor (id),
    wrapped BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE investor_person (
    investor_id BLOB NOT NULL PRIMARY KEY REFERENCES investor (id),
    sealed BLOB NOT NULL
) STRICT;

CREATE TABLE wallet (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    investor_id BLOB NOT NULL REFERENCES investor (id),
    platform_id BLOB NOT NULL REFERENCES organisation (id),
    address BLOB NOT NULL UNIQUE CHECK (length(address) = 20),
    receiving_enabled INTEGER NOT NULL CHECK (receiving_enabled IN (0, 1)),
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX wallet_by_investor ON wallet (investor_id, created_at, id);

CREATE TABLE document (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    organisation_id BLOB NOT NULL REFERENCES organisation (id),
    file_name TEXT NOT NULL,
    content_type TEXT NOT NULL,
    size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
    sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
    content_check TEXT NOT NULL CHECK (content_check IN ('pdf', 'not_pdf')),
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE investment (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    product_id BLOB NOT NULL REFERENCES product (id),
    campaign_id BLOB NOT NULL REFERENCES campaign (id),
    platform_id BLOB NOT NULL REFERENCES organisation (id),
    issuer_organisation_id BLOB NOT NULL REFERENCES organisation (id),
    investor_id BLOB NOT NULL REFERENCES investor (id),
    number INTEGER NOT NULL CHECK (number >= 0),
    investment_type TEXT NOT NULL CHECK (investment_type IN ('primary')),
    units INTEGER NOT NULL CHECK (units > 0),
    signed_at INTEGER NOT NULL,
    signed_received_at INTEGER NOT NULL,
    currency TEXT NOT NULL CHECK (length(currency) = 3),
    created_at INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN (
        'KYC_PENDING', 'REVIEW_PENDING', 'WAITING_FOR_ACCEPTANCE', 'ACCEPTED', 'PAID', 'DELIVERED',
        'KYC_INSUFFICIENT', 'ABORTED', 'REJECTION', 'CANCELLATION', 'PAYMENT_MISSING'
    )),
    remaining INTEGER NOT NULL,
    disagio_stated_minor INTEGER,
    investment_amount_minor INTEGER NOT NULL CHECK (investment_amount_minor >= 0),
    agio_minor INTEGER NOT NULL CHECK (agio_minor >= 0),
    disagio_minor INTEGER NOT NULL CHECK (disagio_minor >= 0),
    accrued_interest_minor INTEGER NOT NULL CHECK (accrued_interest_minor >= 0),
    payment_total_minor INTEGER NOT NULL,
    wallet_id BLOB REFERENCES wallet (id),
    wallet_address BLOB CHECK (length(wallet_address) = 20),
    kyc_passed_at INTEGER,
    review TEXT NOT NULL CHECK (review IN ('not_asked', 'pending', 'passed')),
    review_passed_at INTEGER,
    accepted_at INTEGER,
    accepted_received_at INTEGER,
    paid_at INTEGER,
    paid_received_at INTEGER,
    delivered_at INTEGER,
    ending TEXT CHECK (ending IN (
        'kyc_insufficient', 'aborted_by_investor', 'rejected_by_issuer', 'withdrawn_by_investor', 'payment_missing'
    )),
    cancellation_at INTEGER,
    cancellation_received_at INTEGER,
    refund_due INTEGER CHECK (refund_due IN (0, 1)),
    -- Written before the credit in the same commit.
    latest_credit_id BLOB REFERENCES credit (id) DEFERRABLE INITIALLY DEFERRED,
    latest_credit_excludes INTEGER CHECK (latest_credit_excludes IN (0, 1)),
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL CHECK (version >= 1),
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
) STRICT;
CREATE INDEX investment_by_platform ON investment (platform_id, created_at, id);
CREATE INDEX investment_by_issuer ON investment (issuer_organisation_id, created_at, id);
CREATE INDEX investment_by_investor ON investment (investor_id, created_at, id);
CREATE INDEX investment_by_campaign ON investment (campaign_id, created_at, id);

-- How many investments there are of each status; changed in the commit that changes them.
CREATE TABLE investment_count (
    platform_id BLOB NOT NULL REFERENCES organisation (id),
    product_id BLOB NOT NULL REFERENCES product (id),
    campaign_id BLOB NOT NULL REFERENCES campaign (id),
    status TEXT NOT NULL,
    rows INTEGER NOT NULL CHECK (rows >= 0),
    PRIMARY KEY (platform_id, product_id, campaign_id, status)
) STRICT, WITHOUT ROWID;
CREATE INDEX investment_count_by_product ON investment_count (product_id);

-- WITHOUT ROWID: small rows that are read together with their neighbours, in order of attachment.
CREATE TABLE signed_document (
    id BLOB NOT NULL CHECK (length(id) = 16),
    investment_id BLOB NOT NULL REFERENCES investment (id),
    position INTEGER NOT NULL CHECK (position >= 0),
    document_type TEXT NOT NULL CHECK (document_type IN ('effecta_cryptoregistry_tos', 'effecta_document')),
    document_id BLOB NOT NULL REFERENCES document (id),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (investment_id, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX signed_document_by_document ON signed_document (document_id);

CREATE TABLE credit (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    investment_id BLOB NOT NULL REFERENCES investment (id),
    product_id BLOB NOT NULL REFERENCES product (id),
    platform_id BLOB NOT NULL REFERENCES organisation (id),
    investor_id BLOB NOT NULL REFERENCES investor (id),
    number INTEGER NOT NULL CHECK (number >= 0),
    units INTEGER NOT NULL CHECK (units > 0),
    address BLOB NOT NULL CHECK (length(address) = 20),
    created_at INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('processing', 'succeeded', 'failed')),
    transaction_hash BLOB CHECK (length(transaction_hash) = 32),
    block_number INTEGER CHECK (block_number >= 0),
    failure TEXT CHECK (failure IN (
        'account_blocked', 'address_forbidden', 'cap_exceeded', 'refused_by_contract', 'expired'
    )),
    finished_at INTEGER,
    version INTEGER NOT NULL CHECK (version >= 1),
    CHECK ((status = 'succeeded') = (transaction_hash IS NOT NULL)),
    CHECK ((status = 'succeeded') = (block_number IS NOT NULL)),
    CHECK ((status = 'failed') = (failure IS NOT NULL)),
    CHECK ((status = 'processing') = (finished_at IS NULL))
) STRICT;
-- The last wall against issuing units twice: no second credit while one runs or has succeeded.
CREATE UNIQUE INDEX credit_one_per_investment ON credit (investment_id) WHERE status <> 'failed';
CREATE INDEX credit_by_investment ON credit (investment_id, created_at, id);

CREATE TABLE signer (
    address BLOB NOT NULL PRIMARY KEY CHECK (length(address) = 20),
    next_nonce INTEGER NOT NULL CHECK (next_nonce >= 0),
    version INTEGER NOT NULL CHECK (version >= 1)
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger_transaction (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    signer BLOB NOT NULL REFERENCES signer (address),
    nonce INTEGER NOT NULL CHECK (nonce >= 0),
    purpose TEXT NOT NULL CHECK (purpose IN ('deploy_factory', 'deploy_token', 'execute')),
    product_id BLOB REFERENCES product (id),
    valid_until_seconds INTEGER,
    created_at INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('live', 'closed')),
    version INTEGER NOT NULL CHECK (version >= 1),
    UNIQUE (signer, nonce),
    CHECK ((purpose = 'deploy_factory') = (product_id IS NULL)),
    CHECK ((purpose = 'execute') = (valid_until_seconds IS NOT NULL))
) STRICT;
CREATE INDEX ledger_transaction_live ON ledger_transaction (signer, nonce) WHERE state = 'live';

CREATE TABLE attempt (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    ledger_transaction_id BLOB NOT NULL REFERENCES ledger_transaction (id),
    raw BLOB NOT NULL,
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX attempt_by_ledger_transaction ON attempt (ledger_transaction_id, created_at, id);

CREATE TABLE instruction (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    credit_id BLOB NOT NULL UNIQUE REFERENCES credit (id),
    product_id BLOB NOT NULL REFERENCES product (id),
    investment_id BLOB NOT NULL REFERENCES investment (id),
    number INTEGER NOT NULL CHECK (number >= 0),
    account BLOB NOT NULL CHECK (length(account) = 20),
    units INTEGER NOT NULL CHECK (units > 0),
    created_at INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'bound', 'judged')),
    ledger_transaction_id BLOB REFERENCES ledger_transaction (id),
    version INTEGER NOT NULL CHECK (version >= 1),
    CHECK ((state = 'bound') = (ledger_transaction_id IS NOT NULL))
) STRICT;
CREATE INDEX instruction_queued ON instruction (product_id, created_at, id) WHERE state = 'queued';
CREATE INDEX instruction_bound ON instruction (ledger_transaction_id, created_at, id) WHERE ledger_transaction_id IS NOT NULL;

CREATE TABLE journal (
    sequence INTEGER NOT NULL PRIMARY KEY CHECK (sequence >= 1),
    occurred_at INTEGER NOT NULL,
    actor BLOB CHECK (length(actor) = 16),
    act TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_id BLOB NOT NULL CHECK (length(object_id) = 16),
    subject BLOB CHECK (length(subject) = 16),
    state_mac BLOB NOT NULL CHECK (length(state_mac) = 32),
    previous_hash BLOB NOT NULL CHECK (length(previous_hash) = 32),
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE TRIGGER journal_is_not_changed BEFORE UPDATE ON journal
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only');
END;
CREATE TRIGGER journal_is_not_cut BEFORE DELETE ON journal
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only');
END;
-- INSERT OR REPLACE would take entries away without asking the trigger above.
CREATE TRIGGER journal_is_appended BEFORE INSERT ON journal
WHEN EXISTS (SELECT 1 FROM journal WHERE sequence >= NEW.sequence)
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only');
END;

CREATE TABLE setting (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE revoked_token (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
