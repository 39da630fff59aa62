SELECT count(*), coalesce(sum(units), 0)::bigint, (SELECT used FROM campaign WHERE id = $1) FROM investment WHERE campaign_id = $1
