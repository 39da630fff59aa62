-- What an investment shares with its campaign is implied by the campaign: one look at the campaign's row replaces four
-- looks at campaign, product and both organisations, which the campaign itself refers to. It says more than they did: an
-- investment cannot name another product, platform or issuer than its campaign does.
ALTER TABLE campaign ADD CONSTRAINT campaign_parties UNIQUE (id, product_id, platform_id, organisation_id);
ALTER TABLE investment ADD CONSTRAINT investment_of_campaign
    FOREIGN KEY (campaign_id, product_id, platform_id, issuer_organisation_id)
    REFERENCES campaign (id, product_id, platform_id, organisation_id);
ALTER TABLE investment
    DROP CONSTRAINT investment_campaign_id_fkey,
    DROP CONSTRAINT investment_product_id_fkey,
    DROP CONSTRAINT investment_platform_id_fkey,
    DROP CONSTRAINT investment_issuer_organisation_id_fkey;

-- Refuses a statement that found fewer rows than it should: one of them changed since it was loaded. It is asked in the
-- database, so that a COMMIT can be sent without waiting to hear how many rows each statement found.
CREATE FUNCTION require_rows(rows_found bigint, rows_expected bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF rows_found <> rows_expected THEN
        RAISE EXCEPTION 'only % of % rows are as they were loaded', rows_found, rows_expected USING ERRCODE = 'SC001';
    END IF;
END
$$;
