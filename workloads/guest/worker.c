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

/* Before the first worker. What each cgroup needs besides is the worker's own business. */
void workers_prepare(const struct params *params)
{
	write_setting(CGROUP_ROOT "/cgroup.subtree_control", "+memory");
	if (params->cpu_max[0])
		write_setting(CGROUP_ROOT "/cgroup.subtree_control", "+cpu");
}

static void set_in_cgroup(unsigned int index, const char *file, const char *value)
{
	char path[96];

	snprintf(path, sizeof(path), CGROUP_ROOT "/w%u/%s", index, file);
	if (value[0])
		write_setting(path, value);
}

/* Made by the worker rather than for it: each costs milliseconds in an instrumented kernel. */
static void enter_cgroup(const struct params *params, unsigned int index)
{
	char cpu_max[sizeof(params->cpu_max)];
	char path[64];
	char *slash;

	snprintf(path, sizeof(path), CGROUP_ROOT "/w%u", index);
	mkdir(path, 0755);
	set_in_cgroup(index, "memory.max", params->memory_max);
	set_in_cgroup(index, "memory.high", params->memory_high);
	set_in_cgroup(index, "memory.zswap.max", params->zswap_max);
	/* A blank cannot stand in a word of the command line. */
	strcpy(cpu_max, params->cpu_max);
	slash = strchr(cpu_max, '/');
	if (slash)
		*slash = ' ';
	set_in_cgroup(index, "cpu.max", cpu_max);
	set_in_cgroup(index, "cgroup.procs", "0");
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

/* Chunk by chunk, so that pages leave from the first moment on and most are out at any time. */
static void one_round(struct worker *worker)
{
	const struct params *params = worker->params;
	size_t page_bytes = worker->pattern.page_bytes;
	size_t first, page, end;

	for (first = 0; first < params->pages; first = end) {
		end = first + params->chunk;
		if (end > params->pages)
			end = params->pages;
		for (page = first; page < end; page++) {
			check_page(worker, page);
			write_page(worker, page);
		}
		/* Advice may be refused, for lack of swap above all; the pages then stay. */
		if (params->push == PUSH_PAGEOUT)
			madvise(page_at(worker, first), (end - first) * page_bytes, MADV_PAGEOUT);
	}
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

	/* Workers, and nobody else, are what the OOM killer may have. */
	write_text("/proc/self/oom_score_adj", "1000");
	enter_cgroup(params, index);
	worker.pages = map(params->pages * worker.pattern.page_bytes);
	worker.generations = map(params->pages * sizeof(*worker.generations));
	for (;;)
		one_round(&worker);
}
