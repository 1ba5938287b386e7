// SPDX-License-Identifier: MIT OR Apache-2.0
/* The agent's logic, run on the machine that builds it. Exits 0 if all checks hold. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"

static unsigned int passed;
static unsigned int failed;

#define CHECK(condition) check(condition, #condition, __func__, __LINE__)

static void check(bool holds, const char *text, const char *function, int line)
{
	if (holds) {
		passed++;
		return;
	}
	failed++;
	printf("%s:%d: %s does not hold\n", function, line, text);
}

static unsigned int complaints;
static char last_name[64];
static char last_why[64];

static void complain(const char *name, const char *value, const char *why)
{
	(void)value;
	complaints++;
	snprintf(last_name, sizeof(last_name), "%s", name);
	snprintf(last_why, sizeof(last_why), "%s", why);
}

static struct params parse(const char *text)
{
	char cmdline[1024];
	struct params params;

	complaints = 0;
	last_name[0] = '\0';
	last_why[0] = '\0';
	snprintf(cmdline, sizeof(cmdline), "%s", text);
	params_defaults(&params);
	params_parse(&params, cmdline, complain);
	return params;
}

static void test_params_taken(void)
{
	struct params params;

	params = parse("quiet swapstorm.token=aB3 swapstorm.seed=1 swapstorm.seed=7\n");
	CHECK(complaints == 0);
	CHECK(!strcmp(params.token, "aB3"));
	CHECK(params.seed == 7);

	params = parse("swapstorm.on_ms=2-70\tswapstorm.off_ms=5 swapstorm.push=limit");
	CHECK(complaints == 0);
	CHECK(params.on_ms.low == 2 && params.on_ms.high == 70);
	CHECK(params.off_ms.low == 5 && params.off_ms.high == 5);
	CHECK(params.push == PUSH_LIMIT);

	params = parse("swapstorm.zswap_max=8K swapstorm.cpu_max=1000/50000 swapstorm.end=reboot");
	CHECK(complaints == 0);
	CHECK(!strcmp(params.zswap_max, "8K"));
	CHECK(!strcmp(params.cpu_max, "1000/50000"));
	CHECK(params.end == END_REBOOT);

	params = parse("swapstorm.disks=/dev/vda,/dev/vdb swapstorm.max_pool_percent=1");
	CHECK(complaints == 0);
	CHECK(!strcmp(params.disks, "/dev/vda,/dev/vdb"));
	CHECK(params.max_pool_percent == 1);
	CHECK(params.accept_threshold_percent == -1);
	CHECK(params.shrinker == TOGGLE_ON);
	params = parse("swapstorm.shrinker=off");
	CHECK(params.shrinker == TOGGLE_OFF);
	CHECK(parse("swapstorm.seed=18446744073709551615").seed == U64_MAX);
}

static void refused(const char *word, const char *why)
{
	struct params params = parse(word);
	struct params defaults;

	params_defaults(&defaults);
	check(complaints == 1, word, "complaints", __LINE__);
	check(!strcmp(last_why, why), word, last_why, __LINE__);
	check(!memcmp(&params, &defaults, sizeof(params)), word, "changed", __LINE__);
}

static void test_params_refused(void)
{
	refused("swapstorm.workerz=3", "unknown");
	refused("swapstorm.", "unknown");
	refused("swapstorm.workers", "not-a-number");
	refused("swapstorm.workers=-1", "not-a-number");
	refused("swapstorm.workers=8x", "not-a-number");
	refused("swapstorm.workers=65", "out-of-range");
	refused("swapstorm.seed=18446744073709551616", "out-of-range");
	refused("swapstorm.sample_ms=19", "out-of-range");
	refused("swapstorm.on_ms=50-1", "out-of-range");
	refused("swapstorm.on_ms=1-2-3", "bad-syntax");
	refused("swapstorm.on_ms=1-", "not-a-number");
	refused("swapstorm.end=explode", "not-one-of");
	refused("swapstorm.token=a.b", "bad-syntax");
	refused("swapstorm.token=", "bad-syntax");
	refused("swapstorm.token=000000000000000000000000000000000", "too-long");
	refused("swapstorm.disks=vda", "bad-syntax");
	refused("swapstorm.zpool=../x", "bad-syntax");
	refused("swapstorm.memory_max=8T", "bad-syntax");
	refused("swapstorm.memory_max=8KK", "bad-syntax");
	refused("swapstorm.cpu_max=1000", "bad-syntax");
	refused("swapstorm.cpu_max=0/1000", "bad-syntax");
	refused("swapstorm.loops=17", "out-of-range");
	refused("swapstorm.beside_swap=yes", "not-one-of");
	refused("swapstorm.end=leave", "not-one-of");
}

static void test_random_streams(void)
{
	struct rng a, b, c, d;
	unsigned int low = 0;
	unsigned int high = 0;
	int i;

	rng_init(&a, 1, STREAM_WORKER, 0, 0);
	rng_init(&b, 1, STREAM_WORKER, 0, 0);
	rng_init(&c, 1, STREAM_WORKER, 1, 0);
	rng_init(&d, 2, STREAM_WORKER, 0, 0);
	CHECK(rng_next(&a) == rng_next(&b));
	CHECK(rng_next(&a) != rng_next(&c));
	CHECK(rng_next(&b) != rng_next(&d));
	for (i = 0; i < 1000; i++) {
		u64 number = rng_between(&a, 3, 5);

		if (number < 3 || number > 5)
			break;
		low += number == 3;
		high += number == 5;
	}
	CHECK(i == 1000 && low && high);
	CHECK(rng_between(&a, 4, 4) == 4);
	rng_between(&a, 0, U64_MAX);
}

static u64 page[512];

static bool intact(const struct pattern *pattern, const struct page_id *id,
		   struct mismatch *mismatch)
{
	return pattern_check(pattern, id, page, mismatch);
}

static void test_pattern_sees_every_byte(void)
{
	struct pattern pattern = { .seed = 9, .compressible = 50, .page_bytes = sizeof(page) };
	struct page_id id = { 3, 17, 4 };
	unsigned char *bytes = (unsigned char *)page;
	struct mismatch mismatch;
	size_t missed = 0;
	size_t i;

	pattern_fill(&pattern, &id, page);
	CHECK(intact(&pattern, &id, &mismatch));
	for (i = 0; i < sizeof(page); i++) {
		unsigned char right = bytes[i];

		bytes[i] ^= 0x10;
		missed += intact(&pattern, &id, &mismatch) || mismatch.offset != i ||
			  mismatch.wrong != 1 || mismatch.expected != right ||
			  mismatch.got != bytes[i];
		bytes[i] = right;
	}
	CHECK(missed == 0);
}

static void test_pattern_names_the_stranger(void)
{
	struct pattern pattern = { .seed = 9, .compressible = 50, .page_bytes = sizeof(page) };
	struct pattern reborn = { .seed = 9, .life = 1, .compressible = 50,
				  .page_bytes = sizeof(page) };
	struct page_id id = { 3, 17, 4 };
	struct page_id stale = { 3, 17, 3 };
	struct mismatch mismatch;

	pattern_fill(&pattern, &stale, page);
	CHECK(!intact(&pattern, &id, &mismatch));
	CHECK(mismatch.has_saw && mismatch.saw.generation == 3 && mismatch.saw.page == 17);

	pattern_fill(&reborn, &id, page);
	CHECK(!intact(&pattern, &id, &mismatch));
	CHECK(!mismatch.has_saw && mismatch.offset >= 32);

	memset(page, 0, sizeof(page));
	CHECK(!intact(&pattern, &id, &mismatch));
	CHECK(!mismatch.has_saw && mismatch.offset == 0 && mismatch.got == 0);
}

static void test_pattern_is_never_one_value(void)
{
	unsigned int percent;
	size_t same = 0;
	size_t i;

	for (percent = 0; percent <= 100; percent += 50) {
		struct pattern pattern = { .seed = 1, .compressible = percent,
					   .page_bytes = sizeof(page) };
		struct page_id id = { 0, 0, 1 };
		size_t small = 0;

		pattern_fill(&pattern, &id, page);
		for (i = 1; i < ARRAY_SIZE(page) && page[i] == page[0]; i++)
			;
		same += i == ARRAY_SIZE(page);
		for (i = 8; i < ARRAY_SIZE(page); i++)
			small += page[i] < 256;
		CHECK(percent != 0 || small == 0);
		CHECK(percent != 50 || (small > 200 && small < 312));
		CHECK(percent != 100 || small == ARRAY_SIZE(page) - 8);
	}
	CHECK(same == 0);
}

static void test_lines(void)
{
	struct line line;
	char value[200];
	int i;

	line_start(&line, "tok", "warn", 12);
	line_text(&line, "what", "a b%\n\x80=");
	line_number(&line, "big", U64_MAX);
	line_text(&line, "empty", "");
	line_end(&line);
	CHECK(!strncmp(line.text, "swapstorm tok warn ms=12 what=a%20b%25%0A%80%3D big=", 52));
	CHECK(!strcmp(line.text + 52, "18446744073709551615 empty="));

	memset(value, ' ', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	line_start(&line, "tok", "warn", 0);
	for (i = 0; i < 9; i++)
		line_text(&line, "k", value);
	line_end(&line);
	CHECK(strlen(line.text) == line.used && line.used <= LINE_MAX_BYTES);
	CHECK(!strcmp(line.text + line.used - 15, "%20 truncated=1"));
}

/* What restore.c asks of the rest of the agent. */
bool visiting = true;
static unsigned int warnings;

