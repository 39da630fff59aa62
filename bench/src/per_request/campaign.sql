INSERT INTO campaign (id, allocation) VALUES ($1, $2)
