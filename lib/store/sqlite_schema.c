/* The tables of the SQLite store: as a new file has them, and how an older one gets them. */

#include "store/sqlite_internal.h"

/* One row for each worker process that was seen: see struct store_worker. */
#define WORKER_TABLE \
	"CREATE TABLE worker (" \
	" name TEXT PRIMARY KEY," \
	" host TEXT NOT NULL," \
	" pid INTEGER NOT NULL," \
	" version TEXT NOT NULL," \
	" started INTEGER NOT NULL," \
	" seen INTEGER NOT NULL," \
	" lease_ms INTEGER NOT NULL," \
	" jobs INTEGER NOT NULL," \
	" running INTEGER NOT NULL," \
	" queues TEXT NOT NULL" \
	") STRICT;"

/* Foreign keys hold only for those who ask for them, which the sqlite3 shell does not: a state that
 * stayed behind would belong to the next job of its number. */
#define PARTS_GO \
	"CREATE TRIGGER parts_go AFTER DELETE ON job BEGIN" \
	" DELETE FROM job_state WHERE nr = old.nr;" \
	" DELETE FROM job_result WHERE nr = old.nr;" \
	"END;"

/* The embedded twin of schema.sql. Times are microseconds since 1970. */
const char sqlite_schema[] =
        "CREATE TABLE job ("
        " nr INTEGER PRIMARY KEY,"
        " id TEXT NOT NULL UNIQUE,"
        " spec TEXT NOT NULL,"
        " submitter TEXT NOT NULL,"
        " queue TEXT NOT NULL,"
        " priority INTEGER NOT NULL,"
        " max_attempts INTEGER NOT NULL,"
        " idempotency_key TEXT,"
        " labels TEXT NOT NULL,"
        " created INTEGER NOT NULL,"
        " not_before INTEGER,"
        " timeout_ms INTEGER,"
        " memory_bytes INTEGER,"
        " output_bytes INTEGER,"
        " UNIQUE (submitter, idempotency_key)"
        ") STRICT;"
        "CREATE INDEX job_created ON job (created);"
        "CREATE TABLE job_state ("
        " nr INTEGER PRIMARY KEY REFERENCES job ON DELETE CASCADE,"
        " queue TEXT NOT NULL,"
        " priority INTEGER NOT NULL,"
        " due INTEGER NOT NULL,"
        " state TEXT NOT NULL DEFAULT 'PENDING' CHECK"
        "  (state IN ('PENDING', 'PROCESSING', 'COMPLETED', 'FAILED', 'CANCELLED')),"
        " attempt INTEGER NOT NULL DEFAULT 0,"
        " lease_seq INTEGER NOT NULL DEFAULT 0,"
        " finished_seq INTEGER,"                     /* the lease that finish() ended last */
        " committed_seq INTEGER NOT NULL DEFAULT 0," /* the lease that commit() named */
        " worker TEXT,"
        " lease_until INTEGER,"
        " started INTEGER,"
        " finished INTEGER,"
        " cancel_requested INTEGER NOT NULL DEFAULT 0,"
        " progress TEXT,"
        " error TEXT"
        ") STRICT;"
        "CREATE INDEX job_state_ready ON job_state (priority DESC, nr, due)"
        " WHERE state = 'PENDING';"
        "CREATE INDEX job_state_ready_queue ON job_state (queue, priority DESC, nr, due)"
        " WHERE state = 'PENDING';"
        "CREATE INDEX job_state_running ON job_state (lease_until) WHERE state = 'PROCESSING';"
        "CREATE TABLE job_result ("
        " nr INTEGER PRIMARY KEY REFERENCES job ON DELETE CASCADE,"
        " lease_seq INTEGER NOT NULL,"
        " summary TEXT,"
        " records TEXT,"
        " records_uri TEXT,"
        " records_size INTEGER NOT NULL,"
        " records_digest TEXT,"
        " stderr_tail TEXT,"
        " exit_code INTEGER NOT NULL"
        ") STRICT;" WORKER_TABLE PARTS_GO;

const char *const sqlite_upgrades[SQLITE_SCHEMA_VERSION] = {
        [1] = "ALTER TABLE job ADD COLUMN timeout_ms INTEGER;"
              "ALTER TABLE job ADD COLUMN memory_bytes INTEGER;"
              "ALTER TABLE job ADD COLUMN output_bytes INTEGER;" WORKER_TABLE,
        [2] = "DELETE FROM job_state WHERE nr NOT IN (SELECT nr FROM job);"
              "DELETE FROM job_result WHERE nr NOT IN (SELECT nr FROM job);" PARTS_GO,
};
