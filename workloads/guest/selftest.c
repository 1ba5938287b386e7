// SPDX-License-Identifier: MIT OR Apache-2.0
/* The agent's logic, run on the machine that builds it. Exits 0 if all checks hold. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"

/* What the rest of the agent would bring. */
bool visiting = true;
static struct counters shared;
struct counters *counters = &shared;

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
	CHECK(params.hotplug == TOGGLE_OFF);

	params = parse("swapstorm.hotplug=on swapstorm.cpu_off_ms=3 swapstorm.cpu_on_ms=7-9");
	CHECK(complaints == 0);
	CHECK(params.hotplug == TOGGLE_ON && params.switch_cpus == TOGGLE_OFF);
	CHECK(params.cpu_off_ms.low == 3 && params.cpu_off_ms.high == 3);
	CHECK(params.cpu_on_ms.low == 7 && params.cpu_on_ms.high == 9);
	CHECK(params.preempt == TOGGLE_OFF && params.idle_shrinkers == TOGGLE_OFF);

	params = parse("swapstorm.preempt=on swapstorm.burst_us=10-5000 swapstorm.gap_us=500");
	CHECK(complaints == 0);
	CHECK(params.preempt == TOGGLE_ON && params.idle_workers == 0);
	CHECK(params.burst_us.low == 10 && params.burst_us.high == 5000);
	CHECK(params.gap_us.low == 500 && params.gap_us.high == 500);

	params = parse("swapstorm.check_s=10 swapstorm.life_ms=500-5000 swapstorm.compressors=lzo,lz4");
	CHECK(complaints == 0);
	CHECK(params.check_s == 10 && params.life_ms.high == 5000 && !params.memcg_ms.high);
	CHECK(!strcmp(params.compressors, "lzo,lz4"));

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
	params = parse("swapstorm.shrinker=off swapstorm.hung_ms=5000");
	CHECK(params.shrinker == TOGGLE_OFF);
	CHECK(params.hung_ms == 5000);
	/* On a machine that is not ours only if we were told to. */
	CHECK(params.sysrq == TOGGLE_OFF);
	CHECK(parse("swapstorm.sysrq=on").sysrq == TOGGLE_ON);
	visiting = false;
	CHECK(parse("").sysrq == TOGGLE_ON);
	visiting = true;
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
	refused("swapstorm.hung_ms=999", "out-of-range");
	refused("swapstorm.sysrq=w", "not-one-of");
	refused("swapstorm.beside_swap=yes", "not-one-of");
	refused("swapstorm.hotplug=yes", "not-one-of");
	refused("swapstorm.cpu_off_ms=60001", "out-of-range");
	refused("swapstorm.cpu_on_ms=9-1", "out-of-range");
	refused("swapstorm.compressors=,lzo", "bad-syntax");
	refused("swapstorm.burst_us=5001", "out-of-range");
	refused("swapstorm.gap_us=499-600", "out-of-range");
	refused("swapstorm.idle_workers=101", "out-of-range");
	refused("swapstorm.preempt=fifo", "not-one-of");
	refused("swapstorm.check_s=86401", "out-of-range");
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

/* What restore.c and others ask of the rest of the agent. */
static unsigned int warnings;

const char *disk_name(const struct disk *disk)
{
	return strrchr(disk->path, '/') + 1;
}

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

void warn_errno(const char *what, int error)
{
	(void)what;
	(void)error;
	warnings++;
}

u64 now_us(void)
{
	return 0;
}

/* Of each sleep, what a file holds meanwhile. */
static const char *watched_file;
static char held_asleep[16];

void sleep_us(u64 us)
{
	size_t used = strlen(held_asleep);

	(void)us;
	if (watched_file && used < sizeof(held_asleep) - 1)
		read_text(watched_file, held_asleep + used, 2);
}

