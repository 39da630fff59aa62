-- Who works on a lane of background work, and under which fencing number.
CREATE TABLE lease (
    lane text NOT NULL PRIMARY KEY,
    holder uuid NOT NULL,
    fencing bigint NOT NULL CHECK (fencing >= 1),
    expires_at timestamptz NOT NULL,
    version bigint NOT NULL CHECK (version >= 1)
);

-- The last wall against a holder that was taken over: a number never goes back.
CREATE FUNCTION refuse_lower_fencing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a fencing number never goes back';
END
$$;
CREATE TRIGGER lease_number_never_goes_back BEFORE UPDATE ON lease
    FOR EACH ROW WHEN (NEW.fencing < OLD.fencing) EXECUTE FUNCTION refuse_lower_fencing();
