-- The network on which a product's token stands. There was one before, the ledger inside the program.
ALTER TABLE product ADD COLUMN network text NOT NULL DEFAULT 'embedded';

-- A further purpose: something harmless at a nonce that nothing else will use.
ALTER TABLE ledger_transaction
    DROP CONSTRAINT ledger_transaction_purpose_check,
    DROP CONSTRAINT ledger_transaction_check,
    ADD CONSTRAINT ledger_transaction_purpose_check CHECK (purpose IN ('deploy_factory', 'deploy_token', 'execute', 'fill_gap')),
    ADD CONSTRAINT ledger_transaction_check CHECK ((purpose IN ('deploy_factory', 'fill_gap')) = (product_id IS NULL));