static void test_tasks(void)
{
	struct task task;
	struct place place;
	char stack[40];

	task_read_stat("35 (a) b (x) D 1 35 0 0 -1 4194560 1 2 3 4 150 50 0 0 20\n", &task);
	CHECK(!strcmp(task.name, "a) b (x") && task.state == 'D');
	CHECK(task.cpu_ms == 200 * 1000 / (u64)sysconf(_SC_CLK_TCK));
	task_read_stat("garbage", &task);
	CHECK(task.state == '?' && !task.name[0]);

	task_read_stack("[<0>] msleep+0x2e/0x40\n[<0>] f+0x1/0x2 [zswap]\n[<0>] too_long_for_it+0x1/0x2\n",
			stack, sizeof(stack));
	CHECK(!strcmp(stack, "msleep+0x2e/0x40,f+0x1/0x2"));
	task_read_stack("[<0>]\nno frame\n", stack, sizeof(stack));
	CHECK(!stack[0]);

	CHECK(task_locate(getpid(), &task, &place));
	CHECK(task.name[0] && task.switches);
	CHECK(!task_read(-1, &task));
}

static void test_columns(void)
{
	static struct disk disks[MAX_DISKS] = { { "/dev/vda", 0 }, { "/dev/loop7", 0 } };
	unsigned int at = 0;
	unsigned int lines = 0;
	unsigned int names = 0;
	struct line line;
	const char *c;
	int i;

	for (i = 2; i < MAX_DISKS; i++)
		snprintf(disks[i].path, sizeof(disks[i].path), "/dev/disk/by-id/disk%d", i);
	shared.swapon = 7;
	shared.verified = U64_MAX;
	shared.devices[1].swapoff = 3;
	columns_find(disks, MAX_DISKS);
	for (; !columns_end(at); lines++) {
		line_start(&line, "tok", "columns", 0);
		at = columns_names(&line, at);
		line_end(&line);
		CHECK(!strstr(line.text, "truncated"));
		if (!lines)
			CHECK(strstr(line.text, " names=swapon,swapoff,touched,verified,"));
		if (!lines)
			CHECK(strstr(line.text, ",refused.vda,swapon.loop7,swapoff.loop7,"));
		for (names++, c = strstr(line.text, "names="); *c; c++)
			names += *c == ',';
	}
	CHECK(lines > 1 && names == at);

	line_start(&line, "tok", "sample", 0);
	columns_row(&line);
	line_end(&line);
	/* Nothing stands for 0; what is 0 at the end of a group is left out. */
	CHECK(strstr(line.text, " v0=7,,,18446744073709551615 v24=,,,,,,,,,,3"));
	CHECK(!strstr(line.text, "truncated"));
}

static void test_stalls(void)
{
	static const char both[] =
		"some avg10=0.00 avg60=1.25 avg300=0.00 total=4711\n"
		"full avg10=0.00 avg60=0.00 avg300=0.00 total=12\n";
	u64 us = 1;

	CHECK(read_stalled(both, "some ", &us) && us == 4711);
	CHECK(read_stalled(both, "full ", &us) && us == 12);
	/* /proc/pressure/cpu had no such line before Linux 5.13: absent is not zero. */
	CHECK(!read_stalled("some avg10=0.00 total=7\n", "full ", &us) && us == 12);
	/* Nor is it another line's. */
	CHECK(!read_stalled("some avg10=0.00\nfull avg10=0.00 total=7\n", "some ", &us));
	CHECK(!read_stalled("some total=\n", "some ", &us) && !read_stalled("", "some ", &us));
}

static void test_memcgs(void)
{
	char folder[] = "/tmp/swapstorm-memcg-XXXXXX";
	char stat[64];
	struct line line;
	FILE *file;

	CHECK(mkdtemp(folder));
	CHECK(!memcg_read(folder));
	snprintf(stat, sizeof(stat), "%s/memory.stat", folder);
	file = fopen(stat, "w");
	CHECK(file && fputs("anon 0\nslab 9\nzswap 17\nzswpwb 4\npgfault_x 3\n", file) >= 0);
	fclose(file);
	CHECK(memcg_read(folder));
	line_start(&line, "tok", "memcg_columns", 0);
	memcg_names(&line);
	CHECK(strstr(line.text, " at=0 of=3 names=anon,zswap,zswpwb"));
	line_start(&line, "tok", "memcg", 0);
	memcg_row(&line);
	CHECK(strstr(line.text, " v0=,17,4"));

	/* The columns are those of the first cgroup. What another one lacks is not the last one's. */
	file = fopen(stat, "w");
	CHECK(file && fputs("zswpwb 5\npgfault 3\n", file) >= 0);
	fclose(file);
	CHECK(memcg_read(folder));
	line_start(&line, "tok", "memcg", 0);
	memcg_row(&line);
	CHECK(!strcmp(line.text, "swapstorm tok memcg ms=0 v0=,,5"));
	unlink(stat);
	rmdir(folder);
}

