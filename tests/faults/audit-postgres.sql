-- Every change of a job's state and result, as the database saw it, for tests/faults/verify.
CREATE TABLE vega.audit (
	seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, nr bigint, old_state text, state text,
	old_lease bigint, lease_seq bigint, old_committed bigint, committed_seq bigint, finished_seq bigint,
	taken integer);
CREATE TABLE vega.audit_result (
	seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, nr bigint, lease_seq bigint, holder bigint);
CREATE FUNCTION vega.audit_state() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
	INSERT INTO vega.audit (nr, old_state, state, old_lease, lease_seq, old_committed, committed_seq,
		finished_seq, taken)
	VALUES (new.nr, old.state, new.state, old.lease_seq, new.lease_seq, old.committed_seq,
		new.committed_seq, new.finished_seq, (new.attempt > old.attempt)::integer);
	IF new.result_seq IS DISTINCT FROM old.result_seq THEN
		INSERT INTO vega.audit_result (nr, lease_seq, holder)
		VALUES (new.nr, new.result_seq, new.lease_seq);
	END IF;
	RETURN NULL;
END
$$;
CREATE TRIGGER audit AFTER UPDATE ON vega.job_state
	FOR EACH ROW EXECUTE FUNCTION vega.audit_state();
