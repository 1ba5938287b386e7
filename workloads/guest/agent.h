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
#include <sys/types.h>

typedef unsigned long long u64;
typedef long long s64;
typedef unsigned int u32;
typedef unsigned char u8;

#define U64_MAX		(~0ULL)
#define S64_MAX		(U64_MAX >> 1)
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define MAX_DISKS	16
#define MAX_WORKERS	64
#define MAX_CPUS	16
#define MAX_READERS	4
#define CGROUP_ROOT	"/sys/fs/cgroup"

/* random.c: streams of numbers that follow from the seed alone. */

struct rng {
	u64 state;
};

enum stream {
	STREAM_SWAP = 1,
	STREAM_WORKER,
	STREAM_PATTERN,
	STREAM_CPUS,
	STREAM_ZSWAP,
	STREAM_ORDER,
	STREAM_PREEMPT,
	STREAM_READER,
};

u64 mix(u64 x);
void rng_init(struct rng *rng, u64 seed, enum stream stream, u32 index, u32 life);
u64 rng_next(struct rng *rng);
u64 rng_between(struct rng *rng, u64 low, u64 high);

/* params.c: swapstorm.* words of a command line. */

enum ending { END_POWEROFF, END_REBOOT, END_HALT, END_LEAVE };
enum push { PUSH_PAGEOUT, PUSH_LIMIT, PUSH_NONE };
enum order { ORDER_SEQUENTIAL, ORDER_RANDOM };
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
	u64 check_s;
	int end;
	int storm;
	u64 sample_ms;

	int zswap;
	char compressor[32];
	char zpool[32];
	s64 max_pool_percent;
	s64 accept_threshold_percent;
	int shrinker;
	struct range zswap_on_ms;
	struct range zswap_off_ms;
	char compressors[64];

	char disks[512];
	u64 null_disks;
	u64 null_mib;
	u64 loops;
	u64 loop_mib;
	int beside_swap;
	int retune_zswap;
	int switch_cpus;
	u64 heartbeat;
	u64 hung_ms;
	int sysrq;
	u64 stay_on;
	u64 swap_kib;
	struct range on_ms;
	struct range off_ms;
	struct range priority;
	int hotplug;
	struct range cpu_on_ms;
	struct range cpu_off_ms;
	int preempt;
	struct range burst_us;
	struct range gap_us;
	u64 idle_workers;
	int idle_shrinkers;

	u64 workers;
	u64 pages;
	int push;
	u64 chunk;
	int order;
	char memory_max[32];
	char memory_high[32];
	char zswap_max[32];
	char cpu_max[32];
	u64 compressible;
	u64 shmem;
	u64 readers;
	struct range life_ms;
	struct range memcg_ms;
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
void line_row(struct line *line, const u64 *values, unsigned int count);
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

void mount_one(const char *type, const char *path);
void mount_basics(void);
void mount_rest(void);
int read_text(const char *path, char *text, size_t size);
bool write_text(const char *path, const char *value);
void write_setting(const char *path, const char *value);
void run_start_script(void);
u64 now_us(void);
void sleep_us(u64 us);
int console_open(void);
bool console_says_stop(int fd, void (*other)(const char *line));
bool heard_stop(const char *bytes, size_t count, void (*other)(const char *line));
_Noreturn void end_machine(enum ending ending);

/* telemetry.c: counters shared by all processes, and the lines that carry them. */

/* Whoever can be asked to act while the storm runs. */
enum actor { ACTOR_SWAPOFF, ACTOR_CPU, ACTOR_ZSWAP, ACTORS };

enum call { CALL_SWAPON, CALL_SWAPOFF };

/* What the loop of a swap device tells of it, and the observer. */
struct device {
	u64 swapon;		/* Completed calls. */
	u64 swapoff;
	u64 refused;		/* Failed calls of both kinds. */
	u64 call;		/* enum call: what the loop is about, */
	u64 began_us;		/* since when (0: it is about nothing), */
	u64 tries;		/* and how often it was refused so far. */
	u64 used_kib;		/* In use, */
	u64 used_at_us;		/* as it was at that time. */
};