static void test_levels(void)
{
	static const char stat[] = "anon 4096\nzswapped 8192\nzswap 17\nbroken\nbig 99999999999999999999\n";
	static const char swaps[] = "Filename\tType\tSize\tUsed\tPriority\n"
				    "/dev/vda partition 2044 12 3\n"
				    "/dev/vdb                partition\t2044\t\t0\t\t1\n";
	char path[] = "/tmp/swapstorm-selftest.XXXXXX";
	static struct levels levels;
	u64 size, used;
	unsigned int i;
	int fd = mkstemp(path);

	CHECK(fd >= 0 && close(fd) == 0);
	CHECK(write_text(path, stat));
	CHECK(level_read(path, "zswap") == 17 && level_read(path, "zswapped") == 8192);
	/* What is not there, or is no number, is not zero. */
	CHECK(level_read(path, "zswapp") == -1 && level_read(path, "broken") == -1);
	CHECK(level_read(path, "big") == -1 && level_read("/nonexistent", "") == -1);
	for (i = 0; i < MAX_LEVELS + 3; i++)
		level_add(&levels, "memcg-zswap", path, "zswap");
	CHECK(levels.used == MAX_LEVELS);
	levels.used = 0;
	level_add(&levels, "memcg-zswap", path, "absent");
	CHECK(levels.used == 0);
	levels_of_cgroup(&levels, "/nonexistent");
	CHECK(levels.used == 0);
	CHECK(write_text(path, "12 N0=12\n") && level_read(path, "") == 12);
	CHECK(write_text(path, "Zswap:     4 kB\n") && level_read(path, "Zswap") == 4);
	unlink(path);

	CHECK(swaps_sum(swaps, NULL, &size, &used) && size == 4088 && used == 12);
	CHECK(swaps_sum(swaps, "/dev/vdb", &size, &used) && size == 2044 && used == 0);
	CHECK(swaps_sum(swaps, "/dev/vdc", &size, &used) && size == 0);
	CHECK(swaps_sum("Filename Type\n", NULL, &size, &used) && size == 0);
	CHECK(!swaps_sum("Filename\n/dev/vda partition\n", NULL, &size, &used));
}

/* What watch.c says: the devices' last letters, and those whose calls have ended in capitals. */
static char said[64];

void telemetry_suspect(const char *word, const struct suspect *suspect)
{
	char digit[] = { '0' + suspect->worker, '\0' };

	CHECK(!strcmp(word, "hung"));
	if (!strcmp(suspect->what, "worker")) {
		strcat(said, digit);
		return;
	}
	CHECK(!strcmp(suspect->what, "swapoff"));
	strncat(said, suspect->device + strlen("/dev/vd"), 1);
}

void warn_ended(const char *path, u64 awake_ms)
{
	char letter[] = { path[strlen("/dev/vd")] - 'a' + 'A', '\0' };

	CHECK(awake_ms);
	if (!strcmp(path, "worker-1"))
		letter[0] = '!';
	strcat(said, letter);
}

static const struct disk watched[4] = {
	{ "/dev/vda", 1 << 20 }, { "/dev/vdb", 1 << 30 }, { "/dev/vdc", 0 }, { "/dev/vdd", 0 },
};

static void begin_calls(const u64 *began)
{
	int i;

	for (i = 0; i < 4; i++) {
		shared.devices[i] = (struct device){ .call = CALL_SWAPOFF, .began_us = began[i] };
	}
	said[0] = '\0';
}

/* Lets seconds pass for calls that nothing but @each changes. */
static void pass(unsigned int seconds, void (*each)(unsigned int second))
{
	pid_t pids[4] = { getpid(), getpid(), getpid(), getpid() };
	unsigned int second;

	for (second = 0; second < seconds; second++) {
		if (each)
			each(second);
		watch_calls(pids, 1000000);
	}
}

