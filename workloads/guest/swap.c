// SPDX-License-Identifier: MIT OR Apache-2.0
/* Swap devices: their headers, and the loop that switches each on and off. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/swap.h>
#include <unistd.h>

#include "agent.h"

/* union swap_header in the kernel's include/linux/swap.h; 1 KiB is left to boot loaders. */
#define HEADER_OFFSET	1024
#define SIGNATURE	"SWAPSPACE2"

static int write_header(int fd, u64 bytes, size_t page_bytes)
{
	u32 header[3] = { 1, bytes / page_bytes - 1, 0 };	/* version, last page, bad pages */
	char *page = calloc(1, page_bytes);
	ssize_t written;

	if (!page)
		return -ENOMEM;
	memcpy(page + HEADER_OFFSET, header, sizeof(header));
	memcpy(page + page_bytes - strlen(SIGNATURE), SIGNATURE, strlen(SIGNATURE));
	written = pwrite(fd, page, page_bytes, 0);
	free(page);
	if (written < 0)
		return -errno;
	return (size_t)written == page_bytes ? 0 : -EIO;
}

/* Of each device what the header overwrites; the rest of it is the storm's. */
static void *first_pages[MAX_DISKS];
static unsigned int first_pages_used;

static int undo_header(const char *path, const char *index)
{
	size_t page_bytes = sysconf(_SC_PAGESIZE);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (pwrite(fd, first_pages[atoi(index)], page_bytes, 0) != (ssize_t)page_bytes ||
	    fsync(fd))
		error = errno ? -errno : -EIO;
	close(fd);
	return error;
}

static bool keep_first_page(const char *path, int fd, size_t page_bytes)
{
	void *page = first_pages_used < MAX_DISKS ? malloc(page_bytes) : NULL;
	char index[16];

	if (!page) {
		errno = ENOMEM;
		return false;
	}
	if (pread(fd, page, page_bytes, 0) != (ssize_t)page_bytes) {
		free(page);
		errno = EIO;
		return false;
	}
	first_pages[first_pages_used] = page;
	snprintf(index, sizeof(index), "%u", first_pages_used++);
	return restore_later(undo_header, path, index);
}

/* The first @kib of it, or all if that is 0. 0, or the negative errno that says why it is of no use. */
static int prepare_one(struct disk *disk, u64 kib)
{
	size_t page_bytes = sysconf(_SC_PAGESIZE);
	unsigned long long bytes = 0;
	int error = 0;
	/* Exclusively where it may be somebody's: one that is mounted is then refused. */
	int fd = open(disk->path, O_RDWR | O_CLOEXEC | (visiting ? O_EXCL : 0));

	if (fd < 0)
		return -errno;
	if (ioctl(fd, BLKGETSIZE64, &bytes))
		error = -errno;
	if (kib && bytes > kib * 1024)
		bytes = kib * 1024;
	if (!error && bytes / page_bytes < 10)	/* swapon refuses fewer. */
		error = -ENOSPC;
	if (!error && visiting && !keep_first_page(disk->path, fd, page_bytes))
		error = -errno;
	if (!error)
		error = write_header(fd, bytes, page_bytes);
	if (!error && fsync(fd))
		error = -errno;
	close(fd);
	disk->bytes = bytes;
	return error;
}

static unsigned int add_disk(const struct params *params, struct disk *disks, unsigned int used,
			     const char *path)
{
	int error;

	if (used == MAX_DISKS) {
		warn_path("swap-device", path, NULL, E2BIG);
		return used;
	}
	snprintf(disks[used].path, sizeof(disks[used].path), "%s", path);
	error = prepare_one(&disks[used], params->swap_kib);
	if (!error && visiting && !restore_later(undo_swapon, path, ""))
		error = -errno;
	if (!error)
		return used + 1;
	warn_path("swap-device", path, NULL, -error);
	return used;
}

/* The disks of a machine that is not ours are left alone unless they are named. */
static unsigned int loops_prepare(const struct params *params, struct disk *disks)
{
	unsigned int used = 0;
	char path[64];
	u64 i;

	for (i = 0; i < params->loops; i++) {
		if (!loop_make(params->loop_mib, path, sizeof(path)))
			break;
		used = add_disk(params, disks, used, path);
	}
	return used;
}

static unsigned int nulls_prepare(const struct params *params, struct disk *disks)
{
	unsigned int used = 0;
	char path[64];
	u64 i;

	for (i = 0; i < params->null_disks; i++) {
		if (!null_make(i, params->null_mib, path, sizeof(path)))
			break;
		used = add_disk(params, disks, used, path);
	}
	return used;
}

