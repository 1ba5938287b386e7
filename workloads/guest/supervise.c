// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * The agent keeps one process for each swap device and each worker alive. The OOM
 * killer may take any of them, swap loops too: a task in swapoff is its first choice.
 */
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"

#define BACKOFF_FIRST_US	20000
#define BACKOFF_MOST_US		2000000
#define LONG_LIFE_US		1000000
#define STOP_PATIENCE_US	5000000

struct child {
	bool is_worker;
	unsigned int index;
	pid_t pid;		/* 0 while it is not running. */
	u32 life;
	u64 born_us;
	u64 due_us;		/* When to start it again. */
	u64 backoff_us;
};

static struct child children[MAX_DISKS + MAX_WORKERS];
static unsigned int children_used;
static const struct params *storm;
static const struct disk *storm_disks;

static void spawn(struct child *child, u64 now)
{
	pid_t pid = fork();

	if (pid < 0) {
		warn_errno("fork", errno);
		child->due_us = now + BACKOFF_MOST_US;
		return;
	}
	if (!pid) {
		/* The agent waits for SIGCHLD; its children have no use for that. */
		signal(SIGCHLD, SIG_DFL);
		/* A storm without anybody who can end it must not go on. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (child->is_worker)
			worker_loop(storm, child->index, child->life);
		swap_loop(storm, &storm_disks[child->index], child->index, child->life);
	}
	child->pid = pid;
	child->born_us = now;
}

static void add_child(bool is_worker, unsigned int index)
{
	children[children_used++] = (struct child){
		.is_worker = is_worker,
		.index = index,
		.backoff_us = BACKOFF_FIRST_US,
	};
}

/* @params and @disks must outlive the storm. */
void storm_start(const struct params *params, const struct disk *disks, unsigned int disks_used)
{
	unsigned int i;

	storm = params;
	storm_disks = disks;
	for (i = 0; i < disks_used; i++) {
		if (i < params->stay_on)
			disk_keep_on(&disks[i], params->priority.low);
		else
			add_child(false, i);
	}
	for (i = 0; i < params->workers; i++)
		add_child(true, i);
	for (i = 0; i < children_used; i++)
		spawn(&children[i], now_us());
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
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		count(&counters->oom_kills);
	else if (child->is_worker)
		warn_died("worker-died", "worker", child->index, status);
	else
		warn_died("swap-loop-died", "disk", child->index, status);

	/* One that dies young again and again must not fill the console with OOM reports. */
	if (now - child->born_us >= LONG_LIFE_US)
		child->backoff_us = BACKOFF_FIRST_US;
	child->due_us = now + child->backoff_us;
	child->backoff_us *= 2;
	if (child->backoff_us > BACKOFF_MOST_US)
		child->backoff_us = BACKOFF_MOST_US;
	child->pid = 0;
	child->life++;
}

/* Buries the dead and starts again what is due; returns when the next one is due, or U64_MAX. */
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

void storm_stop(void)
{
	u64 deadline = now_us() + STOP_PATIENCE_US;
	pid_t pid;

	signal_all(SIGKILL);
	while (running() && now_us() < deadline) {
		struct child *child;

		pid = waitpid(-1, NULL, WNOHANG);
		child = pid > 0 ? find(pid) : NULL;
		if (child)
			child->pid = 0;
		else
			sleep_us(1000);
	}
	/* One that is stuck in the kernel is a finding, and no reason not to end. */
	if (running())
		warn_number("stuck", "left", running());
}
