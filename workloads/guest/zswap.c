// SPDX-License-Identifier: MIT OR Apache-2.0
/* zswap's parameters before the storm, and its own counters during it. */
#include <stdio.h>
#include <unistd.h>

#include "agent.h"

#define PARAMETERS	"/sys/module/zswap/parameters/"
#define COUNTERS	"/sys/kernel/debug/zswap/"

static void set_percent(const char *path, s64 percent)
{
	char value[24];

	if (percent < 0)
		return;
	snprintf(value, sizeof(value), "%lld", percent);
	change_setting(path, value);
}

void zswap_configure(const struct params *params)
{
	/* The pool is made when zswap is switched on: what it is made of comes first. */
	if (params->compressor[0])
		change_setting(PARAMETERS "compressor", params->compressor);
	if (params->zpool[0])
		change_setting(PARAMETERS "zpool", params->zpool);
	set_percent(PARAMETERS "max_pool_percent", params->max_pool_percent);
	set_percent(PARAMETERS "accept_threshold_percent", params->accept_threshold_percent);
	if (!access(PARAMETERS "shrinker_enabled", F_OK))
		change_setting(PARAMETERS "shrinker_enabled", params->shrinker ? "Y" : "N");
	change_setting(PARAMETERS "enabled", params->zswap ? "Y" : "N");
}

static void describe_one(struct line *line, const char *key, const char *path)
{
	char value[64];

	if (read_text(path, value, sizeof(value)) >= 0)
		line_text(line, key, value);
}

/* What zswap says of itself now, which need not be what it was asked for. */
void zswap_describe(struct line *line)
{
	char value[64];

	if (read_text(PARAMETERS "enabled", value, sizeof(value)) < 0) {
		line_text(line, "zswap", "absent");
		return;
	}
	line_text(line, "zswap", value);
	describe_one(line, "compressor", PARAMETERS "compressor");
	describe_one(line, "zpool", PARAMETERS "zpool");
	describe_one(line, "max_pool_percent", PARAMETERS "max_pool_percent");
	describe_one(line, "shrinker", PARAMETERS "shrinker_enabled");
}

void zswap_counters(struct line *line)
{
	describe_one(line, "stored_pages", COUNTERS "stored_pages");
	describe_one(line, "written_back_pages", COUNTERS "written_back_pages");
	describe_one(line, "reject_reclaim_fail", COUNTERS "reject_reclaim_fail");
	describe_one(line, "pool_limit_hit", COUNTERS "pool_limit_hit");
}
