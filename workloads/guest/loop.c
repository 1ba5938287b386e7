// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Loop devices on files of our own. swapon takes no file on tmpfs, overlayfs or (with
 * copy on write) btrfs; a loop device works on all of them, and every distribution has
 * the module. The files lie in the working directory, have no name, and are written in
 * full: a page that is swapped out must not need memory for a block of its file.
 * Device and file are gone once their last descriptor is closed, even after SIGKILL.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent.h"

#define CONTROL		"/dev/loop-control"
#define MOST_LOOPS	1024
#define REMOVE_TRIES	100

static int fds[MAX_DISKS];
static unsigned int used;

/* The highest loop device that the machine has, or -1. */
static int highest(void)
{
	char path[32];
	int found = -1;
	int i;

	for (i = 0; i < MOST_LOOPS; i++) {
		snprintf(path, sizeof(path), "/sys/block/loop%d", i);
		if (!access(path, F_OK))
			found = i;
	}
	return found;
}

static int make_file(u64 mib)
{
	char name[] = "swap.XXXXXX";
	static char zeroes[1 << 16];
	int fd = mkostemp(name, O_CLOEXEC);
	u64 i;

	if (fd < 0)
		return -1;
	unlink(name);
	for (i = 0; i < (mib << 20) / sizeof(zeroes); i++) {
		if (write(fd, zeroes, sizeof(zeroes)) == (ssize_t)sizeof(zeroes))
			continue;
		close(fd);
		errno = ENOSPC;
		return -1;
	}
	return fd;
}

/* Once all else is undone. The node goes as well if it was made for us. */
static int undo_loop(const char *path, const char *index)
{
	int number = atoi(path + strlen("/dev/loop"));
	bool ours = *index == '+';
	int control, tries;

	ioctl(fds[atoi(index + 1)], LOOP_CLR_FD);
	close(fds[atoi(index + 1)]);
	if (!ours)
		return 0;
	control = open(CONTROL, O_RDWR | O_CLOEXEC);
	/* Whoever watches devices may have it open for a moment. */
	for (tries = 0; tries < REMOVE_TRIES && ioctl(control, LOOP_CTL_REMOVE, number); tries++)
		sleep_us(10000);
	close(control);
	return tries < REMOVE_TRIES ? 0 : -EBUSY;
}

static int attach(int number, int file, bool ours, char *path, size_t size)
{
	struct loop_config config = {
		.fd = file,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO,
	};
	char index[16];
	int fd;

	snprintf(path, size, "/dev/loop%d", number);
	snprintf(index, sizeof(index), "%c%u", ours ? '+' : '-', used);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	fds[used] = fd;
	if (ioctl(fd, LOOP_CONFIGURE, &config) || !restore_later(undo_loop, path, index)) {
		int error = -errno;

		close(fd);
		return error;
	}
	used++;
	return 0;
}

/* Puts the path of a new device of @mib MiB into @path. */
bool loop_make(u64 mib, char *path, size_t size)
{
	int before = highest();
	int file = make_file(mib);
	int control, number;
	int error = 0;

	if (file < 0) {
		warn_path("swap-device", "swap.XXXXXX", NULL, errno);
		return false;
	}
	control = open(CONTROL, O_RDWR | O_CLOEXEC);
	number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
	error = number < 0 ? -errno : attach(number, file, number > before, path, size);
	if (control >= 0)
		close(control);
	close(file);
	if (error)
		warn_path("swap-device", number < 0 ? CONTROL : path, NULL, -error);
	return !error;
}
