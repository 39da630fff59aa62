-- How a product pays interest, as JSON of what was stated, or the word none; and which statement of it an investment follows.
ALTER TABLE product DROP CONSTRAINT product_interest_check;
ALTER TABLE product ALTER COLUMN interest SET DEFAULT 'none';
ALTER TABLE product ADD CONSTRAINT product_interest_check CHECK (interest = 'none' OR interest::jsonb IS NOT NULL);
ALTER TABLE product ADD COLUMN terms_version bigint NOT NULL DEFAULT 1 CHECK (terms_version >= 1);

ALTER TABLE investment ADD COLUMN terms_version bigint NOT NULL DEFAULT 1 CHECK (terms_version >= 1);
ALTER TABLE investment ADD COLUMN rule_version bigint NOT NULL DEFAULT 1 CHECK (rule_version >= 1);
-- What bears no interest has none to pay for.
ALTER TABLE investment ADD COLUMN bears_interest boolean NOT NULL DEFAULT false
    CHECK (bears_interest OR accrued_interest_minor = 0);
