// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * The agent keeps one process for each swap device and each worker alive, and one that
 * observes, and those that a storm asks for: who takes CPUs off and on, who switches zswap,
 * who takes the CPUs from whoever runs there. The OOM killer may take any of them, swap
 * loops too: a task in swapoff is its first choice.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"

#define BACKOFF_FIRST_US	20000
#define BACKOFF_MOST_US		2000000
#define LONG_LIFE_US		1000000
/*
 * Of the time that the machine ran since everything was killed: whoever is there after the
 * first is told of, and is stuck after the second, or after the third if it is known to hang.
 * A swapoff is deaf to signals where it waits for other devices, so it may take a while.
 */
#define STOP_TELL_US		1000000
#define STOP_PATIENCE_US	10000000
#define STOP_KNOWN_US		2000000
/* Meanwhile samples show that the agent is there. */
#define STOP_SAMPLE_US		1000000
/* By the clock, for a machine that hardly runs. */
#define STOP_MOST_US		30000000

/* Nice value of whoever somebody waits for: workers get what those leave. */
#define FIRST			(-20)

enum job { JOB_LOOP, JOB_WORKER, JOB_OBSERVER, JOB_CPUS, JOB_ZSWAP, JOB_PREEMPTOR, JOB_IDLER, JOB_ACTOR };

struct child {
	enum job job;
	unsigned int index;
	pid_t pid;		/* 0 while it is not running. */
	u32 life;
	u64 born_us;
	u64 due_us;		/* When to start it again. */
	u64 backoff_us;
};

static struct child children[MAX_DISKS + MAX_WORKERS + MAX_CPUS + 5];
static unsigned int children_used;
static const struct params *storm;
/* Whether anybody was ever asked to act. */
static bool asked;
static const struct disk *storm_disks;

static unsigned int keep_on;	/* So many of the first devices stay on. */
static unsigned int stops;
static bool held;

/* By its name whoever reads a stack knows whose it is. */
static void set_name(const struct child *child)
{
	char name[16];

	switch (child->job) {
	case JOB_LOOP:
		snprintf(name, sizeof(name), "swap-%s", disk_name(&storm_disks[child->index]));
		break;
	case JOB_WORKER:
		snprintf(name, sizeof(name), "worker-%u", child->index);
		break;
	case JOB_CPUS:
		snprintf(name, sizeof(name), "cpus");
		break;
	case JOB_ZSWAP:
		snprintf(name, sizeof(name), "zswap");
		break;
	case JOB_PREEMPTOR:
		snprintf(name, sizeof(name), "preemptor-%u", child->index);
		break;
	case JOB_IDLER:
		snprintf(name, sizeof(name), "idler");
		break;
	case JOB_ACTOR:
		snprintf(name, sizeof(name), "actor");
		break;
	default:
		snprintf(name, sizeof(name), "observer");
		break;
	}
	prctl(PR_SET_NAME, name);
}

static _Noreturn void run(const struct child *child)
{
	/* The agent waits for SIGCHLD; its children have no use for that. */
	signal(SIGCHLD, SIG_DFL);
	/* A storm without anybody who can end it must not go on. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	set_name(child);
	if (asked && child->job != JOB_LOOP && child->job != JOB_ACTOR)
		setpriority(PRIO_PROCESS, 0, 0);
	if (child->job == JOB_WORKER)
		worker_loop(storm, child->index, child->life);
	if (child->job == JOB_OBSERVER)
		observer_loop();
	if (child->job == JOB_CPUS)
		cpus_loop(storm, child->life);
	if (child->job == JOB_ZSWAP)
		zswap_loop(storm, child->life);
	if (child->job == JOB_PREEMPTOR)
		preempt_loop(storm, child->index, child->life);
	if (child->job == JOB_IDLER)
		preempt_shrinkers_loop();
	if (child->job == JOB_ACTOR)
		actor_loop();
	swap_loop(storm, &storm_disks[child->index], child->index, child->life);
}

static void spawn(struct child *child, u64 now)
{
	pid_t pid;

	/* What the one before it was about died with it. */
	if (child->job == JOB_LOOP)
		counters->devices[child->index].began_us = 0;
	pid = fork();
	if (pid < 0) {
		warn_errno("fork", errno);
		child->due_us = now + BACKOFF_MOST_US;
		return;
	}
	if (!pid)
		run(child);
	child->pid = pid;
	child->born_us = now;
}

static void add_child(enum job job, unsigned int index)
{
	children[children_used++] = (struct child){
		.job = job,
		.index = index,
		.backoff_us = BACKOFF_FIRST_US,
	};
}