static void others_go_on(unsigned int second)
{
	(void)second;
	shared.swapoff++;
	shared.devices[0].began_us++;
	shared.devices[2].began_us++;
	shared.devices[3].began_us++;
}

static void b_uses(unsigned int kib, unsigned int second)
{
	shared.devices[1].used_kib = kib;
	shared.devices[1].used_at_us = 1000 + second;
}

static void b_brings_pages_back(unsigned int second)
{
	b_uses(100000 - 20 * second, second);
}

static void b_loses_pages_to_others(unsigned int second)
{
	b_uses(1000 - second, second);
}

static void one_is_let_now_and_then(unsigned int second)
{
	if (second % 10 == 9) {
		shared.swapoff++;
		shared.devices[0].began_us++;
	}
}

static void test_hangs(void)
{
	static const u64 together[] = { 500, 400, 300, 600 };
	static const u64 ended[4];
	struct params params = parse("swapstorm.hung_ms=20000");

	watch_start(&params, watched, 4);
	/* One is lost while others go on: at the limit, at twice and four times that, no more. */
	begin_calls(together);
	pass(20, others_go_on);
	CHECK(!strcmp(said, ""));
	pass(1, others_go_on);
	CHECK(!strcmp(said, "b"));
	pass(300, others_go_on);
	CHECK(!strcmp(said, "bbb"));
	begin_calls(ended);
	pass(1, NULL);
	CHECK(!strcmp(said, "B"));

	/* Nobody gets on: whoever began first comes first, since he may hold what others wait for. */
	begin_calls(together);
	pass(22, NULL);
	CHECK(!strcmp(said, "cbad"));
	begin_calls(ended);
	pass(1, NULL);

	/* As long as one brings pages back, it and all that wait for it are slow, and that is all. */
	begin_calls(together);
	pass(200, b_brings_pages_back);
	CHECK(!strcmp(said, ""));
	begin_calls(ended);
	pass(1, NULL);

	/* That has an end, too; and what is too little for a swapoff is not of its doing. */
	begin_calls(together);
	pass(1100, b_brings_pages_back);
	CHECK(!strcmp(said, "cbad"));
	begin_calls(ended);
	pass(1, NULL);
	begin_calls(together);
	pass(30, b_loses_pages_to_others);
	CHECK(!strcmp(said, "cbad"));
	begin_calls(ended);
	pass(1, NULL);

	/* The others wait until they were passed over twice as often as there are devices. */
	begin_calls(together);
	pass(70, one_is_let_now_and_then);
	CHECK(!strcmp(said, ""));
	pass(10, one_is_let_now_and_then);
	CHECK(!strcmp(said, "cbd"));
}

/* Lets seconds pass for two workers, of which this process is both; it uses its CPU for so long in each. */
static void workers_pass(unsigned int seconds, unsigned int cpu_ms)
{
	pid_t pids[MAX_WORKERS] = { getpid(), getpid() };
	unsigned int second;

	for (second = 0; second < seconds; second++) {
		clock_t end = clock() + cpu_ms * (CLOCKS_PER_SEC / 1000);

		while (clock() < end)
			;
		shared.worker_pages[0]++;
		watch_workers(pids, 1000000);
	}
}

static void test_workers(void)
{
	struct params params = parse("swapstorm.hung_ms=5000");

	watch_start(&params, watched, 4);
	said[0] = '\0';
	/* Both run, and one of them is never done with a page. */
	workers_pass(5, 300);
	CHECK(!strcmp(said, ""));
	workers_pass(2, 300);
	CHECK(!strcmp(said, "1"));
	/* It gets on after all. */
	shared.worker_pages[1]++;
	workers_pass(1, 0);
	CHECK(!strcmp(said, "1!"));
	/* Who does not run waits for something. */
	said[0] = '\0';
	workers_pass(100, 0);
	CHECK(!strcmp(said, ""));
}

