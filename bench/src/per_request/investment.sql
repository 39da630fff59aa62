INSERT INTO investment (campaign_id, investor_id, units, signed_at, idempotency_key) VALUES ($1, $2, $3, $4, $5)
