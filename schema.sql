-- The job store in PostgreSQL (15 or newer). Creates it, or upgrades an older one:
--
--     psql -d DATABASE -f schema.sql
--
-- Running it again changes nothing and waits for nobody. To upgrade, stop the workers first. From versions 1 and 2
-- every ended job is rewritten (200,000 in a second); VACUUM gives the room back. A store made by a newer VegaFS is
-- refused, and so is a schema of which anything belongs to somebody else. An upgrade that cannot have the tables
-- within 5 s gives up and names who holds them (psql -v lock_timeout=1min waits longer). After a change by hand,
-- COMMENT ON SCHEMA vega IS NULL lets the next run make everything again.
--
-- lib/store/postgres_*.c read and write these tables, and lib/store/store.h says what they promise. The end of this
-- file says who may do what: it makes four roles, for which whoever runs it needs CREATEROLE once.

\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;

\if :{?lock_timeout}
\else
	\set lock_timeout 5s
\endif
-- To be raised with every change of this file: what the comment on the schema says when all of it was done.
\set revision 'VegaFS 3.1'

BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL search_path = pg_catalog;
SET LOCAL lock_timeout = :'lock_timeout';

-- Two at once: the second waits and then finds its work done.
DO $$
DECLARE
	key constant bigint := hashtext('vega.schema');
	holder text;
BEGIN
	PERFORM pg_advisory_xact_lock(key);
EXCEPTION WHEN lock_not_available THEN
	SELECT string_agg(format('process %s of %s', l.pid, a.usename), ', ') INTO holder
		FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		WHERE l.granted AND l.locktype = 'advisory' AND l.objsubid = 1
			AND l.classid::bigint = key >> 32 & 4294967295 AND l.objid::bigint = key & 4294967295;
	RAISE lock_not_available USING
		MESSAGE = format('another session holds the lock of schema.sql: %s', holder),
		HINT = 'Run it again when that has ended, or end it: SELECT pg_terminate_backend(PROCESS).';
END
$$;

CREATE SCHEMA IF NOT EXISTS vega;

-- Statements below run with the rights of whoever runs this file, and would start the triggers and defaults of
-- tables that somebody else has made; and their owner could change them later.
DO $$
DECLARE
	me constant oid := (SELECT oid FROM pg_roles WHERE rolname = current_user);
	owner constant name := (SELECT nspowner::regrole::name FROM pg_namespace WHERE nspname = 'vega');
	strange text;
BEGIN
	SELECT string_agg(what, ', ' ORDER BY what) INTO strange FROM (
		SELECT 'the schema', nspowner FROM pg_namespace WHERE nspname = 'vega'
		UNION ALL
		SELECT relname, relowner FROM pg_class WHERE relnamespace = 'vega'::regnamespace
		UNION ALL
		SELECT proname, proowner FROM pg_proc WHERE pronamespace = 'vega'::regnamespace
		UNION ALL
		SELECT typname, typowner FROM pg_type WHERE typnamespace = 'vega'::regnamespace
		UNION ALL
		SELECT 'trigger ' || tgname, proowner FROM pg_trigger
			JOIN pg_class c ON c.oid = tgrelid JOIN pg_proc p ON p.oid = tgfoid
			WHERE relnamespace = 'vega'::regnamespace AND pronamespace <> 'pg_catalog'::regnamespace
		UNION ALL
		SELECT 'the right to create in it', a.grantee
			FROM pg_namespace, aclexplode(nspacl) a
			WHERE nspname = 'vega' AND a.privilege_type = 'CREATE' AND a.grantee <> nspowner
	) thing(what, owner) WHERE thing.owner <> me;
	IF strange IS NOT NULL THEN
		RAISE insufficient_privilege USING
			MESSAGE = format('the schema vega is not only that of %s: others have %s', current_user, strange),
			HINT = format('Run schema.sql as its owner (SET ROLE %I), or REASSIGN OWNED first; if nobody knows '
				'where it came from, DROP SCHEMA vega.', owner);
	END IF;
END
$$;

CREATE TABLE IF NOT EXISTS vega.schema_version (
	version integer NOT NULL,
	installed timestamptz NOT NULL DEFAULT now()
);

