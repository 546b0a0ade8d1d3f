/*
 * The rules of the job protocol: what each call makes of the part of a job that changes. Pure
 * functions. SQLite's store decides by them; what it and PostgreSQL's say in SQL is held against
 * them, case by case, in tests/contract/transitions.c; tests/model explores them with the worker.
 */
#ifndef VEGA_STORE_RULES_H
#define VEGA_STORE_RULES_H

#include "store/store.h"

/* A job as far as the rules look at it. */
struct store_hot {
	enum job_state state;
	unsigned attempt, max_attempts;
	uint64_t lease_seq, committed_seq;
	uint64_t finished_seq; /* the lease that finish() ended last; 0: none */
	bool cancel_requested;
};

/* The fence: is this the lease under which the job is worked on? */
bool rule_holds(const struct store_hot *hot, uint64_t lease_seq);

/* Of a job that is due, or whose lease has ended. True: it is taken, under a new lease; false: it
 * is given up, or was over already. */
bool rule_claim(struct store_hot *hot);

/* 1; 0: a repeated call, nothing is to be done; VEGA_LEASE_LOST; VEGA_NO: to be cancelled. */
int rule_commit(struct store_hot *hot, uint64_t lease_seq);

/* 1; 0: a repeated call, nothing is to be done; VEGA_LEASE_LOST. */
int rule_finish(struct store_hot *hot, uint64_t lease_seq, enum store_outcome outcome);

/* So long a job whose attempt ended waits for its next one. One that is committed is as good as
 * done, so that it does not wait longer than after its fifth attempt. */
uint64_t rule_delay_ms(const struct store_hot *hot);

/* 0, or VEGA_NO: it is committed. What is over stays as it is. */
int rule_cancel(struct store_hot *hot);

#endif
