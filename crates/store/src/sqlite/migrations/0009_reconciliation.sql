-- Products whose credits rest, because their ledger and the register differ, and what the register has delivered of each.
ALTER TABLE product ADD COLUMN frozen_at INTEGER;
ALTER TABLE product ADD COLUMN frozen_block INTEGER CHECK (frozen_block >= 0);
ALTER TABLE product ADD COLUMN frozen_difference TEXT CHECK (frozen_difference = 'records_do_not_fold'
    OR frozen_difference = 'foreign_order' OR frozen_difference = 'other_order' OR frozen_difference = 'units');
ALTER TABLE product ADD COLUMN frozen_detail TEXT CHECK ((frozen_detail IS NULL) = (frozen_at IS NULL)
    AND (frozen_block IS NULL) = (frozen_at IS NULL) AND (frozen_difference IS NULL) = (frozen_at IS NULL));
ALTER TABLE product ADD COLUMN is_release_asked INTEGER NOT NULL DEFAULT 0
    CHECK (is_release_asked = 0 OR (is_release_asked = 1 AND frozen_at IS NOT NULL));
ALTER TABLE investment_count ADD COLUMN units_delivered INTEGER NOT NULL DEFAULT 0
    CHECK (units_delivered = 0 OR (status = 'DELIVERED' AND units_delivered > 0));
UPDATE investment_count SET units_delivered = counted.units FROM (
    SELECT platform_id, product_id, campaign_id, CAST(sum(units) AS INTEGER) AS units FROM investment
    WHERE status = 'DELIVERED' GROUP BY platform_id, product_id, campaign_id
) AS counted WHERE status = 'DELIVERED' AND investment_count.platform_id = counted.platform_id
    AND investment_count.product_id = counted.product_id AND investment_count.campaign_id = counted.campaign_id;