DO $$
DECLARE
	found integer := (SELECT version FROM vega.schema_version);
BEGIN
	IF current_setting('server_version_num')::integer < 150000 THEN
		RAISE 'VegaFS needs PostgreSQL 15 or newer, not %', current_setting('server_version');
	END IF;
	IF current_setting('server_encoding') <> 'UTF8' THEN
		RAISE 'VegaFS needs a database with the encoding UTF8, not %',
			current_setting('server_encoding');
	END IF;
	IF found > 3 THEN
		RAISE 'the schema vega was made by a newer VegaFS (version %, this is 3)', found
			USING HINT = 'Install the schema.sql of that VegaFS.';
	END IF;
END
$$;

-- Nothing is to be done where all of this file was done by this owner, for roles that are there.
SELECT (SELECT count(*) = 1 AND max(version) = 3 FROM vega.schema_version)
	AND coalesce(obj_description('vega'::regnamespace, 'pg_namespace') = :'revision', false)
	AND (SELECT count(*) = 4 FROM pg_roles
		WHERE rolname IN ('vega_submitter', 'vega_worker', 'vega_reader', 'vega_admin'))
	AND (SELECT count(*) = 14 FROM pg_policies WHERE schemaname = 'vega' AND policyname LIKE 'vega\_%')
	AND (SELECT bool_and(roles = ARRAY[tableowner]) FROM pg_policies JOIN pg_tables USING (schemaname, tablename)
		WHERE schemaname = 'vega' AND policyname = 'vega_owner') AS settled \gset
\if :settled
	COMMIT;
	\quit
\endif

-- Everything that is changed below is locked before anything is changed.
DO $$
DECLARE
	stored regclass;
	holders text;
BEGIN
	FOR stored IN SELECT to_regclass('vega.' || name)
		FROM unnest('{schema_version,worker,job,job_state,job_result}'::text[]) name
		WHERE to_regclass('vega.' || name) IS NOT NULL
	LOOP
		EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', stored);
	END LOOP;
EXCEPTION WHEN lock_not_available THEN
	SELECT string_agg(DISTINCT format('process %s (%s, %s)', a.pid, a.usename,
			coalesce(nullif(a.application_name, ''), 'a client without a name')), ', ') INTO holders
		FROM pg_locks l JOIN pg_stat_activity a USING (pid) JOIN pg_class c ON c.oid = l.relation
		WHERE l.granted AND l.locktype = 'relation' AND c.relnamespace = 'vega'::regnamespace
			AND a.pid <> pg_backend_pid() AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database());
	RAISE lock_not_available USING
		MESSAGE = format('others use the tables of the store, and nothing was changed: %s', holders),
		HINT = 'Stop the workers and end open transactions: SELECT pg_terminate_backend(PROCESS).';
END
$$;

CREATE UNIQUE INDEX IF NOT EXISTS schema_version_one_row ON vega.schema_version ((true));

DO $$
BEGIN
	IF NOT EXISTS (SELECT FROM vega.schema_version) THEN
		CREATE TYPE vega.state AS ENUM
			('PENDING', 'PROCESSING', 'COMPLETED', 'FAILED', 'CANCELLED');
	END IF;
END
$$;

-- Submissions, never updated. The specification is json, not jsonb: its canonical text stays as it
-- is.
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
CREATE INDEX IF NOT EXISTS job_submitter ON vega.job (submitter, nr);