/* @params and @disks must outlive the storm. */
void storm_start(const struct params *params, const struct disk *disks, unsigned int disks_used)
{
	unsigned int preemptors;
	unsigned int i;

	storm = params;
	storm_disks = disks;
	watch_start(params, disks, disks_used);
	for (i = 0; i < disks_used; i++) {
		if (i >= params->stay_on)
			add_child(JOB_LOOP, i);
	}
	for (i = 0; i < params->workers; i++)
		add_child(JOB_WORKER, i);
	add_child(JOB_OBSERVER, 0);
	if (cpus_prepare(params))
		add_child(JOB_CPUS, 0);
	if (params->zswap == TOGGLE_ON && params->zswap_on_ms.high)
		add_child(JOB_ZSWAP, 0);
	preemptors = preempt_prepare(params);
	for (i = 0; i < preemptors; i++)
		add_child(JOB_PREEMPTOR, i);
	if (preempt_idles_shrinkers(params))
		add_child(JOB_IDLER, 0);
	keep_on = disks_used < params->stay_on ? disks_used : params->stay_on;
	storm_go_on();
}

/* All of it, at its start and after it was stopped. */
void storm_go_on(void)
{
	unsigned int i;

	for (i = 0; i < keep_on; i++)
		disk_keep_on(&storm_disks[i], i, storm->priority.low);
	for (i = 0; i < children_used; i++) {
		/* Streams of numbers go on, too. */
		children[i].life += stops != 0;
		spawn(&children[i], now_us());
	}
}

/* PID 1, too, since it hears what is asked for. Whoever it starts later puts itself in its place. */
static void come_first(void)
{
	unsigned int i;

	setpriority(PRIO_PROCESS, 0, FIRST);
	for (i = 0; i < children_used; i++) {
		if (children[i].job == JOB_LOOP && children[i].pid > 0)
			setpriority(PRIO_PROCESS, children[i].pid, FIRST);
	}
}

/* Swap loops do what is asked of them; for the rest there is a process, from the first such request on. */
void storm_asked(enum actor actor, u32 number)
{
	static bool has_actor;

	if (!asked) {
		asked = true;
		come_first();
	}
	act_ask(actor, number);
	if (actor == ACTOR_SWAPOFF || has_actor)
		return;
	has_actor = true;
	cpus_prepare_to_blink();
	add_child(JOB_ACTOR, 0);
	spawn(&children[children_used - 1], now_us());
}

static struct child *find(pid_t pid)
{
	unsigned int i;

	for (i = 0; i < children_used; i++) {
		if (children[i].pid == pid)
			return &children[i];
	}
	return NULL;
}

static void bury(struct child *child, int status, u64 now)
{
	child->pid = 0;
	child->life++;
	/* Its life was to be short, and the next one begins at once. */
	if (child->job == JOB_WORKER && !status) {
		child->due_us = now;
		return;
	}
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		count(&counters->oom_kills);
	else if (child->job == JOB_WORKER)
		warn_died("worker-died", "worker", child->index, status);
	else if (child->job == JOB_OBSERVER)
		warn_died("observer-died", "observer", 0, status);
	else if (child->job == JOB_CPUS)
		warn_died("cpus-died", "cpus", 0, status);
	else if (child->job == JOB_ZSWAP)
		warn_died("zswap-died", "zswap", 0, status);
	else if (child->job == JOB_PREEMPTOR)
		warn_died("preemptor-died", "preemptor", child->index, status);
	else if (child->job == JOB_IDLER)
		warn_died("idler-died", "idler", 0, status);
	else if (child->job == JOB_ACTOR)
		warn_died("actor-died", "actor", 0, status);
	else
		warn_died("swap-loop-died", "disk", child->index, status);

	/* One that dies young again and again must not fill the console with OOM reports. */
	if (now - child->born_us >= LONG_LIFE_US)
		child->backoff_us = BACKOFF_FIRST_US;
	child->due_us = now + child->backoff_us;
	child->backoff_us *= 2;
	if (child->backoff_us > BACKOFF_MOST_US)
		child->backoff_us = BACKOFF_MOST_US;
}

static void watch_devices(u64 now)
{
	pid_t pids[MAX_DISKS] = { 0 };
	pid_t workers[MAX_WORKERS] = { 0 };
	u64 awake = watch_awake(now);
	unsigned int i;

	for (i = 0; i < children_used; i++) {
		if (children[i].job == JOB_LOOP)
			pids[children[i].index] = children[i].pid;
		else if (children[i].job == JOB_WORKER)
			workers[children[i].index] = children[i].pid;
	}
	watch_disks(awake);
	/* What we hold still ourselves hangs for no fault of the kernel. */
	if (held)
		return;
	watch_calls(pids, awake);
	watch_workers(workers, awake);
}

