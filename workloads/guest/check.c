// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Checks, while the storm stands still, what no sanitizer sees: that nothing is left of it
 * once everything is swapped off. By a process of its own: one that hangs hangs alone.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT		21
#endif

/* All of this by the time that the process was awake. */
#define CHECK_MOST_US		120000000	/* Longer than all waits together. */
#define KILLED_US		5000000		/* Until somebody who was killed is gone. */
#define LOST_US			5000000		/* A swapoff that nobody disturbs gets on. */
#define SUMS_US			3000000
#define LOOK_US			20000
/* A swapoff may be refused for want of memory, or chosen by the OOM killer, so often. */
#define MOST_TRIES		5
#define TRY_US			200000
/* Lines for each phase. */
#define MOST_TOLD		4
/* How the checker ends if somebody may have pages in zswap still, so that it may store some. */
#define NOT_ALL_OFF		2
#define PROBE_PAGES		64
#define PROBE_WORKER		MAX_WORKERS

static const struct params *params;
static const struct disk *disks;
static unsigned int disks_used;
static u64 phase;
static struct levels at_rest;	/* As it was before the storm. */

static struct pattern probe_pattern;
static char *probe;

/* Before the storm, and before anything was swapped. */
void check_prepare(const struct params *with, const struct disk *all, unsigned int used)
{
	params = with;
	disks = all;
	disks_used = used;
	if (!params->check_s)
		return;
	levels_of_zswap(&at_rest);
	if (!visiting)
		levels_of_dying(&at_rest, workers_home());
}

static void violated(const char *check, const char *what, u64 got, u64 want, u64 awake)
{
	static unsigned int told;

	count(&counters->violations);
	if (told++ < MOST_TOLD)
		telemetry_violated(check, what, got, want, awake / 1000, phase);
}

/* Pages of our own go out and come back by swapoff: whoever comes last sets zswap's numbers right. */
static void probe_out(void)
{
	struct page_id id = { PROBE_WORKER, 0, phase };

	for (id.page = 0; id.page < PROBE_PAGES; id.page++)
		pattern_fill(&probe_pattern, &id, probe + id.page * probe_pattern.page_bytes);
	madvise(probe, PROBE_PAGES * probe_pattern.page_bytes, MADV_PAGEOUT);
}

static void probe_verify(void)
{
	struct page_id id = { PROBE_WORKER, 0, phase };
	struct mismatch mismatch;

	for (id.page = 0; id.page < PROBE_PAGES; id.page++) {
		const char *page = probe + id.page * probe_pattern.page_bytes;

		count(&counters->verified);
		if (pattern_check(&probe_pattern, &id, page, &mismatch))
			continue;
		count(&counters->corruptions);
		telemetry_corrupt(&id, &mismatch);
	}
}

static bool probe_make(void)
{
	probe_pattern = (struct pattern){
		.seed = params->seed,
		.compressible = params->compressible,
		.page_bytes = sysconf(_SC_PAGESIZE),
	};
	probe = mmap(NULL, PROBE_PAGES * probe_pattern.page_bytes, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return probe != MAP_FAILED;
}

static bool read_swaps(const char *path, u64 *size, u64 *used)
{
	char text[8192];
	char real[4096];

	return read_text("/proc/swaps", text, sizeof(text)) > 0 &&
	       swaps_sum(text, path && realpath(path, real) ? real : path, size, used);
}

/*
 * With nobody there who swaps, two counts of the same must agree. What is in use need not be
 * nothing as long as the devices are on: CPUs keep slots, and pages stay in the swap cache.
 */
static void check_sums(void)
{
	u64 size = 0, used = 0, awake = 0;
	s64 total, free;

	watch_awake(now_us());
	for (;;) {
		total = level_read("/proc/meminfo", "SwapTotal");
		free = level_read("/proc/meminfo", "SwapFree");
		if (total < 0 || free < 0 || !read_swaps(NULL, &size, &used))
			return;
		if ((u64)total == size && (u64)(total - free) == used)
			return;
		if (awake >= SUMS_US)
			break;
		sleep_us(LOOK_US);
		awake += watch_awake(now_us());
	}
	if ((u64)total != size)
		violated("swap-sums", "SwapTotal", total, size, awake);
	else
		violated("swap-sums", "SwapFree", free, size - used, awake);
}

static pid_t start_swapoff(const char *path)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "swapoff");
	_exit(swapoff(path) ? errno : 0);
}