/* Returns how many of @disks (room for MAX_DISKS) can be used. */
unsigned int disks_prepare(const struct params *params, struct disk *disks)
{
	char named[sizeof(params->disks)];
	unsigned int used = 0;
	char *rest = NULL;
	char *path;
	char letter;

	strcpy(named, params->disks);
	for (path = strtok_r(named, ",", &rest); path; path = strtok_r(NULL, ",", &rest))
		used = add_disk(params, disks, used, path);
	if (params->disks[0])
		return used;
	if (visiting)
		return loops_prepare(params, disks);
	if (params->null_disks)
		return nulls_prepare(params, disks);

	/* glob() would bring a hundred kilobytes of user names with it. */
	for (letter = 'a'; letter <= 'z'; letter++) {
		char virtio[] = "/dev/vd?";

		virtio[strlen(virtio) - 1] = letter;
		if (!access(virtio, F_OK))
			used = add_disk(params, disks, used, virtio);
	}
	return used;
}

/* The name by which the kernel knows a device: the last part of its path. */
const char *disk_name(const struct disk *disk)
{
	return strrchr(disk->path, '/') + 1;
}

static bool switch_on(const struct disk *disk, struct device *device, int priority)
{
	if (!swapon(disk->path, SWAP_FLAG_PREFER | (priority & SWAP_FLAG_PRIO_MASK))) {
		count(&counters->swapon);
		count(&device->swapon);
		return true;
	}
	count(&device->refused);
	switch (errno) {
	case ENOMEM:
		count(&counters->swapon_enomem);
		return false;
	case EBUSY:
		/* On already: the loop before this one died while it was. */
		count(&counters->swapon_ebusy);
		return true;
	case EINVAL:
		count(&counters->swapon_einval);
		return false;
	default:
		count(&counters->swapon_other);
		return false;
	}
}

void disk_keep_on(const struct disk *disk, unsigned int index, int priority)
{
	if (!switch_on(disk, &counters->devices[index], priority))
		warn_path("swap-device", disk->path, NULL, errno);
}

/* True once the device is off, which EINVAL says too: it was not on. */
static bool switch_off(const struct disk *disk, struct device *device)
{
	if (!swapoff(disk->path)) {
		count(&counters->swapoff);
		count(&device->swapoff);
		return true;
	}
	count(&device->refused);
	switch (errno) {
	case ENOMEM:
		count(&counters->swapoff_enomem);
		return false;
	case EINTR:
		count(&counters->swapoff_eintr);
		return false;
	case EBUSY:
		count(&counters->swapoff_ebusy);
		return false;
	case EINVAL:
		count(&counters->swapoff_einval);
		return true;
	default:
		count(&counters->swapoff_other);
		return false;
	}
}

/* What is under way, for whoever watches: until it is done, however often it was refused. */
static void call_begins(struct device *device, enum call call)
{
	__atomic_store_n(&device->call, call, __ATOMIC_RELAXED);
	__atomic_store_n(&device->tries, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&device->began_us, now_us(), __ATOMIC_RELEASE);
}

static void call_refused(struct device *device)
{
	const u64 retry_us = 1000;

	count(&device->tries);
	sleep_us(retry_us);
}

static void call_ends(struct device *device)
{
	if (counted(&device->call) == CALL_SWAPOFF)
		latency_add(&counters->swapoff_latency, now_us() - counted(&device->began_us));
	__atomic_store_n(&device->began_us, 0, __ATOMIC_RELEASE);
}

void swap_loop(const struct params *params, const struct disk *disk, unsigned int index, u32 life)
{
	struct device *device = &counters->devices[index];
	u32 told = 0, told_since = 0;
	struct rng rng;

	rng_init(&rng, params->seed, STREAM_SWAP, index, life);
	for (;;) {
		int priority = rng_between(&rng, params->priority.low, params->priority.high);
		u64 on_us = rng_between(&rng, params->on_ms.low * 1000, params->on_ms.high * 1000);
		u64 off_us = rng_between(&rng, params->off_ms.low * 1000,
					 params->off_ms.high * 1000);
		u32 since, asked;

		call_begins(device, CALL_SWAPON);
		while (!switch_on(disk, device, priority))
			call_refused(device);
		call_ends(device);
		act_wait(ACTOR_SWAPOFF, told_since, on_us);
		since = act_asked(ACTOR_SWAPOFF);
		call_begins(device, CALL_SWAPOFF);
		while (!switch_off(disk, device))
			call_refused(device);
		call_ends(device);
		/* One that was under way has done something beside whoever asks, too. */
		asked = act_asked(ACTOR_SWAPOFF);
		if (asked != told || since != told_since)
			telemetry_acted(ACTOR_SWAPOFF, asked, since, disk_name(disk), 0);
		told = asked;
		told_since = since;
		sleep_us(off_us);
	}
}
