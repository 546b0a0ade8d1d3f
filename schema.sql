-- The job store in PostgreSQL (12 or newer). Creates it, or upgrades an older one:
--
--     psql -d DATABASE -f schema.sql
--
-- Running it again changes nothing. A store made by a newer VegaFS is refused. lib/store/postgres.c
-- is what reads and writes these tables, and lib/store/store.h says what they promise.

\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;

BEGIN;

-- Two at once: the second waits and then finds its work done.
SELECT pg_advisory_xact_lock(hashtext('vega.schema')) \g /dev/null

CREATE SCHEMA IF NOT EXISTS vega;

CREATE TABLE IF NOT EXISTS vega.schema_version (
	version integer NOT NULL,
	installed timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX IF NOT EXISTS schema_version_one_row ON vega.schema_version ((true));

DO $$
DECLARE
	found integer := (SELECT version FROM vega.schema_version);
BEGIN
	IF current_setting('server_encoding') <> 'UTF8' THEN
		RAISE 'VegaFS needs a database with the encoding UTF8, not %',
			current_setting('server_encoding');
	END IF;
	IF found > 2 THEN
		RAISE 'the schema vega was made by a newer VegaFS (version %, this is 2)', found
			USING HINT = 'Install the schema.sql of that VegaFS.';
	END IF;
	IF found IS NULL THEN
		CREATE TYPE vega.state AS ENUM
			('PENDING', 'PROCESSING', 'COMPLETED', 'FAILED', 'CANCELLED');
	END IF;
END
$$;

-- What was submitted. Never updated. The specification is json, not jsonb: its canonical text stays
-- as it is.
CREATE TABLE IF NOT EXISTS vega.job (
	nr bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- the order of acceptance
	id uuid NOT NULL UNIQUE,
	spec json NOT NULL,
	submitter text NOT NULL DEFAULT session_user,
	queue text NOT NULL DEFAULT 'default',
	priority integer NOT NULL DEFAULT 0,
	max_attempts integer NOT NULL DEFAULT 3 CHECK (max_attempts > 0),
	idempotency_key text,
	labels jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(labels) = 'object'),
	created timestamptz NOT NULL DEFAULT now(),
	not_before timestamptz
);
-- Since version 2: what an attempt may use.
ALTER TABLE vega.job
	ADD COLUMN IF NOT EXISTS timeout_ms bigint CHECK (timeout_ms > 0),
	ADD COLUMN IF NOT EXISTS memory_bytes bigint CHECK (memory_bytes > 0), -- of each process
	ADD COLUMN IF NOT EXISTS output_bytes bigint CHECK (output_bytes > 0);
CREATE UNIQUE INDEX IF NOT EXISTS job_idempotency
	ON vega.job (submitter, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX IF NOT EXISTS job_labels
	ON vega.job USING gin (labels jsonb_path_ops) WHERE labels <> '{}';
CREATE INDEX IF NOT EXISTS job_created ON vega.job USING brin (created);

-- Where each job stands: narrow, because it is updated all the time, and with as few indexes on what
-- changes as there can be.
CREATE TABLE IF NOT EXISTS vega.job_state (
	nr bigint PRIMARY KEY REFERENCES vega.job ON DELETE CASCADE,
	queue text NOT NULL,
	priority integer NOT NULL,
	due timestamptz NOT NULL,
	state vega.state NOT NULL DEFAULT 'PENDING',
	attempt integer NOT NULL DEFAULT 0,
	lease_seq bigint NOT NULL DEFAULT 0, -- the fence: only ever rises
	finished_seq bigint,                 -- the lease that was ended last, by its holder
	committed_seq bigint NOT NULL DEFAULT 0, -- the lease whose output files are to be published
	worker text,
	lease_until timestamptz,
	started timestamptz,
	finished timestamptz,
	cancel_requested boolean NOT NULL DEFAULT false,
	progress json,
	error text,
	CHECK ((state = 'PROCESSING') = (lease_until IS NOT NULL))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 200,
	autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX IF NOT EXISTS job_state_ready
	ON vega.job_state (priority DESC, nr, due) WHERE state = 'PENDING';
CREATE INDEX IF NOT EXISTS job_state_ready_queue
	ON vega.job_state (queue, priority DESC, nr, due) WHERE state = 'PENDING';
-- Few jobs are PROCESSING at a time, or end so: leases that may have expired, and lists.
CREATE INDEX IF NOT EXISTS job_state_running
	ON vega.job_state (lease_until) WHERE state = 'PROCESSING';
CREATE INDEX IF NOT EXISTS job_state_ended_badly
	ON vega.job_state (nr) WHERE state IN ('FAILED', 'CANCELLED');
DROP INDEX IF EXISTS vega.job_state_state;

-- What the last ended attempt left.
CREATE TABLE IF NOT EXISTS vega.job_result (
	nr bigint PRIMARY KEY REFERENCES vega.job ON DELETE CASCADE,
	lease_seq bigint NOT NULL,
	summary jsonb,
	records bytea, -- NDJSON, byte by byte
	records_uri text,
	records_size bigint NOT NULL DEFAULT 0,
	records_digest text,
	stderr_tail text,
	exit_code integer NOT NULL DEFAULT 0
);

-- Since version 2: each worker process that was seen, and when.
CREATE TABLE IF NOT EXISTS vega.worker (
	name text PRIMARY KEY,
	host text NOT NULL,
	pid integer NOT NULL,
	version text NOT NULL,
	started timestamptz NOT NULL DEFAULT now(),
	seen timestamptz NOT NULL DEFAULT now(),
	lease_ms bigint NOT NULL,
	jobs integer NOT NULL,    -- how many at a time
	running integer NOT NULL, -- how many when it was seen
	queues jsonb NOT NULL DEFAULT '[]'
) WITH (fillfactor = 70);

INSERT INTO vega.schema_version (version)
	SELECT 2 WHERE NOT EXISTS (SELECT FROM vega.schema_version);
UPDATE vega.schema_version SET version = 2, installed = now() WHERE version < 2;

-- For people: one row a job.
CREATE OR REPLACE VIEW vega.jobs AS
	SELECT j.id, s.state, j.queue, j.priority, j.submitter, j.labels, s.attempt, j.max_attempts,
		j.created, s.due, s.started, s.finished, s.worker, s.lease_until, s.cancel_requested,
		s.error, r.exit_code, r.summary, j.spec, s.progress
	FROM vega.job j
	JOIN vega.job_state s USING (nr)
	LEFT JOIN vega.job_result r USING (nr)
	ORDER BY j.nr DESC;

REVOKE ALL ON SCHEMA vega FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA vega FROM PUBLIC;

COMMIT;
