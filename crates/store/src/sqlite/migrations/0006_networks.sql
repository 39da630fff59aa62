-- The network on which a product's token stands. There was one before, the ledger inside the program.
ALTER TABLE product ADD COLUMN network TEXT NOT NULL DEFAULT 'embedded';

-- A further purpose: something harmless at a nonce that nothing else will use. Only the text of the checks changes, as in
-- 0002_faster_writes.sql.
PRAGMA writable_schema = ON;

UPDATE sqlite_schema SET sql = replace(replace(sql,
    'OR purpose = ''execute''',
    'OR purpose = ''execute'' OR purpose = ''fill_gap'''),
    '(purpose = ''deploy_factory'') = (product_id IS NULL)',
    '(purpose = ''deploy_factory'' OR purpose = ''fill_gap'') = (product_id IS NULL)')
WHERE type = 'table' AND name = 'ledger_transaction';

PRAGMA writable_schema = RESET;
-- A real change, so that other connections read the schema anew.
CREATE TABLE schema_is_read_anew (number INTEGER) STRICT;
DROP TABLE schema_is_read_anew;
