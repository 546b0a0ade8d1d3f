// What two other job queues on PostgreSQL do in a second. Clients are processes, which begin together.
//
//   node peers.mjs PEER submit URL CLIENTS BATCH SECONDS [calls=N]   jobs submitted a second, BATCH a call, N at once
//   node peers.mjs PEER work URL CLIENTS BATCH JOBS [SETTING=N]...   jobs worked off a second, of JOBS
//   node peers.mjs PEER wait URL JOBS                                ms from submission to start: median, p99
//
// PEER is graphile (graphile-worker) or boss (pg-boss), as installed in $PEERS.
import { createRequire } from "node:module";
import { fork } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";

const require = createRequire(`${process.env.PEERS}/package.json`);
const { run, makeWorkerUtils, Logger } = require("graphile-worker");
const { PgBoss } = require("pg-boss");
const { Pool } = require("pg");

// The same texts as in store.c.
const payload = { v: 1, operations: ["summarize"], roots: ["/data/project-x"] };
const summary = {
	type: "summary", v: 1, complete: true, roots: ["/data"],
	ledger: { entries: 0, reported: 0, filtered: 0, errors: 0 },
};
const now = () => Number(process.hrtime.bigint()) / 1e6; // CLOCK_MONOTONIC: the same in all processes
const times = (count, make) => Array.from({ length: count }, make);

const graphile = {
	left: "select count(*) from graphile_worker._private_jobs",
	logger: new Logger(() => () => {}),
	async open(url) {
		this.url = url;
		this.utils = await makeWorkerUtils({ connectionString: url, logger: this.logger });
		await this.utils.migrate();
	},
	close() {
		return this.utils.release();
	},
	submit(count) {
		return count === 1
			? this.utils.addJob("noop", payload)
			: this.utils.addJobs(times(count, () => ({ identifier: "noop", payload })));
	},
	// One at a time: the defaults. Batched: a local queue, and completions gathered.
	preset(batch, set) {
		const worker = { connectionString: this.url, schema: "graphile_worker", concurrentJobs: 1, logger: this.logger };
		if (batch > 1) {
			worker.concurrentJobs = set.concurrent;
			worker.maxPoolSize = set.pool ?? 10;
			worker.localQueue = { size: batch };
			worker.completeJobBatchDelay = worker.failJobBatchDelay = set.delay;
		}
		return { worker };
	},
	async start(batch, set, started) {
		const taskList = { noop: async () => started() };
		const runner = await run({ preset: this.preset(batch, set), parsedCronItems: [], noHandleSignals: true, taskList });
		return () => runner.stop();
	},
};

const boss = {
	left: "select count(*) from pgboss.job where state < 'completed'",
	async open(url, set) {
		this.queue = "noop" + (set.notify ? "_notify" : "") + (set.partition ? "_partition" : "");
		this.boss = new PgBoss({ connectionString: url, supervise: false, schedule: false, useListenNotify: !!set.notify });
		this.boss.on("error", (error) => { throw error; });
		await this.boss.start();
		await this.boss.createQueue(this.queue, { partition: !!set.partition, notify: !!set.notify });
	},
	close() {
		return this.boss.stop();
	},
	submit(count) {
		return count === 1
			? this.boss.send(this.queue, payload)
			: this.boss.insert(this.queue, times(count, () => ({ data: payload })));
	},
	async workOff(batch, ended) {
		for (;;) {
			const jobs = await this.boss.fetch(this.queue, { batchSize: batch });
			if (jobs.length === 0) return;
			await this.boss.complete(this.queue, jobs.map((job) => job.id), summary);
			ended(jobs.length);
		}
	},
	async start(batch, set, started) {
		const options = { batchSize: 1, pollingIntervalSeconds: 0.5, notifyPollingIntervalSeconds: 30 };
		await this.boss.work(this.queue, options, async () => started());
		return () => {};
	},
};

