// SPDX-License-Identifier: MIT OR Apache-2.0
/* swapstorm.* words of a command line. PROTOCOL.md has the table of them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"

#define PREFIX "swapstorm."

static const char *const toggles[] = { "off", "on", NULL };
static const char *const endings[] = { "poweroff", "reboot", "halt", NULL };
static const char *const pushes[] = { "pageout", "limit", "none", NULL };
static const char *const orders[] = { "sequential", "random", NULL };
static const char *const faults[] = { "none", "corrupt_page", "mute", "freeze", "stall", NULL };

enum kind { NUMBER, PERCENT, RANGE, CHOICE, TOKEN, NAME, NAMES, PATHS, SIZE, CPU_MAX };

/* @low and @high bound numbers, @high the bytes of a text; @choices belongs to CHOICE. */
struct spec {
	const char *name;
	enum kind kind;
	size_t offset;
	u64 low;
	u64 high;
	const char *const *choices;
};

#define SPEC(kind, field, low, high) \
	{ #field, kind, offsetof(struct params, field), low, high, NULL }
#define TEXT(kind, field) SPEC(kind, field, 1, sizeof(((struct params *)0)->field) - 1)
#define PICK(field, choices) { #field, CHOICE, offsetof(struct params, field), 0, 0, choices }

static const struct spec specs[] = {
	TEXT(TOKEN, token),
	SPEC(NUMBER, seed, 0, U64_MAX),
	SPEC(NUMBER, seconds, 0, 86400),
	SPEC(NUMBER, check_s, 0, 86400),
	PICK(end, endings),
	PICK(storm, toggles),
	SPEC(NUMBER, sample_ms, 20, 60000),
	PICK(zswap, toggles),
	TEXT(NAME, compressor),
	TEXT(NAME, zpool),
	SPEC(PERCENT, max_pool_percent, 0, 100),
	SPEC(PERCENT, accept_threshold_percent, 0, 100),
	PICK(shrinker, toggles),
	SPEC(RANGE, zswap_on_ms, 0, 60000),
	SPEC(RANGE, zswap_off_ms, 0, 60000),
	TEXT(NAMES, compressors),
	TEXT(PATHS, disks),
	SPEC(NUMBER, null_disks, 0, MAX_DISKS),
	SPEC(NUMBER, null_mib, 1, 65536),
	SPEC(NUMBER, loops, 1, MAX_DISKS),
	SPEC(NUMBER, loop_mib, 1, 65536),
	PICK(beside_swap, toggles),
	PICK(retune_zswap, toggles),
	PICK(switch_cpus, toggles),
	SPEC(NUMBER, heartbeat, 0, 3600),
	SPEC(NUMBER, hung_ms, 1000, 3600000),
	PICK(sysrq, toggles),
	SPEC(NUMBER, stay_on, 0, MAX_DISKS),
	SPEC(NUMBER, swap_kib, 0, 67108864),
	SPEC(RANGE, on_ms, 0, 60000),
	SPEC(RANGE, off_ms, 0, 60000),
	SPEC(RANGE, priority, 0, 32767),
	PICK(hotplug, toggles),
	SPEC(RANGE, cpu_on_ms, 0, 60000),
	SPEC(RANGE, cpu_off_ms, 0, 60000),
	PICK(preempt, toggles),
	SPEC(RANGE, burst_us, 10, 5000),
	SPEC(RANGE, gap_us, 500, 1000000),
	SPEC(NUMBER, idle_workers, 0, 100),
	PICK(idle_shrinkers, toggles),
	SPEC(NUMBER, workers, 0, MAX_WORKERS),
	SPEC(NUMBER, pages, 1, 65536),
	PICK(push, pushes),
	SPEC(NUMBER, chunk, 1, 65536),
	PICK(order, orders),
	TEXT(SIZE, memory_max),
	TEXT(SIZE, memory_high),
	TEXT(SIZE, zswap_max),
	TEXT(CPU_MAX, cpu_max),
	SPEC(NUMBER, compressible, 0, 100),
	SPEC(NUMBER, shmem, 0, 100),
	SPEC(NUMBER, readers, 0, MAX_READERS),
	SPEC(RANGE, life_ms, 0, 60000),
	SPEC(RANGE, memcg_ms, 0, 60000),
	PICK(fault, faults),
};

void params_defaults(struct params *params)
{
	*params = (struct params){
		.token = "none",
		.seed = 1,
		.seconds = 60,
		.end = END_POWEROFF,
		.storm = TOGGLE_ON,
		.sample_ms = 500,
		.zswap = TOGGLE_ON,
		.max_pool_percent = -1,
		.accept_threshold_percent = -1,
		.shrinker = TOGGLE_ON,
		.null_mib = 16,
		.loops = 4,
		.loop_mib = 16,
		.beside_swap = TOGGLE_OFF,
		.retune_zswap = TOGGLE_OFF,
		.switch_cpus = TOGGLE_OFF,
		.hung_ms = 20000,
		/* A machine that is not ours is not to be told to print everybody's stacks. */
		.sysrq = visiting ? TOGGLE_OFF : TOGGLE_ON,
		.on_ms = { 1, 50 },
		.off_ms = { 0, 2 },
		.priority = { 0, 3 },
		.hotplug = TOGGLE_OFF,
		.cpu_on_ms = { 20, 80 },
		.cpu_off_ms = { 5, 5 },
		.preempt = TOGGLE_OFF,
		.burst_us = { 500, 5000 },
		.gap_us = { 500, 5000 },
		.idle_shrinkers = TOGGLE_OFF,
		.workers = 8,
		.pages = 256,
		.push = PUSH_PAGEOUT,
		.chunk = 16,
		.compressible = 50,
		.fault = FAULT_NONE,
	};
}

/* strtoull() takes signs and blanks too; a number here is digits and nothing else. */
static const char *parse_number(const char *text, char **end, u64 low, u64 high,
				u64 *number)
{
	unsigned long long value;

	if (*text < '0' || *text > '9')
		return "not-a-number";
	errno = 0;
	value = strtoull(text, end, 10);
	if (errno || value < low || value > high)
		return "out-of-range";
	*number = value;
	return NULL;
}

static const char *parse_whole_number(const struct spec *spec, const char *text, u64 *number)
{
	u64 value;
	char *end;
	const char *why = parse_number(text, &end, spec->low, spec->high, &value);

	if (why)
		return why;
	if (*end)
		return "not-a-number";
	*number = value;
	return NULL;
}

static const char *parse_range(const struct spec *spec, const char *text, struct range *range)
{
	struct range value;
	char *end;
	const char *why = parse_number(text, &end, spec->low, spec->high, &value.low);

	if (why)
		return why;
	value.high = value.low;
	if (*end == '-')
		why = parse_number(end + 1, &end, spec->low, spec->high, &value.high);
	if (why)
		return why;
	if (*end)
		return "bad-syntax";
	if (value.low > value.high)
		return "out-of-range";
	*range = value;
	return NULL;
}

static const char *parse_choice(const struct spec *spec, const char *text, int *choice)
{
	int i;

	for (i = 0; spec->choices[i]; i++) {
		if (!strcmp(spec->choices[i], text)) {
			*choice = i;
			return NULL;
		}
	}
	return "not-one-of";
}

static bool all_of(const char *text, const char *also)
{
	for (; *text; text++) {
		bool plain = (*text >= '0' && *text <= '9') || (*text >= 'A' && *text <= 'Z') ||
			     (*text >= 'a' && *text <= 'z');

		if (!plain && !strchr(also, *text))
			return false;
	}
	return true;
}

static bool is_size(const char *text)
{
	const char *why;
	u64 number;
	char *end;

	if (!strcmp(text, "max"))
		return true;
	why = parse_number(text, &end, 0, U64_MAX >> 30, &number);
	return !why && (!*end || (strchr("KMG", *end) && !end[1]));
}

static bool is_cpu_max(const char *text)
{
	u64 number;
	char *end;

	return !parse_number(text, &end, 1, 1000000, &number) && *end == '/' &&
	       !parse_number(end + 1, &end, 1, 1000000, &number) && !*end;
}

static bool has_form(enum kind kind, const char *text)
{
	switch (kind) {
	case TOKEN:
		return all_of(text, "");
	case NAME:
		return all_of(text, "_-");
	case NAMES:
		return *text != ',' && all_of(text, "_-,");
	case PATHS:
		return *text == '/' && all_of(text, "/_-.,");
	case SIZE:
		return is_size(text);
	case CPU_MAX:
		return is_cpu_max(text);
	default:
		return false;
	}
}

static const char *parse_text(const struct spec *spec, const char *text, char *field)
{
	if (strlen(text) > spec->high)
		return "too-long";
	if (!*text || !has_form(spec->kind, text))
		return "bad-syntax";
	strcpy(field, text);
	return NULL;
}

/* NULL if the word was taken, else why not; the field is then as it was. */
static const char *take(struct params *params, const struct spec *spec, const char *value)
{
	void *field = (char *)params + spec->offset;
	u64 number;
	const char *why;

	switch (spec->kind) {
	case NUMBER:
		return parse_whole_number(spec, value, field);
	case PERCENT:
		why = parse_whole_number(spec, value, &number);
		if (!why)
			*(s64 *)field = number;
		return why;
	case RANGE:
		return parse_range(spec, value, field);
	case CHOICE:
		return parse_choice(spec, value, field);
	default:
		return parse_text(spec, value, field);
	}
}

static void take_word(struct params *params, const char *name, const char *value,
		      params_complaint complain)
{
	const char *why = "unknown";
	size_t i;

	for (i = 0; i < ARRAY_SIZE(specs); i++) {
		if (!strcmp(specs[i].name, name)) {
			why = take(params, &specs[i], value);
			break;
		}
	}
	if (why)
		complain(name, value, why);
}

/* Cuts @cmdline into words in place. Words that are not ours are the kernel's business. */
void params_parse(struct params *params, char *cmdline, params_complaint complain)
{
	static const char blanks[] = " \t\n";
	char *rest = NULL;
	char *word;

	for (word = strtok_r(cmdline, blanks, &rest); word; word = strtok_r(NULL, blanks, &rest)) {
		char *value;

		if (strncmp(word, PREFIX, strlen(PREFIX)))
			continue;
		word += strlen(PREFIX);
		value = strchr(word, '=');
		if (value)
			*value++ = '\0';
		take_word(params, word, value ? value : "", complain);
	}
}
