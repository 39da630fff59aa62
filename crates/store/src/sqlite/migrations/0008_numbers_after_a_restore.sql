-- Numbers that are passed over after a restore, because the lost history may have used them on a ledger.
ALTER TABLE campaign ADD COLUMN numbers_skipped INTEGER NOT NULL DEFAULT 0 CHECK (numbers_skipped >= 0);
ALTER TABLE product ADD COLUMN campaign_indexes_skipped INTEGER NOT NULL DEFAULT 0 CHECK (campaign_indexes_skipped >= 0);
