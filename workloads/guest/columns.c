// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Every counter that the guest can read, as a table: its columns are named once and
 * again from time to time, and a sample is a row of numbers. What a kernel lacks has no
 * column.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "agent.h"

#define ZSWAP		"/sys/kernel/debug/zswap"
#define MAX_COLUMNS	160
/* A line of names stays well below the longest line. */
#define NAMES_BYTES	700

enum source { OWN, PERCENTILE, ZSWAP_FILE, VMSTAT, MEMINFO, PRESSURE };

struct column {
	enum source source;
	char name[40];
	const char *key;	/* MEMINFO, PRESSURE: what the kernel calls it. */
	const u64 *counter;	/* OWN: where it is. */
	unsigned int percent;	/* PERCENTILE: of swapoff's latencies. */
	const char *path;	/* PRESSURE: the file. */
	u64 value;
};

static struct column columns[MAX_COLUMNS];
static unsigned int used;

static struct column *add(enum source source, const char *name)
{
	static struct column beyond;
	struct column *column = used < MAX_COLUMNS ? &columns[used++] : &beyond;

	*column = (struct column){ .source = source };
	snprintf(column->name, sizeof(column->name), "%s", name);
	return column;
}

static void add_own(const char *name, const u64 *counter)
{
	add(OWN, name)->counter = counter;
}

static void add_agent(void)
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
		COUNTER(cpu_offs),
		COUNTER(cpu_ons),
		COUNTER(cpu_refused),
		COUNTER(zswap_offs),
		COUNTER(zswap_ons),
		COUNTER(memcgs_gone),
		COUNTER(checks),
		COUNTER(violations),
		COUNTER(swapon_enomem),
		COUNTER(swapon_ebusy),
		COUNTER(swapon_einval),
		COUNTER(swapon_other),
		COUNTER(swapoff_enomem),
		COUNTER(swapoff_eintr),
		COUNTER(swapoff_ebusy),
		COUNTER(swapoff_einval),
		COUNTER(swapoff_other),
		COUNTER(bursts),
		COUNTER(shrinkers_idled),
	};
#undef COUNTER
	size_t i;

	for (i = 0; i < ARRAY_SIZE(all); i++)
		add_own(all[i].name, all[i].counter);
	add_own("swapoff_us", &counters->swapoff_latency.sum_us);
	add(PERCENTILE, "swapoff_p50_us")->percent = 50;
	add(PERCENTILE, "swapoff_p99_us")->percent = 99;
}

static void add_device(const char *counter, const char *device, const u64 *value)
{
	char name[40];

	snprintf(name, sizeof(name), "%s.%.24s", counter, device);
	add_own(name, value);
}

static void add_devices(const struct disk *disks, unsigned int disks_used)
{
	unsigned int i;

	for (i = 0; i < disks_used; i++) {
		struct device *device = &counters->devices[i];

		add_device("swapon", disk_name(&disks[i]), &device->swapon);
		add_device("swapoff", disk_name(&disks[i]), &device->swapoff);
		add_device("refused", disk_name(&disks[i]), &device->refused);
	}
}

/* False if @text is no number. */
static bool to_number(const char *text, u64 *number)
{
	unsigned long long value;

	if (sscanf(text, "%llu", &value) != 1)
		return false;
	*number = value;
	return true;
}

static bool read_zswap(const char *name, u64 *number)
{
	char path[64], text[32];

	snprintf(path, sizeof(path), ZSWAP "/%s", name);
	return read_text(path, text, sizeof(text)) > 0 && to_number(text, number);
}

static void add_zswap(void)
{
	DIR *folder = opendir(ZSWAP);
	struct dirent *entry;
	u64 value;

	while (folder && (entry = readdir(folder))) {
		if (strlen(entry->d_name) < 32 && read_zswap(entry->d_name, &value))
			add(ZSWAP_FILE, entry->d_name);
	}
	if (folder)
		closedir(folder);
}

/*
 * Calls @found with each "name value" line of a file; what is behind the value does not matter.
 * False if the file cannot be read.
 */
bool each_number(const char *path, void (*found)(const char *name, u64 value))
{
	static char text[16384];
	char *rest = NULL;
	char *line;
	u64 value;

	if (read_text(path, text, sizeof(text)) < 0)
		return false;
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		size_t length = strcspn(line, ": ");

		if (!line[length] || !to_number(line + length + 1, &value))
			continue;
		line[length] = '\0';
		found(line, value);
	}
	return true;
}

