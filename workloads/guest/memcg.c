// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * What the kernel counts of a worker's cgroup, as a table: its columns are those that the
 * first cgroup had that was read. All of a kernel have the same.
 */
#include <stdio.h>
#include <string.h>

#include "agent.h"

/* Of memory.stat, as the kernel calls them, and files that are one number. */
static const char *const wanted[] = {
	"memory.current",
	"memory.swap.current",
	"anon",
	"shmem",
	"swapcached",
	"zswap",
	"zswapped",
	"zswap_incompressible",
	"workingset_refault_anon",
	"workingset_activate_anon",
	"workingset_restore_anon",
	"workingset_nodereclaim",
	"pgfault",
	"pgmajfault",
	"pgscan",
	"pgsteal",
	"pgactivate",
	"pgdeactivate",
	"pswpin",
	"pswpout",
	"zswpin",
	"zswpout",
	"zswpwb",
	"swpin_zero",
	"swpout_zero",
};

struct number {
	bool column;	/* The kernel has it. */
	u64 value;
};

static struct number numbers[ARRAY_SIZE(wanted)];
static bool known;	/* What the columns are. */

static void found(const char *name, u64 value)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wanted); i++) {
		if (strcmp(name, wanted[i]))
			continue;
		numbers[i].value = value;
		numbers[i].column |= !known;
	}
}

static void read_one(const char *folder, const char *name)
{
	char path[128];
	s64 value;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	value = level_read(path, "");
	if (value >= 0)
		found(name, value);
}

/* False if there is no such cgroup. */
bool memcg_read(const char *folder)
{
	char path[128];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wanted); i++)
		numbers[i].value = 0;
	snprintf(path, sizeof(path), "%s/memory.stat", folder);
	if (!each_number(path, found))
		return false;
	read_one(folder, "memory.current");
	read_one(folder, "memory.swap.current");
	known = true;
	return true;
}

/* All in one line, once a cgroup was read. */
void memcg_names(struct line *line)
{
	char names[32 * ARRAY_SIZE(wanted)];
	unsigned int of = 0;
	size_t length = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wanted); i++) {
		if (numbers[i].column)
			length += sprintf(names + length, "%s%s", of++ ? "," : "", wanted[i]);
	}
	names[length] = '\0';
	line_number(line, "at", 0);
	line_number(line, "of", of);
	line_text(line, "names", names);
}

void memcg_row(struct line *line)
{
	u64 values[ARRAY_SIZE(wanted)];
	unsigned int used = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wanted); i++) {
		if (numbers[i].column)
			values[used++] = numbers[i].value;
	}
	line_row(line, values, used);
}
