// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Watches each swap device on its own: one swapoff that never ends must not be hidden
 * by others that do. The kernel's own detector is no help there, since it takes a task
 * that sleeps again and again for one that makes progress.
 *
 * Time is counted only as far as this process was awake in it: on a machine that is
 * starved of its CPUs, or was stopped for a while, little time has passed for anybody.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"

/* Between two looks no more than this is taken for time in which the machine ran. */
#define AWAKE_MOST_US	(2 * WATCH_US)
/* A call that is older than this is looked at in detail. */
#define OLD_US		1000000
/* A call is told of at once, twice, and four times its limit; all calls so often. */
#define MOST_TOLD	3
#define MOST_LINES	32
/* Stacks of all tasks are long: no more often, and not sooner after the last time. */
#define MOST_DUMPS	8
#define DUMP_US		2000000
/* Pages that a swapoff has to bring back, at most, to have got on. */
#define MOST_NEEDED_KIB	128
/* However it gets on, a call has an end: some limits, and a second for each so many bytes of swap. */
#define LIMITS		3
#define BYTES_A_SECOND	(1ULL << 20)
/* A disk that always has requests and answers no more of them between two looks is slow. */
#define SLOW_ANSWERS	10
/* A worker that runs for one part in so many of the time, and is never done with a page, gets nowhere. */
#define RUNS_PART	4

/* What was seen of the call that a device's loop is in. */
struct call_watch {
	u64 began_us;		/* Which call it is; 0: none. */
	u64 awake_us;		/* Since it began, */
	u64 quiet_us;		/* or since it last brought pages back. */
	u64 least_kib;		/* In use then. */
	u64 others;		/* Calls that all had completed when it last got on. */
	bool has_first;
	struct task first;	/* The task when it was first looked at. */
	unsigned int told;
};

/* What was seen of a worker. */
struct worker_watch {
	pid_t pid;
	u64 pages;
	u64 since_us;		/* When it was last done with a page, */
	u64 quiet_us;		/* and how long ago that is. */
	u64 first_us;		/* The same when the task was first looked at; 0: it was not. */
	struct task first;
	unsigned int told;
};

/* What was seen of a disk. */
struct disk_watch {
	u64 answered;		/* Requests so far. */
	u64 owes_us;		/* How long it has owed answers and given hardly any. */
};

static const struct params *params;
static const struct disk *disks;
static unsigned int disks_used;
static u64 all_bytes;
static struct call_watch watches[MAX_DISKS];
static struct worker_watch worker_watches[MAX_WORKERS];
static struct disk_watch disk_watches[MAX_DISKS];
static u64 line_quiet_us;	/* Since any call got on. */
static u64 line_completed;
static unsigned int lines;

void watch_start(const struct params *with, const struct disk *all, unsigned int used)
{
	params = with;
	disks = all;
	disks_used = used;
	for (all_bytes = 0; used; used--)
		all_bytes += all[used - 1].bytes;
}

/* How long the machine ran since the last time that this was asked. */
u64 watch_awake(u64 now)
{
	static u64 last;
	u64 passed = last ? now - last : 0;

	last = now;
	return passed < AWAKE_MOST_US ? passed : AWAKE_MOST_US;
}

/* Has the kernel print the stacks of tasks that are blocked, and of those that run. */
static void dump_stacks(bool running)
{
	static unsigned int dumps;
	static u64 last;
	u64 now = now_us();
	char level[64];

	if (params->sysrq != TOGGLE_ON || dumps == MOST_DUMPS || (dumps && now - last < DUMP_US))
		return;
	dumps++;
	last = now;
	/* The first number decides what reaches a console: stacks are KERN_INFO. */
	if (read_text("/proc/sys/kernel/printk", level, sizeof(level)) <= 0)
		level[0] = '\0';
	write_text("/proc/sys/kernel/printk", "7");
	write_text("/proc/sysrq-trigger", "w");
	if (running)
		write_text("/proc/sysrq-trigger", "l");
	write_text("/proc/sys/kernel/printk", level);
}

static u64 completed(void)
{
	return counted(&counters->swapon) + counted(&counters->swapoff);
}

/* Documentation/block/stat.rst: requests answered are numbers 1 and 5, those under way number 9. */
static void look_at_disk(unsigned int index, u64 awake)
{
	struct disk_watch *watch = &disk_watches[index];
	unsigned long long reads = 0, writes = 0, owed = 0;
	char path[96], text[256];

	snprintf(path, sizeof(path), "/sys/class/block/%s/stat", disk_name(&disks[index]));
	if (read_text(path, text, sizeof(text)) <= 0 ||
	    sscanf(text, "%llu %*u %*u %*u %llu %*u %*u %*u %llu", &reads, &writes, &owed) != 3 ||
	    !owed || (reads + writes - watch->answered) * WATCH_US > SLOW_ANSWERS * awake)
		watch->owes_us = 0;
	else
		watch->owes_us += awake;
	watch->answered = reads + writes;
}

