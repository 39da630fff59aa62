-- How a product pays interest, as JSON of what was stated, or the word none; and which statement of it an investment follows.
ALTER TABLE product DROP COLUMN interest;
ALTER TABLE product ADD COLUMN interest TEXT NOT NULL DEFAULT 'none' CHECK (interest = 'none' OR json_valid(interest));
ALTER TABLE product ADD COLUMN terms_version INTEGER NOT NULL DEFAULT 1 CHECK (terms_version >= 1);

ALTER TABLE investment ADD COLUMN terms_version INTEGER NOT NULL DEFAULT 1 CHECK (terms_version >= 1);
ALTER TABLE investment ADD COLUMN rule_version INTEGER NOT NULL DEFAULT 1 CHECK (rule_version >= 1);
-- What bears no interest has none to pay for.
ALTER TABLE investment ADD COLUMN bears_interest INTEGER NOT NULL DEFAULT 0
    CHECK (bears_interest = 1 OR (bears_interest = 0 AND accrued_interest_minor = 0));
