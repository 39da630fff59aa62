-- The embedded engine's migration of this number rewrites checks that name more than two words. PostgreSQL compares such a
-- list as an array, without a table in memory: there is nothing to change here.
SELECT 1;