-- Where each job stands: narrow, because it is updated all the time, and with as few indexes on what
-- changes as there can be.
CREATE TABLE IF NOT EXISTS vega.job_state (
	nr bigint PRIMARY KEY, -- a job's: see vega.keep_together()
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
-- A job has up to three entries there at a time: as PENDING, as PROCESSING, and ended. Room for them is
-- cheaper than pages that are split and searched for entries of the dead: 4 to 6 % of a batch's time.
ALTER INDEX vega.job_state_pkey SET (fillfactor = 30);
-- Where row-level security applies, the planner may not look at how often a value occurs, and takes
-- each of five states for a fifth of all rows. So it is told to expect few of any.
ALTER TABLE vega.job_state ALTER state SET (n_distinct = 1000);

-- Since version 3: what the last ended attempt left. It is NULL while a job waits and runs for the first
-- time, so the row is narrow as long as it is updated, and of a row above 2 kB the largest values are kept
-- elsewhere until 1 kB is left. A table of its own would cost each job another row, another index and a
-- foreign key, a fifth of what a worker can end in a second.
ALTER TABLE vega.job_state
	ADD COLUMN IF NOT EXISTS result_seq bigint, -- the lease that left it
	ADD COLUMN IF NOT EXISTS summary jsonb,
	ADD COLUMN IF NOT EXISTS records bytea, -- NDJSON, byte by byte
	ADD COLUMN IF NOT EXISTS records_uri text,
	ADD COLUMN IF NOT EXISTS records_size bigint,
	ADD COLUMN IF NOT EXISTS records_digest text,
	ADD COLUMN IF NOT EXISTS stderr_tail text,
	ADD COLUMN IF NOT EXISTS exit_code integer,
	SET (toast_tuple_target = 1024);

-- A state needs a job, and goes with it. A foreign key would look each new row up by a query of its own, and
-- lock the job: that was a quarter of what a submit costs the server, and 2 % of the work of a job. This
-- looks once a statement, for a fifth of it. It runs with the rights of whoever inserts, and so refuses the
-- state of a job that they cannot see, or that is not there yet, which would keep the job that gets this
-- number from being stored. The snapshot must be new, or a job that is gone looks as if it were there. A
-- job is looked up by its number in any case, whatever the planner took the tables to hold. Workers go by the
-- state's queue and priority, people and limits by the job's: they are the same.
CREATE OR REPLACE FUNCTION vega.keep_together() RETURNS trigger
	LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		IF current_setting('transaction_isolation') <> 'read committed' THEN
			RAISE foreign_key_violation USING MESSAGE = 'states are made in READ COMMITTED';
		END IF;
		IF EXISTS (SELECT FROM made WHERE
			(SELECT j.queue = made.queue AND j.priority = made.priority FROM vega.job j WHERE j.nr = made.nr)
				IS NOT TRUE)
		THEN
			RAISE foreign_key_violation USING MESSAGE = 'a state needs a job of its queue and priority';
		END IF;
	ELSIF TG_OP = 'DELETE' THEN
		DELETE FROM vega.job_state WHERE nr = OLD.nr;
	ELSE
		DELETE FROM vega.job_state;
	END IF;
	RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER needs_job AFTER INSERT ON vega.job_state
	REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION vega.keep_together();
CREATE OR REPLACE TRIGGER state_goes AFTER DELETE ON vega.job
	FOR EACH ROW EXECUTE FUNCTION vega.keep_together();
CREATE OR REPLACE TRIGGER states_go AFTER TRUNCATE ON vega.job
	FOR EACH STATEMENT EXECUTE FUNCTION vega.keep_together();
ALTER TABLE vega.job_state DROP CONSTRAINT IF EXISTS job_state_nr_fkey;

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
	SELECT 3 WHERE NOT EXISTS (SELECT FROM vega.schema_version);
UPDATE vega.schema_version SET version = 3, installed = now() WHERE version < 3;

-- For people: one row a job.
CREATE OR REPLACE VIEW vega.jobs WITH (security_invoker = true) AS
	SELECT j.id, s.state, j.queue, j.priority, j.submitter, j.labels, s.attempt, j.max_attempts,
		j.created, s.due, s.started, s.finished, s.worker, s.lease_until, s.cancel_requested,
		s.error, s.exit_code, s.summary, j.spec, s.progress
	FROM vega.job j
	JOIN vega.job_state s USING (nr)
	ORDER BY j.nr DESC;

-- Versions 1 and 2 had results in a table of their own. A worker of theirs claims jobs here without noticing,
-- and cannot store what they did. Policies are left aside, as they may be those of a former owner.
DO $$
BEGIN
	IF to_regclass('vega.job_result') IS NULL THEN
		RETURN;
	END IF;
	IF EXISTS (SELECT FROM vega.worker WHERE seen > now() - lease_ms * interval '1 millisecond') THEN
		RAISE 'workers of an older VegaFS are at work; stop the workers first'
			USING HINT = 'One that was killed counts until its lease would have ended.';
	END IF;
	ALTER TABLE vega.job_state NO FORCE ROW LEVEL SECURITY;
	ALTER TABLE vega.job_result NO FORCE ROW LEVEL SECURITY;
	UPDATE vega.job_state s
		SET result_seq = r.lease_seq, summary = r.summary, records = r.records,
			records_uri = r.records_uri, records_size = r.records_size,
			records_digest = r.records_digest, stderr_tail = r.stderr_tail, exit_code = r.exit_code
		FROM vega.job_result r WHERE r.nr = s.nr;
	DROP TABLE vega.job_result;
END
$$;

-- --- Who may do what ------------------------------------------------------------------------------
--
-- Four roles without a login, to be granted to those who have one (man 7 vega, "Authority"):
--
--   vega_submitter   submits jobs, in its own name; sees and cancels its own
--   vega_worker      claims and ends all jobs, and cannot change what they are
--   vega_reader      sees everything
--   vega_admin       sees everything, cancels and removes any job
--
-- The owner may do everything, anybody else nothing. There are no functions here that run with the
-- owner's rights: columns are granted one by one, and rows are filtered by policies. What holds for a
-- worker's rows is "true", which costs its statements nothing.

REVOKE ALL ON SCHEMA vega FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA vega FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA vega FROM PUBLIC;
REVOKE ALL ON ALL ROUTINES IN SCHEMA vega FROM PUBLIC;
REVOKE ALL ON TYPE vega.state FROM PUBLIC;

ALTER TABLE vega.job ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE vega.job_state ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

-- Ours are made again; policies of other names are left alone.
DO $$
DECLARE
	old record;
	own record;
BEGIN
	FOR old IN SELECT tablename, policyname FROM pg_policies
		WHERE schemaname = 'vega' AND policyname LIKE 'vega\_%'
	LOOP
		EXECUTE format('DROP POLICY %I ON vega.%I', old.policyname, old.tablename);
	END LOOP;
	FOR own IN SELECT tablename, tableowner FROM pg_tables
		WHERE schemaname = 'vega' AND tablename IN ('job', 'job_state')
	LOOP
		EXECUTE format('CREATE POLICY vega_owner ON vega.%I TO %I USING (true)',
			own.tablename, own.tableowner);
	END LOOP;
END
$$;

DO $$
DECLARE
	missing text[] := ARRAY(SELECT wanted
		FROM unnest('{vega_submitter,vega_worker,vega_reader,vega_admin}'::text[]) wanted
		WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted));
	role text;
