-- What a wallet holds, in order. Most investments have no wallet when they are created, and cost nothing here.
CREATE INDEX investment_by_wallet ON investment (wallet_id, created_at, id) WHERE wallet_id IS NOT NULL;