/* Buries the dead, starts again what is due, and watches; returns when it is to be called next. */
u64 storm_tend(void)
{
	u64 next = U64_MAX;
	u64 now = now_us();
	unsigned int i;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct child *child = find(pid);

		if (child)
			bury(child, status, now);
	}
	for (i = 0; i < children_used; i++) {
		struct child *child = &children[i];

		if (!child->pid && child->due_us <= now) {
			spawn(child, now);
			if (child->pid)
				count(&counters->respawns);
		}
		if (!child->pid && child->due_us < next)
			next = child->due_us;
	}
	watch_devices(now);
	if (children_used && now + WATCH_US < next)
		next = now + WATCH_US;
	return next;
}

static void signal_all(int signal_number)
{
	unsigned int i;

	for (i = 0; i < children_used; i++) {
		if (children[i].pid)
			kill(children[i].pid, signal_number);
	}
}

/* Everything stands still from here on: what a storm that makes no progress looks like. */
void storm_hold(void)
{
	held = true;
	signal_all(SIGSTOP);
}

static unsigned int running(void)
{
	unsigned int left = 0;
	unsigned int i;

	for (i = 0; i < children_used; i++)
		left += children[i].pid != 0;
	return left;
}

/* Whether all that are left were told of before they were asked to stop. */
static bool all_known(void)
{
	unsigned int i;

	for (i = 0; i < children_used; i++) {
		const struct child *child = &children[i];

		if (child->pid && (child->job != JOB_LOOP || !watch_was_told(child->index)))
			return false;
	}
	return true;
}

/* When a child began what it is about: a worker after all calls, as it may only wait for one. */
static u64 began(const struct child *child)
{
	u64 call = child->job == JOB_LOOP ? counted(&counters->devices[child->index].began_us) : 0;

	return call ? call : U64_MAX;
}

static int by_began(const void *a, const void *b)
{
	u64 one = began(*(const struct child *const *)a);
	u64 other = began(*(const struct child *const *)b);

	return (one > other) - (one < other);
}

static void tell_one(const struct child *child, const char *word, u64 awake, u64 passed)
{
	static const char *const names[] = {
		[JOB_LOOP] = "loop",
		[JOB_WORKER] = "worker",
		[JOB_OBSERVER] = "observer",
		[JOB_CPUS] = "cpus",
		[JOB_ZSWAP] = "zswap",
		[JOB_PREEMPTOR] = "preemptor",
		[JOB_IDLER] = "idler",
		[JOB_ACTOR] = "actor",
	};
	struct suspect suspect = {
		.what = names[child->job],
		.worker = child->index,
		.guest_ms = passed / 1000,
		.pid = child->pid,
	};

	if (child->job == JOB_LOOP)
		watch_fill(child->index, &suspect);
	suspect.stop_ms = awake / 1000;
	watch_tell(word, &suspect);
}

/*
 * Says of all that are left who they are and where, first of the one that others may wait for.
 * @awake is how long they were waited for.
 */
static void tell_left(const char *word, u64 awake, u64 passed)
{
	const struct child *left[ARRAY_SIZE(children)];
	unsigned int count = 0;
	unsigned int i;

	for (i = 0; i < children_used; i++) {
		if (children[i].pid)
			left[count++] = &children[i];
	}
	qsort(left, count, sizeof(left[0]), by_began);
	for (i = 0; i < count; i++)
		tell_one(left[i], word, awake, passed);
}

static void reap(void)
{
	struct child *child;
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
		child = find(pid);
		if (child)
			child->pid = 0;
	}
}

/* False if somebody does not end, which is told. */
bool storm_stop(void)
{
	u64 began = now_us();
	u64 passed = 0;
	u64 awake = 0;
	u64 looked = 0;
	u64 sampled = 0;
	bool told = false;

	stops++;
	signal_all(SIGKILL);
	watch_awake(began);
	for (;;) {
		reap();
		if (!running()) {
			cpus_all_on();
			return true;
		}
		awake += watch_awake(began + passed);
		if (awake >= looked + WATCH_US) {
			watch_disks(awake - looked);
			looked = awake;
		}
		if (awake >= sampled + STOP_SAMPLE_US) {
			telemetry_sample();
			sampled = awake;
		}
		if (awake >= STOP_TELL_US && !told) {
			tell_left("slow", awake, passed);
			told = true;
		}
		if (awake >= STOP_PATIENCE_US || passed >= STOP_MOST_US ||
		    (awake >= STOP_KNOWN_US && all_known()))
			break;
		sleep_us(1000);
		passed = now_us() - began;
	}
	/* One that is stuck in the kernel is a finding, and no reason not to end. */
	tell_left("hung", awake, passed);
	warn_number("stuck", "left", running());
	return false;
}
