// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * As PID 1: sets the guest up, runs the storm for its time, and ends the machine. As
 * a program: runs the storm on a machine that is left as it was found.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent.h"

/* Within this time of the start samples come at least this often: a storm may hit at once. */
#define EARLY_US		2000000
#define EARLY_SAMPLE_US		250000
/* The sample after which FAULT_FREEZE and FAULT_STALL strike. */
#define FAULT_SAMPLE		2

static struct params params;
static struct disk disks[MAX_DISKS];
static int console = -1;	/* Where "stop" comes from; -1: nowhere. */
static u64 heard_us;		/* When something was last read from there. */
static volatile sig_atomic_t ended_by_signal;

static void on_child(int signal_number)
{
	(void)signal_number;	/* Its only use is to end a ppoll(). */
}

static void on_end(int signal_number)
{
	(void)signal_number;
	ended_by_signal = 1;
}

static void hear(int signal_number, void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler };
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, signal_number);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	sigaction(signal_number, &action, NULL);
}

/* Signals come in while we wait, and only then: nothing that is half done is left so. */
static void hear_signals(void)
{
	hear(SIGCHLD, on_child);
	if (!visiting)
		return;
	hear(SIGTERM, on_end);
	hear(SIGINT, on_end);
	hear(SIGHUP, on_end);
	signal(SIGPIPE, SIG_IGN);
}

/* In a guest others may be asked to act; whatever else was said is nothing. */
static void obey(const char *line)
{
	u32 number;
	enum actor actor = act_parse(line, &number);

	if (actor != ACTORS)
		storm_asked(actor, number);
}

/* Reads what somebody says; why the storm ends, or NULL if it goes on. */
static const char *listen_to(short events)
{
	heard_us = now_us();
	if (!visiting && events & POLLIN)
		return console_says_stop(console, obey) ? "stop" : NULL;
	if (visiting) {
		switch (visit_listen()) {
		case SAID_STOP:
			return "stop";
		case SAID_GONE:
			return "hangup";
		default:
			return NULL;
		}
	}
	/* Hung up. To poll it on would only burn time. */
	warn_errno("console", EIO);
	console = -1;
	return NULL;
}

/* Sleeps until @deadline, a child's death or input; why the storm ends, or NULL. */
static const char *wait_until(u64 deadline)
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
	if (ppoll(&input, 1, &timeout, &none) > 0)
		return listen_to(input.revents);
	if (ended_by_signal)
		return "signal";
	if (params.heartbeat && now_us() - heard_us > params.heartbeat * 1000000)
		return "hangup";
	return NULL;
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
	u64 check_due = params.check_s ? start + params.check_s * 1000000 : U64_MAX;
	unsigned int samples = 0;
	const char *why;

	heard_us = start;
	for (;;) {
		u64 interval = params.sample_ms * 1000;
		u64 now = now_us();
		u64 respawn_due;

		if (now >= end)
			return "time";
		if (now >= sample_due) {
			telemetry_sample();
			telemetry_memcg(params.workers);
			strike(++samples);
			if (now - start < EARLY_US)
				interval = min(interval, EARLY_SAMPLE_US);
			sample_due = now + interval;
		}
		if (now >= check_due) {
			if (!storm_stop() || !check_all())
				return "stuck";
			storm_go_on();
			check_due = now_us() + params.check_s * 1000000;
		}
		respawn_due = storm_tend();
		why = wait_until(min(min(sample_due, end), min(respawn_due, check_due)));
		if (why)
			return why;
	}
}

static void ignore(const char *name, const char *value, const char *why)
{
	(void)name;
	(void)value;
	(void)why;
}

static char words[8192];

static void read_parameters(params_complaint complain)
{
	static char cmdline[sizeof(words)];

	strcpy(cmdline, words);
	params_defaults(&params);
	params_parse(&params, cmdline, complain);
	if (visiting)
		params.end = END_LEAVE;
}

static void find_voice(void)
{
	telemetry_open();
	/* Twice: a complaint must carry the token, which may come after what is complained of. */
	read_parameters(ignore);
	telemetry_token(params.token);
	if (params.fault == FAULT_MUTE)
		telemetry_mute();
	telemetry_hello();
	read_parameters(warn_parameter);
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
	console = visiting ? STDIN_FILENO : console_open();
	if (console < 0)
		warn_errno("console", errno);
	/* Not before the start script, whose servers would inherit what is blocked. */
	if (!visiting)
		hear_signals();
	columns_find(disks, used);
	telemetry_ready(&params, used, smallest_kib(used));
	if (storm) {
		check_prepare(&params, disks, used);
		storm_start(&params, disks, used);
	}
	/* Only now: it takes its time, and the storm shall begin at once. */
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		warn_errno("mlock", errno);
	reason = watch_storm();
	if (strcmp(reason, "stuck") && storm_stop() && storm && params.check_s)
		check_all();
	telemetry_sample();
	return reason;
}

/*
 * The kernel's own detector speaks of tasks that are not ours. It counts by the clock, which
 * goes on where the machine does not run: its limit is three times ours.
 */
static void hurry_detector(void)
{
	char seconds[24];

	if (visiting)
		return;
	snprintf(seconds, sizeof(seconds), "%llu", params.hung_ms * 3 / 1000);
	/* Not every kernel has it. */
	if (write_text("/proc/sys/kernel/hung_task_timeout_secs", seconds))
		write_text("/proc/sys/kernel/hung_task_check_interval_secs", "10");
}

static const char *set_up_and_run(void)
{
	hurry_detector();
	/* Children inherit the score; workers give it up again. */
	write_setting("/proc/self/oom_score_adj", "-1000");
	zswap_configure(&params);
	workers_prepare(&params);
	return run_storm();
}

/* 0; 1 if something is not as it was found; 2 if nothing was done. */
static int visit(int argc, char **argv)
{
	struct restored restored;
	const char *reason;
	bool refused;

	if (argc < 2) {
		dprintf(STDERR_FILENO, "usage: %s FILE|swapstorm.NAME=VALUE ...\n", argv[0]);
		return 2;
	}
	if (!visit_words(argc, argv, words, sizeof(words)))
		return 2;
	if (geteuid()) {
		dprintf(STDERR_FILENO, "%s: only root can swap devices on and off\n", argv[0]);
		return 2;
	}
	hear_signals();
	find_voice();
	reason = visit_begin(&params);
	refused = reason;
	if (!refused)
		reason = set_up_and_run();
	restored = restore_all();
	telemetry_done(reason, params.end, &restored);
	return restored.failed ? 1 : refused ? 2 : 0;
}

int main(int argc, char **argv)
{
	visiting = getpid() != 1;
	if (visiting)
		return visit(argc, argv);
	mount_basics();
	read_text("/proc/cmdline", words, sizeof(words));
	find_voice();
	/* Refused where the command line has said so for good, which is as well. */
	write_text("/proc/sys/kernel/printk_devkmsg", "on");
	mount_rest();
	run_start_script();
	telemetry_done(set_up_and_run(), params.end, NULL);
	end_machine(params.end);
}
