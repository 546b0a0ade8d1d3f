-- What must hold of a store and its output tree, whatever has befallen them. Each SELECT gives a row
-- (invariant, job, what is wrong) for each violation. The tables are made by tests/faults/verify:
--
--   job (nr, id, key, max_attempts), state (nr, …), result (nr, …)   the store, in the end
--   audit, audit_result      each change that the store went through, noted by its own triggers
--   event (at, what, id, seq, detail)       what those who used the store were told, and when
--   file (key, path, size, inode), wanted (key, path)   the output trees, and what belongs there
--   parameter (lease, actors)               in microseconds; are there files, or only notes of them?

CREATE TEMP VIEW ended AS SELECT * FROM state JOIN job USING (nr)
	WHERE state IN ('COMPLETED', 'FAILED', 'CANCELLED');

-- I1: acknowledged submits are present.

SELECT 'I1', id, 'was acknowledged and is not there' FROM event
	WHERE what = 'submitted' AND id NOT IN (SELECT id FROM job);

-- I2: one terminal state, and it never changes.

SELECT 'I2', id, 'is ' || state || ' in the end' FROM state JOIN job USING (nr)
	WHERE state IN ('PENDING', 'PROCESSING');
SELECT 'I2', id, 'was ' || old_state || ' and was changed, to ' || audit.state
	FROM audit JOIN job USING (nr) WHERE old_state IN ('COMPLETED', 'FAILED', 'CANCELLED');
SELECT 'I2', id, 'went from ' || old_state || ' to ' || audit.state FROM audit JOIN job USING (nr)
	WHERE old_state = 'PENDING' AND audit.state NOT IN ('PROCESSING', 'CANCELLED');
SELECT 'I2', id, 'was told to be ' || detail || ' and is ' || state
	FROM event JOIN ended USING (id)
	WHERE what = 'finished' AND detail NOT LIKE '% PENDING' AND detail NOT LIKE '% ' || state;

-- I3: effects at most once, and exactly once if COMPLETED.

SELECT 'I3', id, 'was committed by the leases ' || old_committed || ' and ' || audit.committed_seq
	FROM audit JOIN job USING (nr)
	WHERE old_committed > 0 AND audit.committed_seq <> old_committed;
SELECT 'I3', id, 'is ' || state || ' and has an effect' FROM ended
	WHERE state <> 'COMPLETED' AND id IN (SELECT id FROM event WHERE what = 'effect');
SELECT 'I3', id, 'is COMPLETED without its effect' FROM ended
	WHERE state = 'COMPLETED' AND (SELECT actors FROM parameter) AND substr(key, -1) % 2 = 0
	AND id NOT IN (SELECT id FROM event WHERE what = 'effect');
SELECT 'I3', id, 'is ' || state || ' and has ' || path FROM ended JOIN file USING (key)
	WHERE state <> 'COMPLETED' OR (key, path) NOT IN (SELECT key, path FROM wanted);
SELECT 'I3', id, 'is COMPLETED without ' || path FROM ended JOIN wanted USING (key)
	WHERE state = 'COMPLETED' AND (key, path) NOT IN (SELECT key, path FROM file);
SELECT 'I3', key, path || ' was published twice' FROM (
		SELECT key, path, inode FROM file
		UNION SELECT substr(id, 1, instr(id, '/') - 1), substr(id, instr(id, '/') + 1), seq
			FROM event WHERE what = 'file')
	GROUP BY key, path HAVING count(*) > 1;

-- I4: lease_seq only rises, with each claim by one.

SELECT 'I4', id, 'lease ' || old_lease || ' became ' || audit.lease_seq FROM audit JOIN job USING (nr)
	WHERE audit.lease_seq < old_lease OR (taken AND audit.lease_seq <> old_lease + 1);
SELECT 'I4', id, 'the last lease is not the highest' FROM state JOIN job USING (nr)
	WHERE lease_seq < (SELECT max(lease_seq) FROM audit WHERE audit.nr = state.nr);

