-- Every change of a job's state and result, as the database saw it, for tests/faults/verify.
CREATE TABLE audit (
	seq INTEGER PRIMARY KEY, nr, old_state, state, old_lease, lease_seq, old_committed, committed_seq,
	finished_seq, taken);
CREATE TRIGGER audit_state AFTER UPDATE ON job_state BEGIN
	INSERT INTO audit (nr, old_state, state, old_lease, lease_seq, old_committed, committed_seq,
		finished_seq, taken)
	VALUES (new.nr, old.state, new.state, old.lease_seq, new.lease_seq, old.committed_seq,
		new.committed_seq, new.finished_seq, new.attempt > old.attempt);
END;

CREATE TABLE audit_result (seq INTEGER PRIMARY KEY, nr, lease_seq, holder);
CREATE TRIGGER audit_result_new AFTER INSERT ON job_result BEGIN
	INSERT INTO audit_result (nr, lease_seq, holder)
	SELECT new.nr, new.lease_seq, lease_seq FROM job_state WHERE nr = new.nr;
END;