/* False if it is there still; @status then says nothing. */
static bool ends(pid_t pid, int *status, u64 patience)
{
	u64 awake = 0;

	for (;;) {
		if (waitpid(pid, status, WNOHANG))
			return true;
		if (awake >= patience)
			return false;
		sleep_us(LOOK_US);
		awake += watch_awake(now_us());
	}
}

enum outcome { IS_OFF, REFUSED, LEFT, STUCK };

/* Waits for a swapoff as long as it gets on. */
static enum outcome swapoff_once(const char *path, int *status, u64 *left, u64 *quiet)
{
	pid_t pid = start_swapoff(path);
	u64 least = U64_MAX;
	u64 size, awake;

	if (pid < 0)
		return REFUSED;
	*quiet = 0;
	watch_awake(now_us());
	while (!waitpid(pid, status, WNOHANG)) {
		awake = watch_awake(now_us());
		watch_disks(awake);
		*quiet += awake;
		if (read_swaps(path, &size, left) && *left < least) {
			least = *left;
			*quiet = 0;
		}
		if (*quiet < LOST_US) {
			sleep_us(LOOK_US);
			continue;
		}
		kill(pid, SIGKILL);
		if (!ends(pid, status, KILLED_US)) {
			struct suspect suspect = {
				.what = "swapoff",
				.device = path,
				.pid = pid,
				.stop_ms = KILLED_US / 1000,
				.guest_ms = (*quiet + KILLED_US) / 1000,
			};

			watch_tell("hung", &suspect);
			return STUCK;
		}
		return LEFT;
	}
	if (WIFEXITED(*status) && (!WEXITSTATUS(*status) || WEXITSTATUS(*status) == EINVAL))
		return IS_OFF;
	return REFUSED;
}

/* Swaps one device off, with nobody there who uses it; whether it is off. */
static bool switch_off(const char *path)
{
	unsigned int tries;
	u64 left = 0, quiet = 0;
	int why = ENOMEM;
	int status = 0;

	for (tries = 0; tries < MOST_TRIES; tries++) {
		switch (swapoff_once(path, &status, &left, &quiet)) {
		case IS_OFF:
			return true;
		case STUCK:
			return false;
		case LEFT:
			/* A disk that owes answers is to blame for what is not back yet. */
			if (watch_owed_us() * 4 >= quiet * 3) {
				why = ETIMEDOUT;
				break;
			}
			/* Twice: the second one begins anew. */
			if (!tries)
				continue;
			violated("swap-lost", path, left, 0, quiet);
			return false;
		case REFUSED:
			if (!WIFEXITED(status) || WEXITSTATUS(status) == ENOMEM ||
			    WEXITSTATUS(status) == EINTR)
				break;
			violated("swapoff-error", path, WEXITSTATUS(status), 0, 0);
			return false;
		}
		sleep_us(TRY_US);
	}
	warn_path("check", path, NULL, why);
	return false;
}

static bool all_off(void)
{
	bool all = true;
	unsigned int i;

	for (i = 0; i < disks_used && all; i++)
		all = switch_off(disks[i].path);
	return all;
}

static void all_on(void)
{
	unsigned int i;

	/* One that is refused is on already, or does not matter. */
	for (i = 0; i < disks_used; i++)
		swapon(disks[i].path, SWAP_FLAG_PREFER);
}

static void help_nothing(void)
{
}

/*
 * Up to 6.9 zswap's size is a sum that is taken when an entry comes or goes, and the sum of
 * whoever was slowest stands. So an entry comes and goes while nobody else is there.
 */
static void refresh_zswap(void)
{
	all_on();
	probe_out();
	all_off();
}

