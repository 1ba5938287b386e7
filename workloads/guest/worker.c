// SPDX-License-Identifier: MIT OR Apache-2.0
/* Workers: each fills pages in a cgroup of its own, pushes them out, and checks what comes back. */
#include <errno.h>
#include <pthread.h>
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
/* So long between two pages of a reader: the worker shall push pages out faster than it reads them back. */
#define READ_US			1000

struct worker {
	const struct params *params;
	struct pattern pattern;
	unsigned int index;
	struct rng rng;
	u64 ends_us;		/* When it ends, */
	u64 moves_us;		/* and when it goes to another cgroup. */
	bool other;		/* In which of its two cgroups it is. */
	char *pages;
	struct rng order;
	u64 *generations;	/* Of each page, what was written last; 0: nothing yet. */
	unsigned int corrupt_lines;
};

/* Where the workers' cgroups are: on a machine that is not ours, in a folder of its own. */
static char home[64] = CGROUP_ROOT;
/* Of whoever checks between phases. It stays, for one that goes would be counted. */
#define CHECK_CGROUP	"check"

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

const char *workers_home(void)
{
	return home;
}

/* A worker that changes its cgroup has two in turn. */
void worker_cgroup(unsigned int index, bool other, char *folder, size_t size)
{
	snprintf(folder, size, "%s/%c%u", home, other ? 'x' : 'w', index);
}

static int undo_home(const char *path, const char *value)
{
	char worker[96];
	unsigned int i;

	for (i = 0; i < 2 * MAX_WORKERS; i++) {
		worker_cgroup(i / 2, i % 2, worker, sizeof(worker));
		undo_mkdir(worker, value);	/* What is left keeps the folder, too. */
	}
	snprintf(worker, sizeof(worker), "%s/" CHECK_CGROUP, path);
	undo_mkdir(worker, value);
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

static void set_in_cgroup(const char *folder, const char *file, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	if (value[0])
		write_setting(path, value);
}

void check_cgroup_enter(void)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/" CHECK_CGROUP, home);
	mkdir(path, 0755);
	set_in_cgroup(path, "cgroup.procs", "0");
}

/* Made by the worker rather than for it: each costs milliseconds in an instrumented kernel. */
static void enter_cgroup(const struct params *params, unsigned int index, bool other)
{
	char cpu_max[sizeof(params->cpu_max)];
	char path[96];
	char *slash;

	worker_cgroup(index, other, path, sizeof(path));
	mkdir(path, 0755);
	set_in_cgroup(path, "memory.max", params->memory_max);
	set_in_cgroup(path, "memory.high", params->memory_high);
	set_in_cgroup(path, "memory.zswap.max", params->zswap_max);
	/* A blank cannot stand in a word of the command line. */
	strcpy(cpu_max, params->cpu_max);
	slash = strchr(cpu_max, '/');
	if (slash)
		*slash = ' ';
	set_in_cgroup(path, "cpu.max", cpu_max);
	set_in_cgroup(path, "cgroup.procs", "0");
	/* What the one before holds still, in memory and in swap, it holds as one that dies. */
	worker_cgroup(index, !other, path, sizeof(path));
	if (!rmdir(path))
		count(&counters->memcgs_gone);
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
	count(&counters->worker_pages[worker->index]);
}

static void write_page(struct worker *worker, size_t page)
{
	struct page_id id = { worker->index, page, ++worker->generations[page] };

	pattern_fill(&worker->pattern, &id, page_at(worker, page));
	count(&counters->touched);
	count(&counters->worker_pages[worker->index]);
}

/*
 * Chunk by chunk, so that pages leave from the first moment on and most are out at any time. In
 * random order some are not reached in a round, and others twice.
 */
static void one_round(struct worker *worker)
{
	const struct params *params = worker->params;
	size_t page_bytes = worker->pattern.page_bytes;
	size_t chunks = (params->pages + params->chunk - 1) / params->chunk;
	size_t first, page, end, i;

	for (i = 0; i < chunks; i++) {
		first = i * params->chunk;
		if (params->order == ORDER_RANDOM)
			first = rng_between(&worker->order, 0, chunks - 1) * params->chunk;
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

/* The first part of @memory becomes that of a file on tmpfs, which nobody else has. */
static void share(char *memory, size_t bytes)
{
	int fd = bytes ? memfd_create("worker", MFD_CLOEXEC) : -1;

	if (!bytes)
		return;
	if (fd < 0 || ftruncate(fd, bytes) ||
	    mmap(memory, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
		    MAP_FAILED)
		_exit(1);
	close(fd);
}

/* Some time from now, or never where no range is set. */
static u64 draw_due(struct rng *rng, const struct range *ms)
{
	return ms->high ? now_us() + rng_between(rng, ms->low * 1000, ms->high * 1000) : U64_MAX;
}

/* Ends, or goes to another cgroup, if it is time to. */
static void change(struct worker *worker)
{
	u64 now = now_us();

	if (now >= worker->ends_us)
		_exit(0);
	if (now < worker->moves_us)
		return;
	worker->other = !worker->other;
	enter_cgroup(worker->params, worker->index, worker->other);
	worker->moves_us = draw_due(&worker->rng, &worker->params->memcg_ms);
}

/* One more thread of a worker: it faults pages in while the worker does so, too. */
static void *reader_loop(void *argument)
{
	const struct worker *worker = argument;
	static unsigned int readers;
	unsigned int reader = __atomic_fetch_add(&readers, 1, __ATOMIC_RELAXED);
	struct rng rng;

	rng_init(&rng, worker->params->seed, STREAM_READER, worker->index * MAX_READERS + reader,
		 worker->pattern.life);
	for (;;) {
		size_t page = rng_between(&rng, 0, worker->params->pages - 1);

		(void)*(volatile char *)page_at(worker, page);
		sleep_us(READ_US);
	}
	return NULL;
}

static void start_readers(struct worker *worker)
{
	pthread_t thread;
	unsigned int i;
	int error;

	for (i = 0; i < worker->params->readers; i++) {
		error = pthread_create(&thread, NULL, reader_loop, worker);
		if (error)
			warn_errno("reader", error);
	}
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
	enter_cgroup(params, index, false);
	if (preempt_idles_worker(params, index) && !preempt_idle(0))
		warn_errno("preempt", errno);
	rng_init(&worker.order, params->seed, STREAM_ORDER, index, life);
	worker.pages = map(params->pages * worker.pattern.page_bytes);
	share(worker.pages, params->pages * params->shmem / 100 * worker.pattern.page_bytes);
	worker.generations = map(params->pages * sizeof(*worker.generations));
	rng_init(&worker.rng, params->seed, STREAM_WORKER, index, life);
	worker.ends_us = draw_due(&worker.rng, &params->life_ms);
	worker.moves_us = draw_due(&worker.rng, &params->memcg_ms);
	start_readers(&worker);
	for (;;) {
		one_round(&worker);
		change(&worker);
	}
}