/* @awake is how long the machine ran since the last look. */
void watch_disks(u64 awake)
{
	unsigned int i;

	for (i = 0; i < disks_used; i++)
		look_at_disk(i, awake);
}

/* For how long some disk was slow. Whoever waits for one keeps others waiting. */
u64 watch_owed_us(void)
{
	u64 most = 0;
	unsigned int i;

	for (i = 0; i < disks_used; i++) {
		if (disk_watches[i].owes_us > most)
			most = disk_watches[i].owes_us;
	}
	return most;
}

/*
 * The stacks come first, so that whoever reads the line has them. False if there is no
 * such task any more.
 */
bool watch_tell(const char *word, struct suspect *suspect)
{
	if (lines == MOST_LINES || !task_locate(suspect->pid, &suspect->now, &suspect->place))
		return false;
	lines++;
	suspect->io_ms = watch_owed_us() / 1000;
	dump_stacks(suspect->now.state == 'R');
	telemetry_suspect(word, suspect);
	return true;
}

/* True unless another call is under way by now. */
static bool is_same_call(struct call_watch *watch, unsigned int index)
{
	struct device *device = &counters->devices[index];
	u64 began = __atomic_load_n(&device->began_us, __ATOMIC_ACQUIRE);

	if (began && began == watch->began_us)
		return true;
	if (watch->told)
		warn_ended(disks[index].path, watch->awake_us / 1000);
	*watch = (struct call_watch){
		.began_us = began,
		.least_kib = U64_MAX,
		.others = completed(),
	};
	return false;
}

/*
 * Those who use pages bring some back as well, whatever swapoff does: it has to be a part of
 * what is left, though no more than even a slow disk manages within the limit.
 */
static u64 enough_kib(u64 left)
{
	u64 part = left / 4;

	return part < MOST_NEEDED_KIB ? part : MOST_NEEDED_KIB;
}

/* True if the call got on. */
static bool take_time(struct call_watch *watch, const struct device *device, u64 awake)
{
	u64 used = counted(&device->used_kib);

	watch->awake_us += awake;
	watch->quiet_us += awake;
	if (counted(&device->call) != CALL_SWAPOFF ||
	    counted(&device->used_at_us) <= watch->began_us)
		return false;
	/* The first reading has nothing to be compared with. */
	if (watch->least_kib == U64_MAX)
		watch->least_kib = used;
	if (used >= watch->least_kib || watch->least_kib - used < enough_kib(watch->least_kib))
		return false;
	watch->least_kib = used;
	watch->quiet_us = 0;
	watch->others = completed();
	return true;
}

void watch_fill(unsigned int index, struct suspect *suspect)
{
	const struct call_watch *watch = &watches[index];
	struct device *device = &counters->devices[index];
	u64 began = counted(&device->began_us);
	bool known = began && began == watch->began_us;

	suspect->what = !began ? "loop" :
			counted(&device->call) == CALL_SWAPON ? "swapon" : "swapoff";
	suspect->device = disks[index].path;
	suspect->guest_ms = began ? (now_us() - began) / 1000 : 0;
	suspect->awake_ms = known ? watch->awake_us / 1000 : 0;
	suspect->quiet_ms = known ? watch->quiet_us / 1000 : 0;
	suspect->others = known ? completed() - watch->others : 0;
	suspect->tries = began ? counted(&device->tries) : 0;
	suspect->first = known && watch->has_first ? &watch->first : NULL;
}

static void look_at_call(unsigned int index, pid_t pid, u64 awake, bool *got_on)
{
	struct call_watch *watch = &watches[index];

	if (!is_same_call(watch, index))
		return;
	*got_on |= take_time(watch, &counters->devices[index], awake);
	if (!watch->has_first && watch->awake_us > OLD_US)
		watch->has_first = task_read(pid, &watch->first);
}

/*
 * Locks let one call at a time, so that one that waits for others is no hang as long as
 * they get on, unless the others were let so often that it cannot be its turn they wait for.
 */
static bool hangs(unsigned int index)
{
	const struct call_watch *watch = &watches[index];
	u64 limit = params->hung_ms * 1000 << watch->told;
	u64 longest = LIMITS * limit + all_bytes / BYTES_A_SECOND * 1000000;

	if (!watch->began_us || watch->told == MOST_TOLD)
		return false;
	if (watch->awake_us >= longest)
		return true;
	if (watch->quiet_us < limit)
		return false;
	return line_quiet_us >= limit || completed() - watch->others >= 2 * disks_used;
}

/* Of those that hang the one that began first: others may wait for what it holds. */
static int first_that_hangs(const pid_t *pids, u64 after_us)
{
	int first = -1;
	unsigned int i;

	for (i = 0; i < disks_used; i++) {
		if (pids[i] && hangs(i) && watches[i].began_us > after_us &&
		    (first < 0 || watches[i].began_us < watches[first].began_us))
			first = i;
	}
	return first;
}

