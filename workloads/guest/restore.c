// SPDX-License-Identifier: MIT OR Apache-2.0
/* What the agent changes on a machine that is not its own, and how that is undone. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"

#define MAX_CHANGES	80
#define SWAPOFF_US	60000000
#define BUSY_TRIES	500
#define BUSY_US		10000

struct change {
	undo_call undo;
	char what[96];		/* A path. */
	char value[96];		/* What was there before; may be empty. */
};

static struct change changes[MAX_CHANGES];
static unsigned int changes_used;

/* To be called before the change: one that cannot be remembered must not be made. */
bool restore_later(undo_call undo, const char *what, const char *value)
{
	struct change *change = &changes[changes_used];

	if (changes_used == MAX_CHANGES || strlen(what) >= sizeof(change->what) ||
	    strlen(value) >= sizeof(change->value)) {
		errno = E2BIG;
		return false;
	}
	change->undo = undo;
	strcpy(change->what, what);
	strcpy(change->value, value);
	changes_used++;
	return true;
}

/* Takes back the last restore_later(): the change was not made. */
void restore_forget(void)
{
	changes_used--;
}

/* The newest change first. What cannot be undone is said, and keeps nothing else from it. */
struct restored restore_all(void)
{
	struct restored restored = { 0 };

	while (changes_used) {
		struct change *change = &changes[--changes_used];
		int error = change->undo(change->what, change->value);

		if (error) {
			warn_path("restore", change->what, change->value, -error);
			restored.failed++;
		} else {
			restored.changes++;
		}
	}
	return restored;
}

int undo_write(const char *path, const char *value)
{
	return write_text(path, value) ? 0 : -errno;
}

int undo_mkdir(const char *path, const char *value)
{
	int tries;

	(void)value;
	/* A cgroup is busy until the last trace of its last process is gone. */
	for (tries = 0; tries < BUSY_TRIES; tries++) {
		if (!rmdir(path) || errno == ENOENT)
			return 0;
		if (errno != EBUSY)
			break;
		sleep_us(BUSY_US);
	}
	return -errno;
}

int undo_mount(const char *path, const char *value)
{
	(void)value;
	return umount(path) ? -errno : 0;
}

/* By a process of its own: after a bug in the kernel swapoff may never come back. */
int undo_swapon(const char *path, const char *value)
{
	u64 deadline = now_us() + SWAPOFF_US;
	int status = 0;
	int failed;
	pid_t pid = fork();

	(void)value;
	if (pid < 0)
		return -errno;
	if (!pid) {
		do {
			failed = swapoff(path);
		} while (failed && errno == EINTR);
		_exit(failed && errno != EINVAL ? errno : 0);	/* EINVAL: it was not on. */
	}
	while (!waitpid(pid, &status, WNOHANG)) {
		if (now_us() > deadline) {
			kill(pid, SIGKILL);
			return -ETIMEDOUT;
		}
		sleep_us(1000);
	}
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

/* write_setting(), to be undone on a machine that is not ours. */
void change_setting(const char *path, const char *value)
{
	char before[96];

	if (!visiting) {
		write_setting(path, value);
		return;
	}
	if (read_text(path, before, sizeof(before)) < 0 ||
	    !restore_later(undo_write, path, before)) {
		warn_path("write", path, value, errno);
		return;
	}
	if (strcmp(before, value) && write_text(path, value))
		return;
	if (strcmp(before, value))
		warn_path("write", path, value, errno);
	restore_forget();
}