int read_text(const char *path, char *text, size_t size)
{
	FILE *file = fopen(path, "r");
	size_t got;

	if (!file)
		return -1;
	got = fread(text, 1, size - 1, file);
	fclose(file);
	text[got] = '\0';
	return got;
}

bool write_text(const char *path, const char *value)
{
	FILE *file = fopen(path, "r+");

	if (!file)
		return false;
	if (ftruncate(fileno(file), 0))
		return false;
	fputs(value, file);
	return !fclose(file);
}

void write_setting(const char *path, const char *value)
{
	write_text(path, value);
}

void warn_path(const char *what, const char *path, const char *value, int error)
{
	(void)what;
	(void)path;
	(void)value;
	(void)error;
	warnings++;
}

u64 now_us(void)
{
	return 0;
}

void sleep_us(u64 us)
{
	(void)us;
}

static char undone[64];

static int undo_note(const char *what, const char *value)
{
	strcat(undone, what);
	strcat(undone, value);
	return strcmp(what, "bad") ? 0 : -5;
}

static void test_changes_are_undone(void)
{
	char path[] = "/tmp/swapstorm-selftest.XXXXXX";
	char text[16];
	char long_path[200];
	struct restored restored;
	int fd = mkstemp(path);

	/* In the reverse order, to the end although one fails. */
	restore_later(undo_note, "a", "1");
	restore_later(undo_note, "bad", "");
	restore_later(undo_note, "forgotten", "");
	restore_forget();
	restore_later(undo_note, "c", "3");
	restored = restore_all();
	CHECK(!strcmp(undone, "c3bada1"));
	CHECK(restored.changes == 2 && restored.failed == 1 && warnings == 1);
	CHECK(restore_all().changes == 0);

	/* A setting that is as it should be is no change; what cannot be set is none, either. */
	CHECK(fd >= 0 && write(fd, "old", 3) == 3 && !close(fd));
	change_setting(path, "old");
	change_setting("/nowhere/at/all", "x");
	CHECK(warnings == 2);
	CHECK(restore_all().changes == 0);
	change_setting(path, "new");
	CHECK(read_text(path, text, sizeof(text)) == 3 && !strcmp(text, "new"));
	CHECK(restore_all().changes == 1);
	CHECK(read_text(path, text, sizeof(text)) == 3 && !strcmp(text, "old"));
	unlink(path);

	/* What could not be put back is not to be changed. */
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	CHECK(!restore_later(undo_note, long_path, ""));
	CHECK(!restore_later(undo_note, "a", long_path));
	CHECK(restore_all().changes == 0);
}

static void print_complaint(const char *name, const char *value, const char *why)
{
	printf("%s=%s: %s\n", name, value, why);
	failed++;
}

/* With an argument: says what the agent would not take of that command line. */
int main(int argc, char **argv)
{
	struct params params;

	if (argc == 2) {
		params_defaults(&params);
		params_parse(&params, argv[1], print_complaint);
		return failed != 0;
	}
	test_params_taken();
	test_params_refused();
	test_random_streams();
	test_pattern_sees_every_byte();
	test_pattern_names_the_stranger();
	test_pattern_is_never_one_value();
	test_lines();
	test_changes_are_undone();
	printf("%u passed, %u failed\n", passed, failed);
	return failed != 0;
}
