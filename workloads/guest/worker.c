// SPDX-License-Identifier: MIT OR Apache-2.0
/* Workers: each fills pages in a cgroup of its own, pushes them out, and checks what comes back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT		21
#endif
#define CORRUPT_LINES		16

struct worker {
	const struct params *params;
	struct pattern pattern;
	unsigned int index;
	char *pages;
	u64 *generations;	/* Of each page, what was written last; 0: nothing yet. */
	unsigned int corrupt_lines;
};

static void set_limit(unsigned int index, const char *file, const char *value)
{
	char path[96];

	snprintf(path, sizeof(path), CGROUP_ROOT "/w%u/%s", index, file);
	if (value[0])
		write_setting(path, value);
}

void workers_prepare(const struct params *params)
{
	char cpu_max[sizeof(params->cpu_max)];
	unsigned int i;
	char *slash;

	write_setting(CGROUP_ROOT "/cgroup.subtree_control", "+memory");
	if (params->cpu_max[0])
		write_setting(CGROUP_ROOT "/cgroup.subtree_control", "+cpu");
	/* A blank cannot stand in a word of the command line. */
	strcpy(cpu_max, params->cpu_max);
	slash = strchr(cpu_max, '/');
	if (slash)
		*slash = ' ';

	for (i = 0; i < params->workers; i++) {
		char path[64];

		snprintf(path, sizeof(path), CGROUP_ROOT "/w%u", i);
		mkdir(path, 0755);
		set_limit(i, "memory.max", params->memory_max);
		set_limit(i, "memory.high", params->memory_high);
		set_limit(i, "memory.zswap.max", params->zswap_max);
		set_limit(i, "cpu.max", cpu_max);
	}
}

static char *page_at(const struct worker *worker, size_t page)
{
	return worker->pages + page * worker->pattern.page_bytes;
}

static void check_page(struct worker *worker, size_t page)
{
	struct page_id id = { worker->index, page, worker->generations[page] };
	struct mismatch mismatch;

	if (!id.generation)
		return;
	if (worker->params->fault == FAULT_CORRUPT_PAGE && id.worker == 0 && id.page == 0 &&
	    id.generation == 1)
		page_at(worker, page)[worker->pattern.page_bytes / 2] ^= 0xff;

	if (!pattern_check(&worker->pattern, &id, page_at(worker, page), &mismatch)) {
		count(&counters->corruptions);
		if (worker->corrupt_lines++ < CORRUPT_LINES)
			telemetry_corrupt(&id, &mismatch);
	}
	count(&counters->verified);
}

static void write_page(struct worker *worker, size_t page)
{
	struct page_id id = { worker->index, page, ++worker->generations[page] };

	pattern_fill(&worker->pattern, &id, page_at(worker, page));
	count(&counters->touched);
}

static void push_out(const struct worker *worker)
{
	const struct params *params = worker->params;
	size_t page;

	for (page = 0; page < params->pages; page += params->chunk) {
		size_t left = params->pages - page;
		size_t pages = left < params->chunk ? left : params->chunk;

		/* Advice may be refused, for lack of swap above all; the page then stays. */
		madvise(page_at(worker, page), pages * worker->pattern.page_bytes, MADV_PAGEOUT);
	}
}

static void one_round(struct worker *worker)
{
	size_t page;

	for (page = 0; page < worker->params->pages; page++) {
		check_page(worker, page);
		write_page(worker, page);
	}
	if (worker->params->push == PUSH_PAGEOUT)
		push_out(worker);
	count(&counters->rounds);
}

static void *map(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);

	if (memory == MAP_FAILED)
		_exit(1);
	return memory;
}

void worker_loop(const struct params *params, unsigned int index, u32 life)
{
	struct worker worker = {
		.params = params,
		.pattern = {
			.seed = params->seed,
			.life = life,
			.compressible = params->compressible,
			.page_bytes = sysconf(_SC_PAGESIZE),
		},
		.index = index,
	};
	char path[96];

	/* Workers, and nobody else, are what the OOM killer may have. */
	write_text("/proc/self/oom_score_adj", "1000");
	snprintf(path, sizeof(path), CGROUP_ROOT "/w%u/cgroup.procs", index);
	write_setting(path, "0");

	worker.pages = map(params->pages * worker.pattern.page_bytes);
	worker.generations = map(params->pages * sizeof(*worker.generations));
	for (;;)
		one_round(&worker);
}