// What was begun last may still be on its way to the database.
async function nothingLeft(peer, url) {
	const pool = new Pool({ connectionString: url });
	while ((await pool.query(peer.left)).rows[0].count !== "0") await sleep(1);
	await pool.end();
}

async function measure(peer, what, url, clients, batch, amount, set) {
	await peer.open(url, set);
	for (let left = what === "work" ? amount : 0; left > 0; left -= 1000) await peer.submit(Math.min(left, 1000));
	const children = times(clients, () => fork(process.argv[1], process.argv.slice(2)));
	const tell = (word) => children.forEach((child) => child.send(word));
	await Promise.all(children.map((child) => new Promise((resolve) => child.once("message", resolve))));
	let began = now(), first = Infinity, done = 0, ended = 0;
	tell("go");
	await new Promise((resolve) => {
		for (const child of children) child.on("message", (message) => {
			first = Math.min(first, message.first ?? Infinity);
			done += message.done ?? 0;
			if (what === "work" && message.done && done >= amount) tell("stop");
			if (message.ended && ++ended === clients) resolve();
		});
	});
	if (what === "work") {
		await nothingLeft(peer, url);
		began = first; // a worker's start is not measured
	}
	console.log(((done * 1000) / (now() - began)).toFixed(1));
	tell("exit");
	await peer.close();
}

async function client(peer, what, url, batch, amount, set) {
	const told = (word) => new Promise((resolve) => process.on("message", (message) => message === word && resolve()));
	const go = told("go"), stop = told("stop"), exit = told("exit");
	let first, count = 0;
	const report = (message) => process.send({ first, done: count, ...message }, () => {}) && (count = 0);
	await peer.open(url, set);
	process.send("ready");
	await go;
	const end = now() + amount * 1000;
	if (what === "submit") {
		await Promise.all(times(set.calls ?? 1, async () => {
			for (; now() < end; count += batch) await peer.submit(batch);
		}));
	} else if (peer === graphile) {
		const timer = setInterval(() => count && report(), 1);
		const finish = await peer.start(batch, set, () => { first ??= now(); count++; });
		await stop;
		await finish();
		clearInterval(timer);
	} else {
		first = now();
		await peer.workOff(batch, (more) => { count += more; });
	}
	report({ ended: true });
	await exit;
	process.exit(0);
}

async function waiting(peer, name, url, jobs) {
	const set = { notify: 1 }, submissions = [], starts = [];
	let started;
	await peer.open(url, set);
	await peer.start(1, set, () => { starts.push(now()); started(); });
	const other = fork(process.argv[1], [name, "one", url]);
	const answer = () => new Promise((resolve) => other.once("message", resolve));
	await answer();
	for (let i = 0; i < jobs; i++) {
		await sleep(80 + Math.random() * 40);
		const start = new Promise((resolve) => { started = resolve; });
		const submission = answer();
		other.send("submit");
		submissions.push(await submission);
		await start;
	}
	const latencies = starts.map((start, i) => start - submissions[i]).sort((a, b) => a - b);
	console.log(latencies[Math.floor(jobs / 2)].toFixed(2), latencies[Math.floor((jobs * 99) / 100)].toFixed(2));
	other.kill();
	process.exit(0);
}

// The process that submits while another one waits.
async function submitter(peer, url) {
	await peer.open(url, { notify: 1 });
	process.on("message", async () => {
		const moment = now();
		await peer.submit(1);
		process.send(moment);
	});
	process.send("ready");
}

const [name, what, url, ...rest] = process.argv.slice(2);
const peer = { graphile, boss }[name];
const set = Object.fromEntries(rest.slice(3).map((word) => word.split("=")).map(([key, value]) => [key, Number(value)]));
const [clients, batch, amount] = rest.map(Number);
await (what === "one" ? submitter(peer, url)
	: what === "wait" ? waiting(peer, name, url, clients)
	: process.send ? client(peer, what, url, batch, amount, set)
	: measure(peer, what, url, clients, batch, amount, set));
