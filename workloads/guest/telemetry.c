// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Counters shared by all processes, and the lines that carry them. A line is one
 * write to /dev/kmsg and so one record of the kernel's log: it falls between the
 * kernel's own lines, never into them.
 */
#include <fcntl.h>
#include <string.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"

#define KMSG_NOTICE	"<5>"
#define MAX_WARNINGS	200
#define COLUMNS_EVERY	64

/* Private to the first process until telemetry_open() makes the shared ones. */
static struct counters unshared;
struct counters *counters = &unshared;

static int kmsg = -1;
static char token[33] = "none";
static u64 began_us;

/* If there is no log to write to, the agent runs on without a voice. */
void telemetry_open(void)
{
	void *shared = mmap(NULL, sizeof(*counters), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (shared != MAP_FAILED)
		counters = shared;
	began_us = now_us();
	kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
}

void telemetry_token(const char *value)
{
	snprintf(token, sizeof(token), "%s", value);
}

/* For all processes at once, as the flag is shared. */
void telemetry_mute(void)
{
	__atomic_store_n(&counters->mute, 1, __ATOMIC_RELAXED);
}

static void start(struct line *line, const char *word)
{
	line_start(line, token, word, (now_us() - began_us) / 1000);
}

static void emit(struct line *line)
{
	char record[sizeof(KMSG_NOTICE) + LINE_MAX_BYTES];
	int length;

	line_end(line);
	if (counted(&counters->mute))
		return;
	/* For whoever has started us by hand; but for tables, which are long. */
	if (visiting && !strstr(line->text, " sample ms=") && !strstr(line->text, "columns ms=") &&
	    !strstr(line->text, " memcg ms="))
		dprintf(STDERR_FILENO, "%s\n", line->text);
	length = snprintf(record, sizeof(record), KMSG_NOTICE "%s", line->text);
	/* Nobody could be told of a failure, and the reader misses nothing but this line. */
	if (write(kmsg, record, length) < 0)
		return;
}

static u64 memory_kib(void)
{
	unsigned long long kib = 0;
	char text[256];

	if (read_text("/proc/meminfo", text, sizeof(text)) > 0)
		sscanf(text, "MemTotal: %llu", &kib);
	return kib;
}

void telemetry_hello(void)
{
	struct utsname name;
	struct line line;

	uname(&name);
	line_start(&line, token, "hello", 0);
	line_number(&line, "protocol", 2);
	line_number(&line, "up_ms", began_us / 1000);
	line_text(&line, "release", name.release);
	line_text(&line, "machine", name.machine);
	line_number(&line, "cpus", sysconf(_SC_NPROCESSORS_ONLN));
	line_number(&line, "memory_kib", memory_kib());
	emit(&line);
}

void telemetry_ready(const struct params *params, unsigned int disks, u64 disk_kib)
{
	struct line line;

	start(&line, "ready");
	line_number(&line, "disks", disks);
	line_number(&line, "disk_kib", disk_kib);
	line_number(&line, "workers", params->workers);
	line_number(&line, "seed", params->seed);
	zswap_describe(&line);
	emit(&line);
}

static void name_columns(void)
{
	unsigned int at = 0;
	struct line line;

	while (!columns_end(at)) {
		start(&line, "columns");
		at = columns_names(&line, at);
		emit(&line);
	}
}

void telemetry_sample(void)
{
	static u64 seq;
	struct line line;

	/* Again once in a while: a console may have lost it. */
	if (seq++ % COLUMNS_EVERY == 0)
		name_columns();
	start(&line, "sample");
	line_number(&line, "seq", seq);
	columns_row(&line);
	emit(&line);
}

/* The next worker's cgroup that is there: all of them at once would fill the console. */
void telemetry_memcg(unsigned int workers)
{
	static unsigned int next;
	static u64 told;
	char folder[96];
	struct line line;
	unsigned int i;

	/* A worker that changes its cgroup has one of two. */
	for (i = 0; i < 2 * workers; i++) {
		next = (next + 1) % (2 * workers);
		worker_cgroup(next / 2, next % 2, folder, sizeof(folder));
		if (memcg_read(folder))
			break;
	}
	if (i == 2 * workers)
		return;
	if (told++ % COLUMNS_EVERY == 0) {
		start(&line, "memcg_columns");
		memcg_names(&line);
		emit(&line);
	}
	start(&line, "memcg");
	line_text(&line, "cgroup", strrchr(folder, '/') + 1);
	memcg_row(&line);
	emit(&line);
}

void telemetry_acted(enum actor actor, u32 number, u32 since, const char *to, int error)
{
	struct line line;

	start(&line, "acted");
	line_number(&line, "n", number);
	line_number(&line, "since", since);
	line_text(&line, "actor", act_name(actor));
	line_text(&line, "to", to);
	if (error)
		line_text(&line, "errno", strerrorname_np(error));
	emit(&line);
}

void telemetry_corrupt(const struct page_id *id, const struct mismatch *mismatch)
{
	struct line line;

	start(&line, "corrupt");
	line_number(&line, "worker", id->worker);
	line_number(&line, "page", id->page);
	line_number(&line, "generation", id->generation);
	line_number(&line, "offset", mismatch->offset);
	line_number(&line, "expected", mismatch->expected);
	line_number(&line, "got", mismatch->got);
	line_number(&line, "wrong", mismatch->wrong);
	if (mismatch->has_saw) {
		line_number(&line, "saw_worker", mismatch->saw.worker);
		line_number(&line, "saw_page", mismatch->saw.page);
		line_number(&line, "saw_generation", mismatch->saw.generation);
	}
	emit(&line);
}

void telemetry_violated(const char *check, const char *what, u64 got, u64 want, u64 awake_ms,
			u64 phase)
{
	struct line line;

	start(&line, "violated");
	line_text(&line, "check", check);
	line_text(&line, "what", what);
	line_number(&line, "got", got);
	line_number(&line, "want", want);
	line_number(&line, "awake_ms", awake_ms);
	line_number(&line, "phase", phase);
	emit(&line);
}

/* By the last part of its name, or by how many there are. */
static void levels_line(struct line *line, const struct levels *levels)
{
	unsigned int memcgs = 0;
	unsigned int i;

	for (i = 0; i < levels->used; i++) {
		const struct level *level = &levels->all[i];

		if (!strcmp(level->check, "memcg-zswap"))
			memcgs++;
		else if (!strcmp(level->key, "Zswapped"))
			line_number(line, "zswapped_kib", level->got);
		else if (level->key[0])
			line_number(line, level->key, level->got);
		else
			line_number(line, strrchr(level->path, '/') + 1, level->got);
	}
	if (memcgs)
		line_number(line, "memcg_numbers", memcgs);
}

/* What was looked at: a number that is not there is none that was nothing. */
void telemetry_checked(u64 phase, u64 took_ms, const struct levels *zswap,
		       const struct levels *memcgs)
{
	struct line line;

	start(&line, "checked");
	line_number(&line, "phase", phase);
	line_number(&line, "took_ms", took_ms);
	levels_line(&line, zswap);
	levels_line(&line, memcgs);
	emit(&line);
}

/* The stack is last: it is what may have to be cut. */
void telemetry_suspect(const char *word, const struct suspect *suspect)
{
	const struct task *first = suspect->first;
	const struct task *now = &suspect->now;
	char state[] = { now->state, '\0' };
	struct line line;

	start(&line, word);
	line_text(&line, "what", suspect->what);
	if (suspect->device)
		line_text(&line, "device", suspect->device);
	else
		line_number(&line, "worker", suspect->worker);
	line_number(&line, "pid", suspect->pid);
	line_text(&line, "comm", now->name);
	line_text(&line, "state", state);
	if (suspect->stop_ms)
		line_number(&line, "stop_ms", suspect->stop_ms);
	line_number(&line, "guest_ms", suspect->guest_ms);
	line_number(&line, "awake_ms", suspect->awake_ms);
	line_number(&line, "quiet_ms", suspect->quiet_ms);
	line_number(&line, "io_ms", suspect->io_ms);
	line_number(&line, "tries", suspect->tries);
	line_number(&line, "others", suspect->others);
	if (first) {
		line_number(&line, "switches", now->switches - first->switches);
		line_number(&line, "cpu_ms", now->cpu_ms - first->cpu_ms);
	}
	line_text(&line, "wchan", suspect->place.wchan);
	line_text(&line, "stack", suspect->place.stack);
	emit(&line);
}

void telemetry_done(const char *reason, enum ending ending, const struct restored *restored)
{
	static const char *const names[] = {
		[END_POWEROFF] = "poweroff",
		[END_REBOOT] = "reboot",
		[END_HALT] = "halt",
		[END_LEAVE] = "leave",
	};
	struct line line;

	start(&line, "done");
	line_text(&line, "reason", reason);
	line_text(&line, "end", names[ending]);
	if (ending == END_LEAVE) {
		line_number(&line, "restored", restored->changes);
		line_number(&line, "unrestored", restored->failed);
	}
	emit(&line);
}

/* A storm of warnings would drown the lines that matter. */
static bool start_warning(struct line *line, const char *what)
{
	if (__atomic_fetch_add(&counters->warnings, 1, __ATOMIC_RELAXED) >= MAX_WARNINGS)
		return false;
	start(line, "warn");
	line_text(line, "what", what);
	return true;
}

void warn_parameter(const char *name, const char *value, const char *why)
{
	struct line line;

	if (!start_warning(&line, "parameter"))
		return;
	/* First what is short: a long value must not push the reason out. */
	line_text(&line, "why", why);
	line_text(&line, "name", name);
	line_text(&line, "value", value);
	emit(&line);
}

void warn_path(const char *what, const char *path, const char *value, int error)
{
	struct line line;

	if (!start_warning(&line, what))
		return;
	line_text(&line, "path", path);
	if (value)
		line_text(&line, "value", value);
	line_text(&line, "errno", strerrorname_np(error));
	emit(&line);
}

void warn_died(const char *what, const char *key, unsigned int index, int status)
{
	struct line line;

	if (!start_warning(&line, what))
		return;
	line_number(&line, key, index);
	line_number(&line, "signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	line_number(&line, "status", WIFEXITED(status) ? WEXITSTATUS(status) : 0);
	emit(&line);
}

void warn_number(const char *what, const char *key, u64 value)
{
	struct line line;

	if (!start_warning(&line, what))
		return;
	line_number(&line, key, value);
	emit(&line);
}

/* A swap call that was told of as hung has come to its end. */
void warn_ended(const char *path, u64 awake_ms)
{
	struct line line;

	if (!start_warning(&line, "hung-ended"))
		return;
	line_text(&line, "path", path);
	line_number(&line, "awake_ms", awake_ms);
	emit(&line);
}

void warn_errno(const char *what, int error)
{
	struct line line;

	if (!start_warning(&line, what))
		return;
	line_text(&line, "errno", strerrorname_np(error));
	emit(&line);
}
