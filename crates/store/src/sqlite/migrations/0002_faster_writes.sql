-- SQLite makes a list of more than two words into a table in memory whenever a row is written, which was a third of the cost
-- of an investment. The same words compared one after the other cost nearly nothing, so the checks are written that way.
--
-- Only their text changes: what the file holds stays, however much it is (https://www.sqlite.org/lang_altertable.html#otheralter).
PRAGMA writable_schema = ON;

UPDATE sqlite_schema SET sql = replace(sql,
    'kind IN (''issuer'', ''distributor'', ''registrar'')',
    'kind = ''issuer'' OR kind = ''distributor'' OR kind = ''registrar''')
WHERE type = 'table' AND name = 'organisation';

UPDATE sqlite_schema SET sql = replace(sql,
    'kind IN (''issuer'', ''distributor'', ''registrar'')',
    'kind = ''issuer'' OR kind = ''distributor'' OR kind = ''registrar''')
WHERE type = 'table' AND name = 'client';

UPDATE sqlite_schema SET sql = replace(sql,
    'kyc IN (''PENDING'', ''SUCCESS'', ''REJECTED'')',
    'kyc = ''PENDING'' OR kyc = ''SUCCESS'' OR kyc = ''REJECTED''')
WHERE type = 'table' AND name = 'investor';

UPDATE sqlite_schema SET sql = replace(replace(replace(sql,
    'status IN (
        ''KYC_PENDING'', ''REVIEW_PENDING'', ''WAITING_FOR_ACCEPTANCE'', ''ACCEPTED'', ''PAID'', ''DELIVERED'',
        ''KYC_INSUFFICIENT'', ''ABORTED'', ''REJECTION'', ''CANCELLATION'', ''PAYMENT_MISSING''
    )',
    'status = ''KYC_PENDING'' OR status = ''REVIEW_PENDING'' OR status = ''WAITING_FOR_ACCEPTANCE''
        OR status = ''ACCEPTED'' OR status = ''PAID'' OR status = ''DELIVERED''
        OR status = ''KYC_INSUFFICIENT'' OR status = ''ABORTED'' OR status = ''REJECTION''
        OR status = ''CANCELLATION'' OR status = ''PAYMENT_MISSING'''),
    'review IN (''not_asked'', ''pending'', ''passed'')',
    'review = ''not_asked'' OR review = ''pending'' OR review = ''passed'''),
    'ending IN (
        ''kyc_insufficient'', ''aborted_by_investor'', ''rejected_by_issuer'', ''withdrawn_by_investor'', ''payment_missing''
    )',
    'ending = ''kyc_insufficient'' OR ending = ''aborted_by_investor'' OR ending = ''rejected_by_issuer''
        OR ending = ''withdrawn_by_investor'' OR ending = ''payment_missing''')
WHERE type = 'table' AND name = 'investment';

UPDATE sqlite_schema SET sql = replace(replace(sql,
    'status IN (''processing'', ''succeeded'', ''failed'')',
    'status = ''processing'' OR status = ''succeeded'' OR status = ''failed'''),
    'failure IN (
        ''account_blocked'', ''address_forbidden'', ''cap_exceeded'', ''refused_by_contract'', ''expired''
    )',
    'failure = ''account_blocked'' OR failure = ''address_forbidden'' OR failure = ''cap_exceeded''
        OR failure = ''refused_by_contract'' OR failure = ''expired''')
WHERE type = 'table' AND name = 'credit';

UPDATE sqlite_schema SET sql = replace(sql,
    'purpose IN (''deploy_factory'', ''deploy_token'', ''execute'')',
    'purpose = ''deploy_factory'' OR purpose = ''deploy_token'' OR purpose = ''execute''')
WHERE type = 'table' AND name = 'ledger_transaction';

UPDATE sqlite_schema SET sql = replace(sql,
    'state IN (''queued'', ''bound'', ''judged'')',
    'state = ''queued'' OR state = ''bound'' OR state = ''judged''')
WHERE type = 'table' AND name = 'instruction';

PRAGMA writable_schema = RESET;
-- A real change, so that other connections read the schema anew.
CREATE TABLE schema_is_read_anew (number INTEGER) STRICT;
DROP TABLE schema_is_read_anew;
