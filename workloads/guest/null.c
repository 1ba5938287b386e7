// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Swap devices in the guest's own memory (null_blk) that answer by a timer of the guest,
 * as a disk would: how long one takes depends on nothing outside. A RAM disk answers at
 * once, and swap-in has another path for such devices.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent.h"

#define CONFIGFS	"/sys/kernel/config"
#define NULLB		CONFIGFS "/nullb"

static int set(unsigned int index, const char *name, const char *value)
{
	char path[96];

	snprintf(path, sizeof(path), NULLB "/nullb%u/%s", index, name);
	return write_text(path, value) ? 0 : -errno;
}

/* Puts the path of a new device of @mib MiB, the one with number @index, into @path. */
bool null_make(unsigned int index, u64 mib, char *path, size_t size)
{
	char folder[64], mebibytes[24];
	const char *const settings[][2] = {
		{ "size", mebibytes },
		{ "blocksize", "4096" },
		{ "memory_backed", "1" },
		{ "irqmode", "2" },		/* A timer, */
		{ "completion_nsec", "100000" },	/* about as fast as flash. */
		{ "power", "1" },
	};
	int error = 0;
	size_t i;

	if (!index)
		mount_one("configfs", CONFIGFS);
	snprintf(mebibytes, sizeof(mebibytes), "%llu", mib);
	/* In this order, by which older kernels number them, names and numbers agree. */
	snprintf(folder, sizeof(folder), NULLB "/nullb%u", index);
	snprintf(path, size, "/dev/nullb%u", index);
	if (mkdir(folder, 0755))
		error = -errno;
	for (i = 0; !error && i < ARRAY_SIZE(settings); i++)
		error = set(index, settings[i][0], settings[i][1]);
	if (error)
		warn_path("swap-device", path, NULL, -error);
	return !error;
}
