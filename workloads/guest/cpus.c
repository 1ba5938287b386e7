// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Takes CPUs off and on beside the storm, one at a time, and never the first one. What a
 * subsystem keeps for each CPU goes and comes with it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent.h"

#define CPUS		"/sys/devices/system/cpu"
/* The highest number that is looked for. */
#define LAST_CPU	255

static char switches[MAX_CPUS][64];	/* Of each CPU that can be switched, its file. */
static unsigned int used;

/* Finds, below @folder, CPUs that are on and can be taken off; returns how many. */
unsigned int cpus_find(const char *folder)
{
	char path[sizeof(switches[0])];
	char text[8];
	unsigned int cpu;

	used = 0;
	for (cpu = 1; cpu <= LAST_CPU && used < MAX_CPUS; cpu++) {
		/* A CPU that the machine cannot take off has no such file. */
		snprintf(path, sizeof(path), "%s/cpu%u/online", folder, cpu);
		if (read_text(path, text, sizeof(text)) < 0 || text[0] != '1')
			continue;
		if (visiting && !restore_later(undo_write, path, "1")) {
			warn_path("cpus", path, NULL, errno);
			continue;
		}
		strcpy(switches[used++], path);
	}
	return used;
}

/* True if there is a CPU to take off; a warning says if there is none. */
bool cpus_prepare(const struct params *params)
{
	if (params->hotplug != TOGGLE_ON)
		return false;
	if (cpus_find(CPUS))
		return true;
	warn_path("cpus", CPUS, NULL, ENODEV);
	/* A storm that was to take CPUs off and cannot proves nothing: the counter tells. */
	count(&counters->cpu_refused);
	return false;
}

/* False, and counted, if the kernel refuses. */
static bool cpu_switch(const char *path, const char *value, u64 *counter)
{
	if (write_text(path, value)) {
		count(counter);
		return true;
	}
	/* The first refusal tells the reason, the counter how often. */
	if (!counted(&counters->cpu_refused))
		warn_path("cpus", path, value, errno);
	count(&counters->cpu_refused);
	return false;
}

/* Without a loop that takes CPUs off, for whoever is asked to. */
void cpus_prepare_to_blink(void)
{
	if (!used)
		cpus_find(CPUS);
}

/* Takes the last CPU off, and on again; false if the kernel refuses. */
bool cpus_blink(void)
{
	const char *path;
	const u64 retry_us = 1000;

	if (!used || !cpu_switch(switches[used - 1], "0", &counters->cpu_offs))
		return false;
	path = switches[used - 1];
	while (!cpu_switch(path, "1", &counters->cpu_ons))
		sleep_us(retry_us);
	return true;
}

/* Takes one CPU off for a while, and then leaves all on for a while. */
void cpus_turn(const struct params *params, struct rng *rng)
{
	const char *path = switches[rng_between(rng, 0, used - 1)];
	u64 off_us = rng_between(rng, params->cpu_off_ms.low * 1000,
				 params->cpu_off_ms.high * 1000);
	u64 on_us = rng_between(rng, params->cpu_on_ms.low * 1000, params->cpu_on_ms.high * 1000);
	const u64 retry_us = 1000;

	if (cpu_switch(path, "0", &counters->cpu_offs)) {
		sleep_us(off_us);
		while (!cpu_switch(path, "1", &counters->cpu_ons))
			sleep_us(retry_us);
	}
	/* Not at once again where it was refused. */
	sleep_us(on_us > retry_us ? on_us : retry_us);
}

void cpus_loop(const struct params *params, u32 life)
{
	struct rng rng;

	rng_init(&rng, params->seed, STREAM_CPUS, 0, life);
	/* The loop before this one may have died while a CPU was off. */
	cpus_all_on();
	for (;;)
		cpus_turn(params, &rng);
}

/* As it was before the storm. */
void cpus_all_on(void)
{
	unsigned int i;

	for (i = 0; i < used; i++)
		write_setting(switches[i], "1");
}
