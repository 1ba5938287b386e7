// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Numbers that fall back to where they were before the storm, once nobody swaps any more.
 * Most of them lag: batches, caches and statistics of each CPU, grace periods, workers of the
 * kernel that sleep. So each gets what makes it fall, and time.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent.h"

#define ZSWAP		"/sys/kernel/debug/zswap/"
#define SLAB		"/sys/kernel/slab/zswap_entry"

/* Of the time that this process was awake, and at least so many turns on every CPU. */
#define PATIENCE_US	10000000
#define LAPS		40
#define LAP_US		50000
/* What takes time is done only for what does not fall by itself, and not each time. */
#define LAPS_TO_HELP	8
/*
 * Statistics of memory cgroups are added up once 64 changes have come together so many times on
 * a CPU, or every two seconds; and what a CPU has charged in advance is one cgroup's until
 * another one charges there. So many pages do for both.
 */
#define STIR_PAGES	256
#define STIR_US		3000

/* As the kernel prints it; -1: this kernel has no such number. */
s64 level_read(const char *path, const char *key)
{
	char text[8192];
	unsigned long long number;
	size_t length = strlen(key);
	char *rest = NULL;
	char *line;

	if (read_text(path, text, sizeof(text)) <= 0)
		return -1;
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (length && (strncmp(line, key, length) || !strchr(": ", line[length])))
			continue;
		/* A file that is one number may say of what node it is behind it. */
		if (sscanf(line + length + (length && line[length] == ':'), "%llu", &number) == 1)
			return number <= S64_MAX ? (s64)number : -1;
	}
	return -1;
}

/* Sums of /proc/swaps, or its line for @path, in KiB; false if it cannot be read. */
bool swaps_sum(const char *text, const char *path, u64 *size, u64 *used)
{
	const char *line = strchr(text, '\n');

	*size = *used = 0;
	for (; line && line[1]; line = strchr(line + 1, '\n')) {
		unsigned long long has, uses;
		char name[128];

		if (sscanf(line + 1, "%127s %*s %llu %llu", name, &has, &uses) != 3)
			return false;
		if (path && strcmp(name, path))
			continue;
		*size += has;
		*used += uses;
	}
	return true;
}

void level_add(struct levels *levels, const char *check, const char *path, const char *key)
{
	struct level *level = &levels->all[levels->used];

	if (levels->used == MAX_LEVELS)
		return;
	snprintf(level->path, sizeof(level->path), "%s", path);
	level->check = check;
	level->key = key;
	level->got = level_read(path, key);
	level->want = level->got;
	if (level->got >= 0)
		levels->used++;
}

/*
 * A cache whose folder is a link shares its slabs with others. Shrinking it gives back what
 * CPUs hold, and what KASAN holds in quarantine: its objects are then those in use.
 */
static bool has_slab(void)
{
	char target[16];

	return !access(SLAB "/shrink", W_OK) && readlink(SLAB, target, sizeof(target)) < 0;
}

/* What zswap has, as it is now. */
void levels_of_zswap(struct levels *levels)
{
	unsigned int before = levels->used;

	level_add(levels, "zswap-empty", ZSWAP "stored_pages", "");
	level_add(levels, "zswap-empty", ZSWAP "pool_total_size", "");
	if (levels->used == before) {
		level_add(levels, "zswap-empty", "/proc/meminfo", "Zswapped");
	}
	if (!has_slab())
		return;
	write_text(SLAB "/shrink", "1");
	level_add(levels, "zswap-slab", SLAB "/objects", "");
}

/* Of a cgroup in which nobody is any more: its part of zswap must be nothing. */
void levels_of_cgroup(struct levels *levels, const char *folder)
{
	static const char *const keys[] = { "zswap", "zswapped" };
	char path[sizeof(levels->all[0].path)];
	size_t i;

	snprintf(path, sizeof(path), "%s/memory.stat", folder);
	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		unsigned int before = levels->used;

		level_add(levels, "memcg-zswap", path, keys[i]);
		if (levels->used > before)
			levels->all[before].want = 0;
	}
}

void levels_of_dying(struct levels *levels, const char *folder)
{
	char path[sizeof(levels->all[0].path)];

	snprintf(path, sizeof(path), "%s/cgroup.stat", folder);
	level_add(levels, "memcg-gone", path, "nr_dying_descendants");
}

static void touch_pages(void)
{
	size_t page_bytes = sysconf(_SC_PAGESIZE);
	char *pages = mmap(NULL, STIR_PAGES * page_bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t i;

	if (pages == MAP_FAILED)
		return;
	for (i = 0; i < STIR_PAGES; i++)
		pages[i * page_bytes] = 1;
	munmap(pages, STIR_PAGES * page_bytes);
}

/*
 * Is awake on each CPU for some ticks: timers that let an idle CPU sleep, grace periods and
 * batches get on there. Whoever was there has also waited for each CPU to run.
 */
static void stir(void)
{
	unsigned int cpu;
	cpu_set_t before, one;

	if (sched_getaffinity(0, sizeof(before), &before))
		return;
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		u64 end;

		if (!CPU_ISSET(cpu, &before))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (sched_setaffinity(0, sizeof(one), &one))
			continue;
		touch_pages();
		for (end = now_us() + STIR_US; now_us() < end;)
			;
	}
	sched_setaffinity(0, sizeof(before), &before);
}

/* Lets go of what is only kept for later. On a machine that is not ours caches are its own. */
static void let_go(const struct levels *levels)
{
	bool slab = false;
	bool dying = false;
	unsigned int i;

	for (i = 0; i < levels->used; i++) {
		const struct level *level = &levels->all[i];

		if (level->got <= level->want)
			continue;
		slab |= !strcmp(level->check, "zswap-slab");
		dying |= !strcmp(level->check, "memcg-gone");
	}
	if (slab)
		write_text(SLAB "/shrink", "1");
	if (dying && !visiting)
		write_text("/proc/sys/vm/drop_caches", "3");
}

static bool read_levels(struct levels *levels)
{
	bool all = true;
	unsigned int i;

	for (i = 0; i < levels->used; i++) {
		struct level *level = &levels->all[i];
		s64 got = level_read(level->path, level->key);

		/* What cannot be read any more says nothing. */
		level->got = got < 0 ? level->want : got;
		all &= level->got <= level->want;
	}
	return all;
}

/* Waits until all are where they are wanted, or patience ends; how long it was awake, in us. */
u64 levels_settle(struct levels *levels, void (*help)(void))
{
	u64 awake = 0;
	unsigned int laps;

	watch_awake(now_us());
	for (laps = 0;; laps++) {
		if (read_levels(levels) || (awake >= PATIENCE_US && laps >= LAPS))
			return awake;
		if (laps % LAPS_TO_HELP == LAPS_TO_HELP - 1)
			help();
		let_go(levels);
		stir();
		sleep_us(LAP_US);
		awake += watch_awake(now_us());
	}
}
