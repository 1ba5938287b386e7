// SPDX-License-Identifier: MIT OR Apache-2.0
/* zswap's parameters before the storm, and what it says of itself. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"

#define PARAMETERS	"/sys/module/zswap/parameters/"

static void set_percent(const char *path, s64 percent)
{
	char value[24];

	if (percent < 0)
		return;
	snprintf(value, sizeof(value), "%lld", percent);
	change_setting(path, value);
}

/* It will be another one again and again. */
static void keep_compressor(void)
{
	char before[32];

	if (read_text(PARAMETERS "compressor", before, sizeof(before)) > 0)
		change_setting(PARAMETERS "compressor", before);
}

void zswap_configure(const struct params *params)
{
	/* The pool is made when zswap is switched on: what it is made of comes first. */
	if (params->compressor[0])
		change_setting(PARAMETERS "compressor", params->compressor);
	else if (params->compressors[0])
		keep_compressor();
	if (params->zpool[0])
		change_setting(PARAMETERS "zpool", params->zpool);
	set_percent(PARAMETERS "max_pool_percent", params->max_pool_percent);
	set_percent(PARAMETERS "accept_threshold_percent", params->accept_threshold_percent);
	if (!access(PARAMETERS "shrinker_enabled", F_OK))
		change_setting(PARAMETERS "shrinker_enabled", params->shrinker ? "Y" : "N");
	change_setting(PARAMETERS "enabled", params->zswap ? "Y" : "N");
}

bool zswap_switch(bool on)
{
	return write_text(PARAMETERS "enabled", on ? "Y" : "N");
}

static void switch_and_count(bool on, u64 *counter)
{
	if (zswap_switch(on))
		count(counter);
	else if (!counted(counter))
		warn_path("write", PARAMETERS "enabled", on ? "Y" : "N", errno);
}

/* Off and on again, with the next compressor: what is stored stays in the pool of the one before. */
void zswap_loop(const struct params *params, u32 life)
{
	char names[sizeof(params->compressors)];
	char *rest = NULL;
	char *name = NULL;
	struct rng rng;

	rng_init(&rng, params->seed, STREAM_ZSWAP, 0, life);
	/* The loop before this one may have died while it was off. */
	zswap_switch(true);
	for (;;) {
		u64 on_us = rng_between(&rng, params->zswap_on_ms.low * 1000,
					params->zswap_on_ms.high * 1000);
		u64 off_us = rng_between(&rng, params->zswap_off_ms.low * 1000,
					 params->zswap_off_ms.high * 1000);

		sleep_us(on_us);
		switch_and_count(false, &counters->zswap_offs);
		sleep_us(off_us);
		name = name ? strtok_r(NULL, ",", &rest) : NULL;
		if (!name) {
			strcpy(names, params->compressors);
			name = strtok_r(names, ",", &rest);
		}
		if (name && !write_text(PARAMETERS "compressor", name))
			warn_path("write", PARAMETERS "compressor", name, errno);
		switch_and_count(true, &counters->zswap_ons);
	}
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