static void test_only_time_awake_counts(void)
{
	watch_awake(1000000);
	CHECK(watch_awake(1300000) == 300000);
	CHECK(watch_awake(900000000) == 1000000);
	CHECK(watch_awake(900000000) == 0);
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

static void make_cpu(const char *folder, unsigned int cpu, const char *online)
{
	char path[96];
	FILE *file;

	snprintf(path, sizeof(path), "%s/cpu%u", folder, cpu);
	CHECK(!mkdir(path, 0700));
	if (!online)
		return;
	strcat(path, "/online");
	file = fopen(path, "w");
	CHECK(file && fputs(online, file) >= 0 && !fclose(file));
}

static void test_cpus_go_and_come(void)
{
	char folder[] = "/tmp/swapstorm-cpus.XXXXXX";
	char path[96], text[8], remove[128];
	struct params params = parse("swapstorm.hotplug=on");
	struct rng rng;
	unsigned int before = warnings;

	CHECK(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/cpu2/online", folder);
	rng_init(&rng, 1, STREAM_CPUS, 0, 0);

	/* Never the first, none that cannot be taken off, and none that is off already. */
	make_cpu(folder, 0, "1");
	make_cpu(folder, 1, NULL);
	make_cpu(folder, 2, "1");
	make_cpu(folder, 3, "0");
	CHECK(cpus_find(folder) == 1);
	watched_file = path;
	cpus_turn(&params, &rng);
	cpus_turn(&params, &rng);
	watched_file = NULL;
	CHECK(!strcmp(held_asleep, "0101"));
	CHECK(shared.cpu_offs == 2 && shared.cpu_ons == 2 && shared.cpu_refused == 0);
	CHECK(warnings == before);

	/* What is left off is on again at the end, on a machine that is not ours as well. */
	CHECK(write_text(path, "0"));
	cpus_all_on();
	CHECK(read_text(path, text, sizeof(text)) == 1 && text[0] == '1');
	CHECK(write_text(path, "0"));
	CHECK(restore_all().changes == 1);
	CHECK(read_text(path, text, sizeof(text)) == 1 && text[0] == '1');

	/* A refusal is counted, and said once. */
	CHECK(!unlink(path));
	cpus_turn(&params, &rng);
	cpus_turn(&params, &rng);
	CHECK(shared.cpu_offs == 2 && shared.cpu_refused == 2 && warnings == before + 1);
	CHECK(cpus_find(folder) == 0);

	snprintf(remove, sizeof(remove), "rm -r %s", folder);
	CHECK(!system(remove));
}

static void test_preemptors(void)
{
	struct params params = parse("swapstorm.preempt=on swapstorm.idle_workers=50 swapstorm.workers=4 swapstorm.burst_us=10-12 swapstorm.gap_us=500-501");
	unsigned int before = warnings;
	unsigned int seen[2] = { 0 };
	u64 burst, gap, again;
	struct rng rng;
	int i;

	/* Not on a machine that is not ours, which is said. */
	CHECK(preempt_prepare(&params) == 0 && warnings == before + 1);
	CHECK(!preempt_idles_worker(&params, 0));
	visiting = false;
	CHECK(preempt_prepare(&params) >= 1 && warnings == before + 1);

	/* Every length within the range comes, and the same ones from the same seed. */
	rng_init(&rng, 1, STREAM_PREEMPT, 0, 0);
	for (i = 0; i < 1000; i++) {
		preempt_draw(&params, &rng, &burst, &gap);
		if (burst < 10 || burst > 12 || gap < 500 || gap > 501)
			break;
		seen[0] |= 1 << (burst - 10);
		seen[1] |= 1 << (gap - 500);
	}
	CHECK(i == 1000 && seen[0] == 7 && seen[1] == 3);
	again = burst;
	rng_init(&rng, 1, STREAM_PREEMPT, 0, 0);
	for (i = 0; i < 1000; i++)
		preempt_draw(&params, &rng, &burst, &gap);
	CHECK(burst == again);
	/* However they are drawn, the kernel's throttling (95 %) has nothing to do. */
	params = parse("swapstorm.burst_us=5000 swapstorm.gap_us=500");
	preempt_draw(&params, &rng, &burst, &gap);
	CHECK(complaints == 0 && burst * 100 < (burst + gap) * 95);

	/* Half of the workers, and nobody where it is not asked for. */
	params = parse("swapstorm.preempt=on swapstorm.idle_workers=50 swapstorm.workers=4");
	CHECK(preempt_idles_worker(&params, 0) && preempt_idles_worker(&params, 1));
	CHECK(!preempt_idles_worker(&params, 2) && !preempt_idles_worker(&params, 3));
	CHECK(!preempt_idles_shrinkers(&params));
	params = parse("swapstorm.idle_workers=100 swapstorm.idle_shrinkers=on");
	CHECK(!preempt_idles_worker(&params, 0) && !preempt_idles_shrinkers(&params));
	CHECK(preempt_prepare(&params) == 0 && warnings == before + 1);
	params = parse("swapstorm.preempt=on swapstorm.idle_shrinkers=on");
	CHECK(preempt_idles_shrinkers(&params));
	visiting = true;

	CHECK(preempt_is_shrinker("kworker/1:1+zswap-shrink"));
	CHECK(preempt_is_shrinker("kworker/u4:0-zswap-shrink"));
	CHECK(!preempt_is_shrinker("kworker/1:1-events"));
	CHECK(!preempt_is_shrinker("zswap-shrink"));
}

static void test_latencies(void)
{
	static struct latency latency;
	u64 us;

	CHECK(latency_percentile(&latency, 50) == 0);
	/* Below the steps exact. */
	for (us = 1; us <= 50; us++)
		latency_add(&latency, us);
	CHECK(latency_percentile(&latency, 50) == 25 && latency_percentile(&latency, 99) == 50);
	CHECK(latency.sum_us == 50 * 51 / 2);
	/* Above them to one step, and never more than it was. */
	for (us = 60; us < 1ULL << 36; us += us / 7 + 1) {
		struct latency one = { 0 };
		u64 told;

		latency_add(&one, us);
		told = latency_percentile(&one, 99);
		CHECK(told <= us && us - told <= us / LATENCY_STEPS);
	}
	/* What is beyond all steps counts as the last one. */
	latency_add(&latency, U64_MAX);
	CHECK(latency_percentile(&latency, 100) >= 1ULL << 36);
}

/* What act.c would bring about. */
void telemetry_acted(enum actor actor, u32 number, u32 since, const char *to, int error)
{
	(void)actor;
	(void)number;
	(void)since;
	(void)to;
	(void)error;
}

bool zswap_switch(bool on)
{
	(void)on;
	return true;
}

static void test_requests(void)
{
	static const char *const refused[] = {
		"", "act", "act ", "act 1", "act 1 ", "act 0 swapoff", "act 1 nobody", "act -1 swapoff",
		"act 4294967296 swapoff", "act 99999999999999999999 swapoff", "act 1  swapoff",
		"act 1 swapoff ", "act x swapoff", "ACT 1 swapoff",
	};
	u32 number = 0;
	unsigned int i;

	CHECK(act_parse("act 1 swapoff", &number) == ACTOR_SWAPOFF && number == 1);
	CHECK(act_parse("act 4294967295 zswap", &number) == ACTOR_ZSWAP && number == 4294967295);
	CHECK(act_parse("act 7 cpu", &number) == ACTOR_CPU && number == 7);
	for (i = 0; i < ARRAY_SIZE(refused); i++)
		CHECK(act_parse(refused[i], &number) == ACTORS);
	/* Whoever has not done yet what was asked does not wait. */
	CHECK(act_asked(ACTOR_SWAPOFF) == 0);
	act_ask(ACTOR_SWAPOFF, 5);
	CHECK(act_asked(ACTOR_SWAPOFF) == 5 && act_asked(ACTOR_CPU) == 0);
	act_wait(ACTOR_SWAPOFF, 4, U64_MAX / 2);
	/* Nor does whoever has no time. */
	act_wait(ACTOR_SWAPOFF, 5, 0);
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
	test_tasks();
	test_columns();
	test_stalls();
	test_memcgs();
	test_levels();
	test_hangs();
	test_workers();
	test_only_time_awake_counts();
	test_changes_are_undone();
	test_cpus_go_and_come();
	test_preemptors();
	test_latencies();
	test_requests();
	printf("%u passed, %u failed\n", passed, failed);
	return failed != 0;
}
