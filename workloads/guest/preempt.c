// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Takes the processor away from tasks in the middle of what they do. On each CPU a task
 * under SCHED_FIFO works for a moment, again and again: whoever it interrupts stands where
 * it was while the other CPUs go on. Workers, and the kernel's threads that write back for
 * zswap, may run under SCHED_IDLE: once interrupted they come back late.
 *
 * The bounds of bursts and gaps (params.c) leave more to all others than the kernel's
 * throttling of realtime tasks does, which stays on. Nobody is kept waiting for longer than
 * one burst, neither RCU's threads nor the agent: not long enough for any detector.
 */
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"

#define LAST_CPU	255
#define LOOK_US		250000

static unsigned int cpus[MAX_CPUS];

/* How many CPUs get a task that takes them: those that are on, 0 without this technique. */
unsigned int preempt_prepare(const struct params *params)
{
	unsigned int used = 0;
	unsigned int cpu;
	cpu_set_t set;

	if (params->preempt != TOGGLE_ON)
		return 0;
	/* Realtime tasks have no place on a machine that is not ours. */
	if (visiting) {
		warn_errno("preempt", EPERM);
		return 0;
	}
	if (sched_getaffinity(0, sizeof(set), &set)) {
		warn_errno("preempt", errno);
		return 0;
	}
	for (cpu = 0; cpu <= LAST_CPU && used < MAX_CPUS; cpu++) {
		if (CPU_ISSET(cpu, &set))
			cpus[used++] = cpu;
	}
	return used;
}

/* Whether some of those who write back are to run under SCHED_IDLE. */
bool preempt_idles_shrinkers(const struct params *params)
{
	return params->preempt == TOGGLE_ON && params->idle_shrinkers == TOGGLE_ON && !visiting;
}

/* The first so many per cent of the workers. */
bool preempt_idles_worker(const struct params *params, unsigned int index)
{
	return params->preempt == TOGGLE_ON && !visiting &&
	       index * 100 < params->workers * params->idle_workers;
}

bool preempt_idle(pid_t pid)
{
	struct sched_param param = { 0 };

	return !sched_setscheduler(pid, SCHED_IDLE, &param);
}

void preempt_draw(const struct params *params, struct rng *rng, u64 *burst_us, u64 *gap_us)
{
	*burst_us = rng_between(rng, params->burst_us.low, params->burst_us.high);
	*gap_us = rng_between(rng, params->gap_us.low, params->gap_us.high);
}

static bool take(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return !sched_setaffinity(0, sizeof(set), &set);
}

void preempt_loop(const struct params *params, unsigned int index, u32 life)
{
	struct sched_param param = { .sched_priority = 1 };
	struct rng rng;

	rng_init(&rng, params->seed, STREAM_PREEMPT, index, life);
	/* At the default priority this would be a load like any other. */
	if (sched_setscheduler(0, SCHED_FIFO, &param)) {
		warn_errno("preempt", errno);
		for (;;)
			pause();
	}
	for (;;) {
		u64 burst_us, gap_us, end;

		preempt_draw(params, &rng, &burst_us, &gap_us);
		sleep_us(gap_us);
		/* A CPU that went off has sent us to another one, which is not ours to take. */
		if (!take(cpus[index]))
			continue;
		for (end = now_us() + burst_us; now_us() < end;)
			;
		count(&counters->bursts);
	}
}

/* A worker of the kernel is called after the queue that it works for, or did last. */
bool preempt_is_shrinker(const char *name)
{
	return !strncmp(name, "kworker/", strlen("kworker/")) && strstr(name, "zswap-shrink");
}

static void look_for_shrinkers(void)
{
	char path[32], name[64];
	struct dirent *entry;
	DIR *folder = opendir("/proc");

	if (!folder)
		return;
	while ((entry = readdir(folder))) {
		pid_t pid = atoi(entry->d_name);

		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		if (pid <= 0 || read_text(path, name, sizeof(name)) <= 0 ||
		    !preempt_is_shrinker(name) || sched_getscheduler(pid) == SCHED_IDLE)
			continue;
		if (preempt_idle(pid))
			count(&counters->shrinkers_idled);
	}
	closedir(folder);
}

/* They come and go, and the first ones come with the first pages. */
void preempt_shrinkers_loop(void)
{
	for (;;) {
		look_for_shrinkers();
		sleep_us(LOOK_US);
	}
}