/* latency.c: how long calls took. */

#define LATENCY_STEPS	64
#define LATENCY_BUCKETS	(LATENCY_STEPS * 32)	/* Up to 2^37 us. */

struct latency {
	u64 sum_us;
	u64 buckets[LATENCY_BUCKETS];
};

void latency_add(struct latency *latency, u64 us);
u64 latency_percentile(const struct latency *latency, unsigned int percent);

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
	u64 cpu_offs;
	u64 cpu_ons;
	u64 cpu_refused;
	u64 zswap_offs;
	u64 zswap_ons;
	u64 memcgs_gone;
	u64 checks;
	u64 violations;
	u64 bursts;
	u64 shrinkers_idled;
	u64 warnings;
	u64 mute;
	u32 requests;		/* Of act.c, counted, */
	u32 asked[ACTORS];	/* and the newest one's number. */
	struct latency swapoff_latency;
	struct device devices[MAX_DISKS];
	u64 worker_pages[MAX_WORKERS];	/* Checked or written, of each. */
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
void telemetry_memcg(unsigned int workers);
void telemetry_corrupt(const struct page_id *id, const struct mismatch *mismatch);
struct suspect;
struct levels;
void telemetry_violated(const char *check, const char *what, u64 got, u64 want, u64 awake_ms,
			u64 phase);
void telemetry_checked(u64 phase, u64 took_ms, const struct levels *zswap,
		       const struct levels *memcgs);
void telemetry_suspect(const char *word, const struct suspect *suspect);
void telemetry_acted(enum actor actor, u32 number, u32 since, const char *to, int error);
void telemetry_done(const char *reason, enum ending ending, const struct restored *restored);
void warn_parameter(const char *name, const char *value, const char *why);
void warn_path(const char *what, const char *path, const char *value, int error);
void warn_died(const char *what, const char *key, unsigned int index, int status);
void warn_number(const char *what, const char *key, u64 value);
void warn_ended(const char *path, u64 awake_ms);
void warn_errno(const char *what, int error);

/* act.c: what somebody asks for while the storm runs. */

const char *act_name(enum actor actor);
enum actor act_parse(const char *line, u32 *number);
void act_ask(enum actor actor, u32 number);
u32 act_asked(enum actor actor);
void act_wait(enum actor actor, u32 done, u64 us);
_Noreturn void actor_loop(void);

/* zswap.c */

void zswap_configure(const struct params *params);
bool zswap_switch(bool on);
_Noreturn void zswap_loop(const struct params *params, u32 life);
void zswap_describe(struct line *line);

/* Swap devices. */

struct disk {
	char path[64];
	u64 bytes;
};

/* columns.c: all counters as a table. */

void columns_find(const struct disk *disks, unsigned int disks_used);
unsigned int columns_names(struct line *line, unsigned int at);
bool columns_end(unsigned int at);
void columns_row(struct line *line);
bool each_number(const char *path, void (*found)(const char *name, u64 value));
bool read_stalled(const char *text, const char *who, u64 *us);

/* memcg.c: counters of one worker's cgroup, as a table of its own. */

bool memcg_read(const char *folder);
void memcg_names(struct line *line);
void memcg_row(struct line *line);

/* null.c: devices in the guest's memory that answer by its own clock. */

bool null_make(unsigned int index, u64 mib, char *path, size_t size);

/* loop.c: devices on files of our own, where nobody has named any. */

bool loop_make(u64 mib, char *path, size_t size);

/* swap.c */

const char *disk_name(const struct disk *disk);
unsigned int disks_prepare(const struct params *params, struct disk *disks);
void disk_keep_on(const struct disk *disk, unsigned int index, int priority);
_Noreturn void swap_loop(const struct params *params, const struct disk *disk, unsigned int index,
			 u32 life);

/* cpus.c: CPUs that go and come beside the storm. */

unsigned int cpus_find(const char *folder);
bool cpus_prepare(const struct params *params);
void cpus_prepare_to_blink(void);
bool cpus_blink(void);
void cpus_turn(const struct params *params, struct rng *rng);
_Noreturn void cpus_loop(const struct params *params, u32 life);
void cpus_all_on(void);

