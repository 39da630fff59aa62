-- A list of one status is walked campaign by campaign: without it a rare status is looked for among everything else.
CREATE INDEX investment_by_campaign_and_status ON investment (campaign_id, status, created_at, id);
