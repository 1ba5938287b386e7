/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The guest agent runs memcg pressure beside swapon and swapoff storms, as PID 1 of a
 * guest or as a program on a machine that is not its own. PROTOCOL.md says what it
 * understands and what it prints.
 */
#ifndef SWAPSTORM_AGENT_H
#define SWAPSTORM_AGENT_H

#include <stdbool.h>
#include <stddef.h>

typedef unsigned long long u64;
typedef long long s64;
typedef unsigned int u32;
typedef unsigned char u8;

#define U64_MAX		(~0ULL)
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define MAX_DISKS	16
#define MAX_WORKERS	64
#define CGROUP_ROOT	"/sys/fs/cgroup"

/* random.c: streams of numbers that follow from the seed alone. */

struct rng {
	u64 state;
};

enum stream {
	STREAM_SWAP = 1,
	STREAM_WORKER,
	STREAM_PATTERN,
};

u64 mix(u64 x);
void rng_init(struct rng *rng, u64 seed, enum stream stream, u32 index, u32 life);
u64 rng_next(struct rng *rng);
u64 rng_between(struct rng *rng, u64 low, u64 high);

/* params.c: swapstorm.* words of a command line. */

enum ending { END_POWEROFF, END_REBOOT, END_HALT, END_LEAVE };
enum push { PUSH_PAGEOUT, PUSH_LIMIT, PUSH_NONE };
enum fault { FAULT_NONE, FAULT_CORRUPT_PAGE, FAULT_MUTE, FAULT_FREEZE, FAULT_STALL };
enum toggle { TOGGLE_OFF, TOGGLE_ON };

struct range {
	u64 low;
	u64 high;
};

/* Texts are empty, and percentages -1, where the kernel's own value stands. */
struct params {
	char token[33];
	u64 seed;
	u64 seconds;
	int end;
	int storm;
	u64 sample_ms;

	int zswap;
	char compressor[32];
	char zpool[32];
	s64 max_pool_percent;
	s64 accept_threshold_percent;
	int shrinker;

	char disks[512];
	u64 loops;
	u64 loop_mib;
	int beside_swap;
	int retune_zswap;
	u64 heartbeat;
	u64 stay_on;
	struct range on_ms;
	struct range off_ms;
	struct range priority;

	u64 workers;
	u64 pages;
	int push;
	u64 chunk;
	char memory_max[32];
	char memory_high[32];
	char zswap_max[32];
	char cpu_max[32];
	u64 compressible;
	int fault;
};

/* Told of each word that was not taken; @why is a word of PROTOCOL.md. */
typedef void (*params_complaint)(const char *name, const char *value, const char *why);

void params_defaults(struct params *params);
void params_parse(struct params *params, char *cmdline, params_complaint complain);

/* line.c: one line of telemetry, built within its bound. */

#define LINE_MAX_BYTES	900

struct line {
	char text[LINE_MAX_BYTES + 1];
	size_t used;
	bool full;
};

void line_start(struct line *line, const char *token, const char *word, u64 ms);
void line_text(struct line *line, const char *key, const char *value);
void line_number(struct line *line, const char *key, u64 value);
void line_end(struct line *line);

/* pattern.c: contents of pages. */

struct page_id {
	u64 worker;
	u64 page;
	u64 generation;
};

struct pattern {
	u64 seed;
	u32 life;
	unsigned int compressible;
	size_t page_bytes;
};

struct mismatch {
	size_t offset;
	u8 expected;
	u8 got;
	size_t wrong;
	bool has_saw;
	struct page_id saw;
};

void pattern_fill(const struct pattern *pattern, const struct page_id *id, void *page);
bool pattern_check(const struct pattern *pattern, const struct page_id *id, const void *page,
		   struct mismatch *mismatch);

/* restore.c: changes to a machine that is not ours, undone at the end. */

/* 0 or a negative errno. */
typedef int (*undo_call)(const char *what, const char *value);

struct restored {
	unsigned int changes;
	unsigned int failed;
};

bool restore_later(undo_call undo, const char *what, const char *value);
void restore_forget(void);
struct restored restore_all(void);
int undo_write(const char *path, const char *value);
int undo_mkdir(const char *path, const char *value);
int undo_mount(const char *path, const char *value);
int undo_swapon(const char *path, const char *value);
void change_setting(const char *path, const char *value);

/* visit.c: a program on a machine that is not ours. */

enum said { SAID_NOTHING, SAID_STOP, SAID_GONE };

/* True unless the agent is PID 1. */
extern bool visiting;

bool visit_words(int argc, char **argv, char *words, size_t size);
const char *visit_begin(const struct params *params);
enum said visit_listen(void);

/* system.c: what any PID 1 needs. */

void mount_basics(void);
void mount_rest(void);
int read_text(const char *path, char *text, size_t size);
bool write_text(const char *path, const char *value);
void write_setting(const char *path, const char *value);
void run_start_script(void);
u64 now_us(void);
void sleep_us(u64 us);
int console_open(void);
bool console_says_stop(int fd);
bool heard_stop(const char *bytes, size_t count);
_Noreturn void end_machine(enum ending ending);

/* telemetry.c: counters shared by all processes, and the lines that carry them. */

struct counters {
	u64 swapon;
	u64 swapon_enomem;
	u64 swapon_ebusy;
	u64 swapon_einval;
	u64 swapon_other;
	u64 swapoff;
	u64 swapoff_enomem;
	u64 swapoff_eintr;
	u64 swapoff_ebusy;
	u64 swapoff_einval;
	u64 swapoff_other;
	u64 touched;
	u64 verified;
	u64 rounds;
	u64 corruptions;
	u64 oom_kills;
	u64 respawns;
	u64 warnings;
	u64 mute;
};

extern struct counters *counters;

static inline void count(u64 *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static inline u64 counted(const u64 *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

void telemetry_open(void);
void telemetry_token(const char *token);
void telemetry_mute(void);
void telemetry_hello(void);
void telemetry_ready(const struct params *params, unsigned int disks, u64 disk_kib);
void telemetry_sample(void);
void telemetry_corrupt(const struct page_id *id, const struct mismatch *mismatch);
void telemetry_done(const char *reason, enum ending ending, const struct restored *restored);
void warn_parameter(const char *name, const char *value, const char *why);
void warn_path(const char *what, const char *path, const char *value, int error);
void warn_died(const char *what, const char *key, unsigned int index, int status);
void warn_number(const char *what, const char *key, u64 value);
void warn_errno(const char *what, int error);

/* zswap.c */

void zswap_configure(const struct params *params);
void zswap_describe(struct line *line);
void zswap_counters(struct line *line);

/* Swap devices. */

struct disk {
	char path[64];
	u64 bytes;
};

/* loop.c: devices on files of our own, where nobody has named any. */

bool loop_make(u64 mib, char *path, size_t size);

/* swap.c */

unsigned int disks_prepare(const struct params *params, struct disk *disks);
void disk_keep_on(const struct disk *disk, int priority);
_Noreturn void swap_loop(const struct params *params, const struct disk *disk, unsigned int index,
			 u32 life);

/* worker.c */

void workers_prepare(const struct params *params);
_Noreturn void worker_loop(const struct params *params, unsigned int index, u32 life);

/* supervise.c: keeps loops and workers alive until told otherwise. */

void storm_start(const struct params *params, const struct disk *disks, unsigned int disks_used);
u64 storm_tend(void);
void storm_hold(void);
void storm_stop(void);

#endif
