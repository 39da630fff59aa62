-- Products whose credits rest, because their ledger and the register differ, and what the register has delivered of each.
ALTER TABLE product ADD COLUMN frozen_at timestamptz;
ALTER TABLE product ADD COLUMN frozen_block bigint CHECK (frozen_block >= 0);
ALTER TABLE product ADD COLUMN frozen_difference text CHECK (frozen_difference IN ('records_do_not_fold', 'foreign_order', 'other_order', 'units'));
ALTER TABLE product ADD COLUMN frozen_detail text CHECK ((frozen_detail IS NULL) = (frozen_at IS NULL)
    AND (frozen_block IS NULL) = (frozen_at IS NULL) AND (frozen_difference IS NULL) = (frozen_at IS NULL));
ALTER TABLE product ADD COLUMN is_release_asked boolean NOT NULL DEFAULT false CHECK (NOT is_release_asked OR frozen_at IS NOT NULL);
ALTER TABLE investment_count ADD COLUMN units_delivered bigint NOT NULL DEFAULT 0
    CHECK (units_delivered = 0 OR (status = 'DELIVERED' AND units_delivered > 0));
UPDATE investment_count SET units_delivered = counted.units FROM (
    SELECT platform_id, product_id, campaign_id, CAST(sum(units) AS bigint) AS units FROM investment
    WHERE status = 'DELIVERED' GROUP BY platform_id, product_id, campaign_id
) AS counted WHERE status = 'DELIVERED' AND investment_count.platform_id = counted.platform_id
    AND investment_count.product_id = counted.product_id AND investment_count.campaign_id = counted.campaign_id;