BEGIN
	FOREACH role IN ARRAY missing LOOP
		EXECUTE format('CREATE ROLE %I', role);
	END LOOP;
EXCEPTION WHEN insufficient_privilege THEN
	RAISE WARNING 'only the owner can use this store: its roles are missing, and % may not make them',
			current_user
		USING HINT = format('Ask the administrator of the server to run "%s", and run schema.sql again.',
			(SELECT string_agg(format('CREATE ROLE %I;', m), ' ') FROM unnest(missing) m));
END
$$;
SELECT count(*) = 4 AS vega_roles FROM pg_roles
	WHERE rolname IN ('vega_submitter', 'vega_worker', 'vega_reader', 'vega_admin') \gset
\if :vega_roles

REVOKE ALL ON ALL TABLES IN SCHEMA vega FROM vega_submitter, vega_worker, vega_reader, vega_admin;
GRANT USAGE ON SCHEMA vega TO vega_submitter, vega_worker, vega_reader, vega_admin;
GRANT SELECT ON vega.schema_version, vega.job, vega.job_state, vega.jobs
	TO vega_submitter, vega_worker, vega_reader, vega_admin;
GRANT SELECT ON vega.worker TO vega_worker, vega_reader, vega_admin;

CREATE POLICY vega_read ON vega.job FOR SELECT
	TO vega_worker, vega_reader, vega_admin USING (true);
CREATE POLICY vega_read ON vega.job_state FOR SELECT
	TO vega_worker, vega_reader, vega_admin USING (true);

-- The submitter. Who that is comes from the column's default; a state can only begin as PENDING; and
-- what is stored can be read by every client: a point in time that is none would stop them all.
GRANT INSERT (id, spec, queue, priority, max_attempts, idempotency_key, labels, not_before,
		timeout_ms, memory_bytes, output_bytes)
	ON vega.job TO vega_submitter;