/* @pids are the processes that switch the devices on and off, 0 where there is none. */
void watch_calls(const pid_t *pids, u64 awake)
{
	bool got_on = completed() != line_completed;
	u64 after_us = 0;
	unsigned int i;
	int first;

	line_completed = completed();
	for (i = 0; i < disks_used; i++) {
		if (pids[i])
			look_at_call(i, pids[i], awake, &got_on);
	}
	line_quiet_us = got_on ? 0 : line_quiet_us + awake;
	while ((first = first_that_hangs(pids, after_us)) >= 0) {
		struct suspect suspect = { .pid = pids[first] };

		after_us = watches[first].began_us;
		watch_fill(first, &suspect);
		if (watch_tell("hung", &suspect))
			watches[first].told++;
	}
}

static void look_at_worker(unsigned int index, pid_t pid, u64 awake)
{
	struct worker_watch *watch = &worker_watches[index];
	u64 pages = counted(&counters->worker_pages[index]);
	char name[16];

	if (pid != watch->pid || pages != watch->pages) {
		snprintf(name, sizeof(name), "worker-%u", index);
		if (watch->told)
			warn_ended(name, watch->quiet_us / 1000);
		*watch = (struct worker_watch){
			.pid = pid,
			.pages = pages,
			.since_us = now_us(),
		};
		return;
	}
	watch->quiet_us += awake;
	if (!watch->first_us && watch->quiet_us > OLD_US && task_read(pid, &watch->first))
		watch->first_us = watch->quiet_us;
}

/*
 * One that sleeps waits for a disk, for memory or for others, whoever is to blame. One that
 * runs in the kernel and does not come back is lost to all.
 */
static bool spins(const struct worker_watch *watch)
{
	u64 limit = params->hung_ms * 1000 << watch->told;
	struct task now;

	if (!watch->first_us || watch->told == MOST_TOLD || watch->quiet_us < limit ||
	    watch->quiet_us == watch->first_us || !task_read(watch->pid, &now))
		return false;
	return (now.cpu_ms - watch->first.cpu_ms) * 1000 * RUNS_PART >=
	       watch->quiet_us - watch->first_us;
}

/* @pids are the workers, 0 where there is none. */
void watch_workers(const pid_t *pids, u64 awake)
{
	unsigned int i;

	for (i = 0; i < MAX_WORKERS; i++) {
		struct worker_watch *watch = &worker_watches[i];
		struct suspect suspect = { .what = "worker", .worker = i, .pid = pids[i] };

		if (!pids[i] && !watch->pid)
			continue;
		look_at_worker(i, pids[i], awake);
		if (!pids[i] || !spins(watch))
			continue;
		suspect.guest_ms = (now_us() - watch->since_us) / 1000;
		suspect.awake_ms = watch->quiet_us / 1000;
		suspect.quiet_ms = watch->quiet_us / 1000;
		suspect.first = &watch->first;
		if (watch_tell("hung", &suspect))
			watch->told++;
	}
}

/* Whether the device's call under way was told of already. */
bool watch_was_told(unsigned int index)
{
	return watches[index].told && watches[index].began_us;
}

static bool any_old_call(void)
{
	u64 now = now_us();
	unsigned int i;

	for (i = 0; i < disks_used; i++) {
		u64 began = counted(&counters->devices[i].began_us);

		if (began && now - began > OLD_US)
			return true;
	}
	return false;
}

static void read_swaps(char (*real)[128])
{
	char text[4096];
	char *rest = NULL;
	u64 now = now_us();
	char *line;
	unsigned int i;

	if (read_text("/proc/swaps", text, sizeof(text)) < 0)
		return;
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		unsigned long long used;
		char path[128];

		if (sscanf(line, "%127s %*s %*u %llu", path, &used) != 2)
			continue;
		for (i = 0; i < disks_used; i++) {
			if (strcmp(path, real[i]))
				continue;
			__atomic_store_n(&counters->devices[i].used_kib, used, __ATOMIC_RELAXED);
			__atomic_store_n(&counters->devices[i].used_at_us, now, __ATOMIC_RELEASE);
		}
	}
}

/*
 * How much of a device is in use still, which tells a slow swapoff from one that hangs.
 * By a process of its own: a lock that a hung swapoff holds may stop who asks.
 */
void observer_loop(void)
{
	static char real[MAX_DISKS][128];
	static char path[4096];
	unsigned int i;

	for (i = 0; i < disks_used; i++)
		snprintf(real[i], sizeof(real[i]), "%.127s",
			 realpath(disks[i].path, path) ? path : disks[i].path);
	for (;;) {
		sleep_us(WATCH_US);
		if (any_old_call())
			read_swaps(real);
	}
}
