// SPDX-License-Identifier: MIT OR Apache-2.0
/* Workers: each fills pages in a cgroup of its own, pushes them out, and checks what comes back. */
#include <errno.h>
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

/* Where the workers' cgroups are: on a machine that is not ours, in a folder of its own. */
static char home[64] = CGROUP_ROOT;

static bool has_word(const char *text, const char *word)
{
	size_t length = strlen(word);
	const char *at;

	for (at = text; (at = strstr(at, word)); at += length) {
		if ((at == text || at[-1] == ' ') && (!at[length] || at[length] == ' '))
			return true;
	}
	return false;
}

static void hand_down(const char *folder, const char *controller)
{
	char path[96], text[128], add[16], drop[16];

	snprintf(path, sizeof(path), "%s/cgroup.subtree_control", folder);
	snprintf(add, sizeof(add), "+%s", controller);
	snprintf(drop, sizeof(drop), "-%s", controller);
	if (read_text(path, text, sizeof(text)) >= 0 && has_word(text, controller))
		return;
	if (visiting && !restore_later(undo_write, path, drop))
		return;
	write_setting(path, add);
}

static int undo_home(const char *path, const char *value)
{
	char worker[96];
	unsigned int i;

	for (i = 0; i < MAX_WORKERS; i++) {
		snprintf(worker, sizeof(worker), "%s/w%u", path, i);
		undo_mkdir(worker, value);	/* What is left keeps the folder, too. */
	}
	return undo_mkdir(path, value);
}

static void make_home(void)
{
	snprintf(home, sizeof(home), CGROUP_ROOT "/swapstorm.%d", getpid());
	if (!restore_later(undo_home, home, "") || mkdir(home, 0755))
		warn_path("write", home, NULL, errno);
}

/* Before the first worker. What each cgroup needs besides is the worker's own business. */
void workers_prepare(const struct params *params)
{
	hand_down(CGROUP_ROOT, "memory");
	if (params->cpu_max[0])
		hand_down(CGROUP_ROOT, "cpu");
	if (!visiting)
		return;
	make_home();
	hand_down(home, "memory");
	if (params->cpu_max[0])
		hand_down(home, "cpu");
}

static void set_in_cgroup(unsigned int index, const char *file, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/w%u/%s", home, index, file);
	if (value[0])
		write_setting(path, value);
}

/* Made by the worker rather than for it: each costs milliseconds in an instrumented kernel. */
static void enter_cgroup(const struct params *params, unsigned int index)
{
	char cpu_max[sizeof(params->cpu_max)];
	char path[96];
	char *slash;

	snprintf(path, sizeof(path), "%s/w%u", home, index);
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
