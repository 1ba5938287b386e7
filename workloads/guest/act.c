// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * What somebody asks for while the storm runs: "act NUMBER ACTOR" on the console. Whoever is meant
 * sees the newest number, does it as soon as possible, and says so. Requests that come faster than they
 * can be done are done once, for the newest of them.
 */
#include <errno.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"

static const char *const names[ACTORS] = {
	[ACTOR_SWAPOFF] = "swapoff",
	[ACTOR_CPU] = "cpu",
	[ACTOR_ZSWAP] = "zswap",
};

const char *act_name(enum actor actor)
{
	return names[actor];
}

static void futex(u32 *word, int operation, u32 value, const struct timespec *timeout)
{
	/* Woken, too late or interrupted: whoever waits looks again. */
	syscall(SYS_futex, word, operation, value, timeout, NULL, 0);
}

/* ACTORS if the line is no request; else who is asked, and the request's number. */
enum actor act_parse(const char *line, u32 *number)
{
	const char *const start = "act ";
	unsigned long long value;
	unsigned int actor;
	char *end;

	if (strncmp(line, start, strlen(start)) || line[4] < '1' || line[4] > '9')
		return ACTORS;
	errno = 0;
	value = strtoull(line + 4, &end, 10);
	if (errno || value > 0xffffffff || *end != ' ')
		return ACTORS;
	*number = value;
	for (actor = 0; actor < ACTORS; actor++) {
		if (!strcmp(end + 1, names[actor]))
			return actor;
	}
	return ACTORS;
}

/* Lets those who are meant know. */
void act_ask(enum actor actor, u32 number)
{
	__atomic_store_n(&counters->asked[actor], number, __ATOMIC_RELAXED);
	__atomic_fetch_add(&counters->requests, 1, __ATOMIC_RELEASE);
	futex(&counters->requests, FUTEX_WAKE, 0x7fffffff, NULL);
}

/* The number of the newest request; 0 before the first. */
u32 act_asked(enum actor actor)
{
	return __atomic_load_n(&counters->asked[actor], __ATOMIC_ACQUIRE);
}

/* Sleeps for so long, or until @actor is asked for something that is not number @done. */
void act_wait(enum actor actor, u32 done, u64 us)
{
	u64 end = now_us() + us;

	for (;;) {
		u32 requests = __atomic_load_n(&counters->requests, __ATOMIC_ACQUIRE);
		struct timespec left;
		u64 now = now_us();

		if (now >= end || act_asked(actor) != done)
			return;
		left.tv_sec = (end - now) / 1000000;
		left.tv_nsec = (end - now) % 1000000 * 1000;
		futex(&counters->requests, FUTEX_WAIT, requests, &left);
	}
}

/* Sleeps until anybody is asked for something that was not yet when there were so many requests. */
static void wait_for_any(u32 requests)
{
	futex(&counters->requests, FUTEX_WAIT, requests, NULL);
}

/* A CPU goes and comes; zswap is switched off and on. */
_Noreturn void actor_loop(void)
{
	u32 cpu = 0, zswap = 0;

	for (;;) {
		u32 requests = __atomic_load_n(&counters->requests, __ATOMIC_ACQUIRE);
		u32 asked = act_asked(ACTOR_CPU);

		if (asked != cpu) {
			cpu = asked;
			telemetry_acted(ACTOR_CPU, cpu, cpu, "cpu", cpus_blink() ? 0 : EBUSY);
		}
		asked = act_asked(ACTOR_ZSWAP);
		if (asked != zswap) {
			bool ok = zswap_switch(false);
			int error = ok ? 0 : errno;

			zswap = asked;
			ok = zswap_switch(true) && ok;
			telemetry_acted(ACTOR_ZSWAP, zswap, zswap, "zswap", ok ? 0 : error ? error : errno);
		}
		wait_for_any(requests);
	}
}