/* Of a file of /proc/pressure: for how long in all some task, or each one (@who), has stalled. */
bool read_stalled(const char *text, const char *who, u64 *us)
{
	const char *line = strstr(text, who);
	const char *total = line ? strstr(line, " total=") : NULL;

	return total && total < line + strcspn(line, "\n") &&
	       to_number(total + strlen(" total="), us);
}

/* Time for which tasks have waited for memory, and for disks, since the kernel's start. */
static const struct {
	const char *path;
	const char *key;
	const char *name;
} stalls[] = {
	{ "/proc/pressure/memory", "some ", "psi_memory_some_us" },
	{ "/proc/pressure/memory", "full ", "psi_memory_full_us" },
	{ "/proc/pressure/io", "some ", "psi_io_some_us" },
	{ "/proc/pressure/io", "full ", "psi_io_full_us" },
};

static bool read_pressure(const char *path, const char *key, u64 *us)
{
	char text[256];

	return read_text(path, text, sizeof(text)) > 0 && read_stalled(text, key, us);
}

static void add_pressure(void)
{
	size_t i;
	u64 us;

	for (i = 0; i < ARRAY_SIZE(stalls); i++) {
		struct column *column;

		if (!read_pressure(stalls[i].path, stalls[i].key, &us))
			continue;
		column = add(PRESSURE, stalls[i].name);
		column->path = stalls[i].path;
		column->key = stalls[i].key;
	}
}

static void add_vmstat(const char *name, u64 value)
{
	(void)value;
	/* zswpout, pswpin, swap_ra, thp_swpout, nr_swapcached, ... */
	if (strstr(name, "swp") || strstr(name, "swap") ||
	    !strncmp(name, "workingset_", strlen("workingset_")) || !strcmp(name, "nr_zspages") ||
	    !strcmp(name, "pgmajfault"))
		add(VMSTAT, name);
}

/* What of /proc/meminfo is told, in KiB. */
static const struct {
	const char *key;
	const char *name;
} sizes[] = {
	{ "Zswap", "zswap_kib" },
	{ "Zswapped", "zswapped_kib" },
	{ "SwapCached", "swap_cached_kib" },
	{ "MemFree", "free_kib" },
};

static void add_meminfo(const char *name, u64 value)
{
	size_t i;

	(void)value;
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		if (!strcmp(name, sizes[i].key))
			add(MEMINFO, sizes[i].name)->key = sizes[i].key;
	}
}

/* Once zswap is set up, which is when its own counters appear. */
void columns_find(const struct disk *disks, unsigned int disks_used)
{
	add_agent();
	add_devices(disks, disks_used);
	add_zswap();
	each_number("/proc/vmstat", add_vmstat);
	each_number("/proc/meminfo", add_meminfo);
	add_pressure();
}

/* The names of some columns from the one with number @at on; returns the number behind them. */
unsigned int columns_names(struct line *line, unsigned int at)
{
	char names[NAMES_BYTES];
	size_t length = 0;
	unsigned int i;

	for (i = at; i < used; i++) {
		if (length + strlen(columns[i].name) + 2 > sizeof(names))
			break;
		length += sprintf(names + length, "%s%.39s", length ? "," : "", columns[i].name);
	}
	line_number(line, "at", at);
	line_number(line, "of", used);
	line_text(line, "names", names);
	return i;
}

bool columns_end(unsigned int at)
{
	return at >= used;
}

static void set(enum source source, const char *name, u64 value)
{
	unsigned int i;

	for (i = 0; i < used; i++) {
		struct column *column = &columns[i];

		if (column->source == source &&
		    !strcmp(source == MEMINFO ? column->key : column->name, name))
			column->value = value;
	}
}

static void set_vmstat(const char *name, u64 value)
{
	set(VMSTAT, name, value);
}

static void set_meminfo(const char *name, u64 value)
{
	set(MEMINFO, name, value);
}

static void read_all(void)
{
	unsigned int i;

	for (i = 0; i < used; i++) {
		if (columns[i].source == OWN)
			columns[i].value = counted(columns[i].counter);
		else if (columns[i].source == PERCENTILE)
			columns[i].value = latency_percentile(&counters->swapoff_latency,
							      columns[i].percent);
		else if (columns[i].source == ZSWAP_FILE)
			read_zswap(columns[i].name, &columns[i].value);
		else if (columns[i].source == PRESSURE)
			read_pressure(columns[i].path, columns[i].key, &columns[i].value);
	}
	each_number("/proc/vmstat", set_vmstat);
	each_number("/proc/meminfo", set_meminfo);
}

void columns_row(struct line *line)
{
	u64 values[MAX_COLUMNS];
	unsigned int i;

	read_all();
	for (i = 0; i < used; i++)
		values[i] = columns[i].value;
	line_row(line, values, used);
}