-- I5: nothing from a stale lease is stored or published.

SELECT 'I5', id, 'the ' || detail || ' of lease ' || seq || ', which was lost, was accepted'
	FROM event WHERE what = 'stale';
SELECT 'I5', id, 'a result of lease ' || audit_result.lease_seq || ' was stored under lease ' || holder
	FROM audit_result JOIN job USING (nr) WHERE audit_result.lease_seq <> holder;
SELECT 'I5', id, 'lease ' || seq || ' was told that it ended the job: ' || detail
	FROM event JOIN job USING (id) WHERE what = 'finished' AND NOT EXISTS (
		SELECT * FROM audit WHERE audit.nr = job.nr AND lease_seq = seq AND finished_seq = seq
		AND old_state = 'PROCESSING');
SELECT 'I5', id, 'lease ' || seq || ' was told that it committed, but ' || committed_seq || ' did'
	FROM event JOIN job USING (id) JOIN state USING (nr)
	WHERE what = 'committed' AND seq <> committed_seq;
SELECT 'I5', id, 'has an effect of lease ' || seq || ', but ' || committed_seq || ' was committed'
	FROM event JOIN job USING (id) JOIN state USING (nr)
	WHERE what = 'effect' AND seq <> committed_seq;
SELECT 'I5', id, 'has the result of lease ' || result.lease_seq
	FROM ended JOIN result USING (nr) WHERE state = 'COMPLETED'
	AND result.lease_seq <> CASE WHEN committed_seq THEN committed_seq ELSE finished_seq END;
SELECT 'I5', id, 'has the records of another lease than ' || result.lease_seq
	FROM ended JOIN result USING (nr) WHERE state = 'COMPLETED' AND (SELECT actors FROM parameter)
	AND json_extract(records, '$.lease') <> result.lease_seq;
-- The files are those of the attempt that was committed: their sizes are random, and in its records.
SELECT 'I5', id, path || ' is not what was committed' FROM ended JOIN result USING (nr) JOIN file USING (key)
	WHERE state = 'COMPLETED' AND NOT EXISTS (
		SELECT * FROM json_each('[' || replace(rtrim(records, char(10)), char(10), ',') || ']') r
		WHERE json_extract(r.value, '$.output') LIKE '%/' || file.key || '/' || file.path
		AND json_extract(r.value, '$.output_bytes') = file.size);

-- I6: states add up to submissions.

SELECT 'I6', id, 'has no state' FROM job WHERE nr NOT IN (SELECT nr FROM state);
SELECT 'I6', key, 'was submitted once and is there ' || count(*) || ' times' FROM job
	GROUP BY key HAVING count(*) > 1;
SELECT 'I6', id, 'was submitted by nobody' FROM job
	WHERE key NOT IN (SELECT id FROM event WHERE what = 'submit');
SELECT 'I6', e.id, 'its key ' || detail || ' is that of ' || job.id FROM event e JOIN job ON key = detail
	WHERE what = 'submitted' AND e.id <> job.id;

-- I7: after an acknowledged cancel nothing more is published, and the job ends CANCELLED.

SELECT 'I7', id, 'was cancelled and is committed' FROM event JOIN job USING (id) JOIN state USING (nr)
	WHERE what = 'cancelled' AND committed_seq > 0;
SELECT 'I7', id, 'was cancelled and is ' || state FROM event JOIN job USING (id) JOIN state USING (nr)
	WHERE what = 'cancelled' AND state <> 'CANCELLED';
SELECT 'I7', id, 'was cancelled and published ' || path
	FROM event JOIN job USING (id) JOIN file USING (key) WHERE what = 'cancelled';

-- I8: every job is terminal within three lease times of the fault's end.

SELECT 'I8', ended.id, 'ended ' || ((finished - at) / 1000) || ' ms after the fault' FROM ended, event
	WHERE what = 'fault-end' AND finished > at + 3 * (SELECT lease FROM parameter);