/* preempt.c: the processor is taken away from tasks in the middle of what they do. */

unsigned int preempt_prepare(const struct params *params);
bool preempt_idles_shrinkers(const struct params *params);
bool preempt_idles_worker(const struct params *params, unsigned int index);
bool preempt_idle(pid_t pid);
void preempt_draw(const struct params *params, struct rng *rng, u64 *burst_us, u64 *gap_us);
_Noreturn void preempt_loop(const struct params *params, unsigned int index, u32 life);
bool preempt_is_shrinker(const char *name);
_Noreturn void preempt_shrinkers_loop(void);

/* worker.c */

void workers_prepare(const struct params *params);
const char *workers_home(void);
void worker_cgroup(unsigned int index, bool other, char *folder, size_t size);
void check_cgroup_enter(void);
_Noreturn void worker_loop(const struct params *params, unsigned int index, u32 life);

/* task.c: what the kernel says of one task. */

struct task {
	char name[20];
	char state;		/* As in /proc/PID/stat. */
	u64 switches;		/* Of context. */
	u64 cpu_ms;
};

/* Where a task is in the kernel; empty where the kernel does not say. */
struct place {
	char wchan[64];
	char stack[640];	/* Frames, innermost first, with commas. */
};

void task_read_stat(const char *stat, struct task *task);
void task_read_stack(const char *text, char *stack, size_t size);
bool task_read(pid_t pid, struct task *task);
bool task_locate(pid_t pid, struct task *task, struct place *place);

/* watch.c: swap calls that do not end. */

#define WATCH_US	500000

/* A process that does not get on. */
struct suspect {
	const char *what;	/* A word of PROTOCOL.md. */
	const char *device;	/* NULL for a worker, */
	unsigned int worker;	/* which has a number. */
	pid_t pid;
	u64 stop_ms;		/* 0: nobody was asked to stop. */
	u64 guest_ms;
	u64 awake_ms;
	u64 quiet_ms;
	u64 io_ms;
	u64 tries;
	u64 others;
	const struct task *first;	/* NULL: it was not looked at before. */
	struct task now;
	struct place place;
};

void watch_start(const struct params *with, const struct disk *all, unsigned int used);
u64 watch_awake(u64 now);
void watch_disks(u64 awake);
u64 watch_owed_us(void);
void watch_calls(const pid_t *pids, u64 awake);
void watch_workers(const pid_t *pids, u64 awake);
void watch_fill(unsigned int index, struct suspect *suspect);
bool watch_tell(const char *word, struct suspect *suspect);
bool watch_was_told(unsigned int index);
_Noreturn void observer_loop(void);

/* supervise.c: keeps loops and workers alive until told otherwise. */

void storm_start(const struct params *params, const struct disk *disks, unsigned int disks_used);
u64 storm_tend(void);
void storm_hold(void);
bool storm_stop(void);
void storm_go_on(void);
void storm_asked(enum actor actor, u32 number);

/* levels.c: numbers that fall back to where they were. */

#define MAX_LEVELS	(4 * MAX_WORKERS + 8)

struct level {
	const char *check;	/* The invariant, a word of PROTOCOL.md. */
	char path[96];
	const char *key;	/* Its line starts so; empty: the file is the number. */
	s64 got;
	s64 want;
};

/* Only numbers that the kernel has. */
struct levels {
	struct level all[MAX_LEVELS];
	unsigned int used;
};

bool swaps_sum(const char *text, const char *path, u64 *size, u64 *used);
s64 level_read(const char *path, const char *key);
void level_add(struct levels *levels, const char *check, const char *path, const char *key);
void levels_of_zswap(struct levels *levels);
void levels_of_cgroup(struct levels *levels, const char *folder);
void levels_of_dying(struct levels *levels, const char *folder);
u64 levels_settle(struct levels *levels, void (*help)(void));

/* check.c: invariants, while the storm stands still. */

void check_prepare(const struct params *with, const struct disk *all, unsigned int used);
bool check_all(void);

#endif
