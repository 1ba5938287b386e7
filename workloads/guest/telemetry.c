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
	/* For whoever has started us by hand; but for samples, which are many. */
	if (visiting && !strstr(line->text, " sample ms="))
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
	line_number(&line, "protocol", 1);
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

static void own_counters(struct line *line)
{
#define COUNTER(field) { #field, &counters->field }
	const struct {
		const char *name;
		const u64 *counter;
	} all[] = {
		COUNTER(swapon),
		COUNTER(swapoff),
		COUNTER(touched),
		COUNTER(verified),
		COUNTER(rounds),
		COUNTER(corruptions),
		COUNTER(oom_kills),
		COUNTER(respawns),
		COUNTER(swapon_enomem),
		COUNTER(swapon_ebusy),
		COUNTER(swapon_einval),
		COUNTER(swapon_other),
		COUNTER(swapoff_enomem),
		COUNTER(swapoff_eintr),
		COUNTER(swapoff_ebusy),
		COUNTER(swapoff_einval),
		COUNTER(swapoff_other),
	};
#undef COUNTER
	size_t i;

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		u64 value = counted(all[i].counter);

		if (value)
			line_number(line, all[i].name, value);
	}
}

/* /proc/vmstat is "name value" lines; the kernel's names are ours. */
static void vmstat_counters(struct line *line)
{
	static const char *const wanted[] = { "zswpin", "zswpout", "zswpwb", "pswpin", "pswpout" };
	static char text[16384];
	char *rest = NULL;
	char *entry;
	size_t i;

	if (read_text("/proc/vmstat", text, sizeof(text)) < 0)
		return;
	for (entry = strtok_r(text, "\n", &rest); entry; entry = strtok_r(NULL, "\n", &rest)) {
		char *value = strchr(entry, ' ');

		if (!value)
			continue;
		*value++ = '\0';
		for (i = 0; i < ARRAY_SIZE(wanted); i++) {
			if (!strcmp(entry, wanted[i]))
				line_text(line, wanted[i], value);
		}
	}
}

void telemetry_sample(void)
{
	static u64 seq;
	struct line line;

	start(&line, "sample");
	line_number(&line, "seq", ++seq);
	own_counters(&line);
	zswap_counters(&line);
	vmstat_counters(&line);
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

void warn_errno(const char *what, int error)
{
	struct line line;

	if (!start_warning(&line, what))
		return;
	line_text(&line, "errno", strerrorname_np(error));
	emit(&line);
}