GRANT INSERT (nr, queue, priority, due) ON vega.job_state TO vega_submitter;
CREATE POLICY vega_own ON vega.job FOR SELECT TO vega_submitter
	USING (submitter = session_user::text COLLATE "default");
-- A job is asked for by its number: with EXISTS, the planner may read all of them instead, once a statement.
CREATE POLICY vega_own ON vega.job_state FOR SELECT TO vega_submitter
	USING ((SELECT j.nr FROM vega.job j WHERE j.nr = job_state.nr) IS NOT NULL);
CREATE POLICY vega_submit ON vega.job FOR INSERT TO vega_submitter
	WITH CHECK (submitter = session_user::text COLLATE "default"
		AND octet_length(spec::text) <= 16 * 1024 * 1024
		AND octet_length(queue) <= 255 AND coalesce(octet_length(idempotency_key) <= 255, true)
		AND octet_length(labels::text) <= 64 * 1024 AND coalesce(not_before
			BETWEEN '0001-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999999+00', true));
-- A number that no job of this session has yet would keep the job that gets it waiting.
GRANT SELECT ON SEQUENCE vega.job_nr_seq TO vega_submitter;
CREATE POLICY vega_submit ON vega.job_state FOR INSERT TO vega_submitter
	WITH CHECK (due BETWEEN '0001-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999999+00'
		AND nr <= currval('vega.job_nr_seq'));

-- Cancelling: PENDING becomes CANCELLED, and PROCESSING is asked to, unless it is committed. The lease
-- cannot be written by them, so it tells which of the two the job was.
GRANT UPDATE (state, finished, cancel_requested) ON vega.job_state TO vega_submitter, vega_admin;
CREATE POLICY vega_cancel ON vega.job_state FOR UPDATE TO vega_admin
	USING (state IN ('PENDING', 'PROCESSING') AND committed_seq = 0)
	WITH CHECK (cancel_requested AND CASE state
		WHEN 'CANCELLED' THEN finished = now() AND lease_until IS NULL
		WHEN 'PROCESSING' THEN finished IS NULL AND lease_until IS NOT NULL
		ELSE false END);
CREATE POLICY vega_cancel_own ON vega.job_state FOR UPDATE TO vega_submitter
	USING (state IN ('PENDING', 'PROCESSING') AND committed_seq = 0
		AND (SELECT j.submitter FROM vega.job j WHERE j.nr = job_state.nr)
			= session_user::text COLLATE "default")
	WITH CHECK (cancel_requested AND CASE state
		WHEN 'CANCELLED' THEN finished = now() AND lease_until IS NULL
		WHEN 'PROCESSING' THEN finished IS NULL AND lease_until IS NOT NULL
		ELSE false END);

-- The worker: everything that changes about a job, and nothing of what was submitted.
GRANT UPDATE (due, state, attempt, lease_seq, finished_seq, committed_seq, worker, lease_until,
		started, finished, progress, error, result_seq, summary, records, records_uri,
		records_size, records_digest, stderr_tail, exit_code)
	ON vega.job_state TO vega_worker;
GRANT INSERT, UPDATE, DELETE ON vega.worker TO vega_worker;
CREATE POLICY vega_work ON vega.job_state FOR UPDATE TO vega_worker USING (true);

-- The administrator. A job's state, and its result, go with it, and not without it. To lock a job needs the
-- right to update a column, which the policy then refuses.
GRANT DELETE ON vega.job, vega.job_state, vega.worker TO vega_admin;
GRANT UPDATE (labels) ON vega.job TO vega_admin;
CREATE POLICY vega_prune ON vega.job FOR DELETE TO vega_admin USING (true);
CREATE POLICY vega_prune ON vega.job_state FOR DELETE TO vega_admin
	USING ((SELECT j.nr FROM vega.job j WHERE j.nr = job_state.nr) IS NULL);
CREATE POLICY vega_lock ON vega.job FOR UPDATE TO vega_admin USING (true) WITH CHECK (false);

SELECT format('COMMENT ON SCHEMA vega IS %L', :'revision') \gexec
\endif

COMMIT;