static void tell(const struct levels *levels, u64 awake)
{
	unsigned int i;

	for (i = 0; i < levels->used; i++) {
		const struct level *level = &levels->all[i];
		char what[sizeof(level->path) + 32];

		if (level->got <= level->want)
			continue;
		snprintf(what, sizeof(what), "%s%s%s", level->path, level->key[0] ? ":" : "",
			 level->key);
		violated(level->check, what, level->got, level->want, awake);
	}
}

/* Of @from those whose check has this name, or has not. */
static void choose(struct levels *levels, const struct levels *from, const char *check, bool has)
{
	unsigned int i;

	for (i = 0; i < from->used; i++) {
		if (!strcmp(from->all[i].check, check) == has)
			levels->all[levels->used++] = from->all[i];
	}
}

static void check_zswap(struct levels *levels)
{
	unsigned int i;
	u64 awake;

	choose(levels, &at_rest, "memcg-gone", false);
	levels_of_cgroup(levels, workers_home());
	for (i = 0; i < 2 * params->workers; i++) {
		char folder[96];

		worker_cgroup(i / 2, i % 2, folder, sizeof(folder));
		levels_of_cgroup(levels, folder);
	}
	awake = levels_settle(levels, refresh_zswap);
	tell(levels, awake);
}

/* All of the storm's cgroups go, and with them what is left of those that went before. */
static void check_memcgs(struct levels *levels)
{
	unsigned int i;
	u64 awake;

	choose(levels, &at_rest, "memcg-gone", true);
	if (!levels->used)
		return;
	for (i = 0; i < 2 * params->workers; i++) {
		char folder[96];

		worker_cgroup(i / 2, i % 2, folder, sizeof(folder));
		undo_mkdir(folder, "");
	}
	awake = levels_settle(levels, help_nothing);
	tell(levels, awake);
}

/* Somebody else's pages are in zswap, too, and its swap is none of our business. */
static bool is_shared(void)
{
	u64 size, used;

	return visiting && (!read_swaps(NULL, &size, &used) || size);
}

static _Noreturn void run_checks(void)
{
	static struct levels zswap, memcgs;
	u64 began = now_us();

	signal(SIGCHLD, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "checker");
	check_cgroup_enter();
	if (!probe_make())
		_exit(1);
	if (!visiting)
		check_sums();
	/* What a storm switches about: zswap is as it was at its start. */
	zswap_switch(params->zswap);
	all_on();
	probe_out();
	if (!all_off() || is_shared())
		_exit(NOT_ALL_OFF);
	probe_verify();
	check_zswap(&zswap);
	check_memcgs(&memcgs);
	telemetry_checked(phase, (now_us() - began) / 1000, &zswap, &memcgs);
	_exit(0);
}

/* Nothing of the storm runs. False if the checks themselves hang, which is told. */
bool check_all(void)
{
	struct suspect suspect = { .what = "check", .device = "" };
	u64 awake = 0, sampled = 0, killed = 0;
	u64 began = now_us();
	int status;

	phase++;
	watch_awake(began);
	suspect.pid = fork();
	if (suspect.pid < 0) {
		warn_errno("fork", errno);
		return true;
	}
	if (!suspect.pid)
		run_checks();
	while (!waitpid(suspect.pid, &status, WNOHANG)) {
		awake += watch_awake(now_us());
		if (awake >= sampled + params->sample_ms * 1000) {
			telemetry_sample();
			sampled = awake;
		}
		if (awake >= CHECK_MOST_US && !killed) {
			suspect.guest_ms = (now_us() - began) / 1000;
			suspect.awake_ms = suspect.quiet_ms = awake / 1000;
			watch_tell("hung", &suspect);
			kill(suspect.pid, SIGKILL);
			killed = awake;
		}
		if (killed && awake >= killed + KILLED_US) {
			warn_number("stuck", "left", 1);
			return false;
		}
		sleep_us(1000);
	}
	if (!status)
		count(&counters->checks);
	else if (!WIFEXITED(status) || WEXITSTATUS(status) != NOT_ALL_OFF)
		warn_died("checker-died", "checker", phase, status);
	return !killed;
}
