// SPDX-License-Identifier: MIT OR Apache-2.0
/* PID 1: sets the guest up, runs the storm for its time, and ends the machine. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>

#include "agent.h"

/* Within this time of the start samples come at least this often: a storm may hit at once. */
#define EARLY_US		2000000
#define EARLY_SAMPLE_US		250000
/* The sample after which FAULT_FREEZE and FAULT_STALL strike. */
#define FAULT_SAMPLE		2

static struct params params;
static struct disk disks[MAX_DISKS];
static int console = -1;	/* Where "stop" comes from; -1: nowhere. */

static void on_child(int signal_number)
{
	(void)signal_number;	/* Its only use is to end a ppoll(). */
}

static void wake_on_children(void)
{
	struct sigaction action = { .sa_handler = on_child };
	sigset_t mask;

	sigaction(SIGCHLD, &action, NULL);
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
}

/* Sleeps until @deadline, a child's death or input from the console; true if that was "stop". */
static bool wait_until(u64 deadline)
{
	struct pollfd input = { .fd = console, .events = POLLIN };
	struct timespec timeout = { 0 };
	u64 now = now_us();
	sigset_t none;

	sigemptyset(&none);
	if (deadline > now) {
		timeout.tv_sec = (deadline - now) / 1000000;
		timeout.tv_nsec = (deadline - now) % 1000000 * 1000;
	}
	if (ppoll(&input, 1, &timeout, &none) <= 0)
		return false;
	if (input.revents & POLLIN)
		return console_says_stop(console);
	/* Hung up. To poll it on would only burn time. */
	warn_errno("console", EIO);
	console = -1;
	return false;
}

static u64 min(u64 a, u64 b)
{
	return a < b ? a : b;
}

static void strike(unsigned int samples)
{
	if (samples != FAULT_SAMPLE)
		return;
	if (params.fault == FAULT_FREEZE)
		telemetry_mute();
	if (params.fault == FAULT_STALL)
		storm_hold();
}

/* Returns why the storm ended. */
static const char *watch_storm(void)
{
	u64 start = now_us();
	u64 end = params.seconds ? start + params.seconds * 1000000 : U64_MAX;
	u64 sample_due = start;
	unsigned int samples = 0;

	for (;;) {
		u64 interval = params.sample_ms * 1000;
		u64 now = now_us();
		u64 respawn_due;

		if (now >= end)
			return "time";
		if (now >= sample_due) {
			telemetry_sample();
			strike(++samples);
			if (now - start < EARLY_US)
				interval = min(interval, EARLY_SAMPLE_US);
			sample_due = now + interval;
		}
		respawn_due = storm_tend();
		if (wait_until(min(min(sample_due, end), respawn_due)))
			return "stop";
	}
}

static void ignore(const char *name, const char *value, const char *why)
{
	(void)name;
	(void)value;
	(void)why;
}

static void read_parameters(params_complaint complain)
{
	static char cmdline[8192];

	read_text("/proc/cmdline", cmdline, sizeof(cmdline));
	params_defaults(&params);
	params_parse(&params, cmdline, complain);
}

static void find_voice(void)
{
	mount_basics();
	telemetry_open();
	/* Twice: a complaint must carry the token, which may come after what is complained of. */
	read_parameters(ignore);
	telemetry_token(params.token);
	if (params.fault == FAULT_MUTE)
		telemetry_mute();
	telemetry_hello();
	read_parameters(warn_parameter);
	/* Refused where the command line has said so for good, which is as well. */
	write_text("/proc/sys/kernel/printk_devkmsg", "on");
}

static u64 smallest_kib(unsigned int used)
{
	u64 bytes = disks[0].bytes;
	unsigned int i;

	for (i = 1; i < used; i++)
		bytes = min(bytes, disks[i].bytes);
	return bytes / 1024;
}

static const char *run_storm(void)
{
	bool storm = params.storm == TOGGLE_ON;
	unsigned int used = storm ? disks_prepare(&params, disks) : 0;
	const char *reason;

	if (storm && !used)
		return "no-disks";
	console = console_open();
	if (console < 0)
		warn_errno("console", errno);
	wake_on_children();
	telemetry_ready(&params, used, smallest_kib(used));
	if (storm)
		storm_start(&params, disks, used);
	/* Only now: it takes its time, and the storm shall begin at once. */
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		warn_errno("mlock", errno);
	reason = watch_storm();
	storm_stop();
	telemetry_sample();
	return reason;
}

int main(void)
{
	find_voice();
	mount_rest();
	run_start_script();
	/* Children inherit the score; workers give it up again. */
	write_setting("/proc/self/oom_score_adj", "-1000");
	zswap_configure(&params);
	workers_prepare(&params);
	telemetry_done(run_storm(), params.end);
	end_machine(params.end);
}
