-- The network on which a product's token stands. There was one before, the ledger inside the program.
ALTER TABLE product ADD COLUMN network text NOT NULL DEFAULT 'embedded';
