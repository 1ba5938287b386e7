// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * The agent as a program on a machine that is not its own: what it asks of that
 * machine, where its words come from, and how it is told to stop.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent.h"

bool visiting;

/* The words of the command line and of the files that it names, as one text; false and errno. */
bool visit_words(int argc, char **argv, char *words, size_t size)
{
	size_t used = 0;
	int i;

	words[0] = '\0';
	for (i = 1; i < argc; i++) {
		int got;

		if (strncmp(argv[i], "swapstorm.", strlen("swapstorm.")))
			got = read_text(argv[i], words + used, size - used);
		else
			got = snprintf(words + used, size - used, "%s", argv[i]);
		if (got < 0) {
			dprintf(STDERR_FILENO, "swapstorm-agent: %s: %s\n", argv[i],
				strerror(errno));
			return false;
		}
		used += got;
		if (used + 2 > size) {
			dprintf(STDERR_FILENO, "swapstorm-agent: the words are too long\n");
			return false;
		}
		words[used++] = '\n';
		words[used] = '\0';
	}
	return true;
}

static bool is_mount_point(const char *path)
{
	char parent[96];
	struct stat here, above;

	snprintf(parent, sizeof(parent), "%s/..", path);
	return !stat(path, &here) && !stat(parent, &above) && here.st_dev != above.st_dev;
}

static void mount_if_free(const char *type, const char *path)
{
	if (is_mount_point(path) || !restore_later(undo_mount, path, ""))
		return;
	if (mount(type, path, type, 0, NULL)) {
		warn_path("mount", path, NULL, errno);
		restore_forget();
	}
}

/* Text after the first line of /proc/swaps is a device that is on. */
static bool has_swap(void)
{
	char text[4096];
	char *line;

	if (read_text("/proc/swaps", text, sizeof(text)) < 0)
		return errno != ENOENT;		/* Without the file the kernel has no swap. */
	line = strchr(text, '\n');
	return line && line[1];
}

/* Somebody uses it, or has configured it when the machine was started. */
static bool has_zswap(void)
{
	char text[8192];

	if (read_text("/sys/module/zswap/parameters/enabled", text, sizeof(text)) > 0 &&
	    text[0] == 'Y')
		return true;
	return read_text("/proc/cmdline", text, sizeof(text)) > 0 && strstr(text, "zswap.");
}

static const char *refusal(const struct params *params)
{
	struct statfs fs;

	if (params->storm != TOGGLE_ON)
		return NULL;
	if (has_swap() && params->beside_swap != TOGGLE_ON)
		return "existing-swap";
	if (has_zswap() && params->retune_zswap != TOGGLE_ON)
		return "existing-zswap";
	if (params->hotplug == TOGGLE_ON && params->switch_cpus != TOGGLE_ON)
		return "cpus-in-use";
	mount_if_free("cgroup2", CGROUP_ROOT);
	if (statfs(CGROUP_ROOT, &fs) || fs.f_type != CGROUP2_SUPER_MAGIC)
		return "no-cgroup2";
	return NULL;
}

/* NULL, or why nothing was done here: a reason of `done`. */
const char *visit_begin(const struct params *params)
{
	const char *why = refusal(params);
	char level[32];

	if (why)
		return why;
	mount_if_free("debugfs", "/sys/kernel/debug");
	change_setting("/proc/sys/kernel/printk_devkmsg", "on");
	/* Notices, which our lines are, must reach a console; the first number decides. */
	if (read_text("/proc/sys/kernel/printk", level, sizeof(level)) > 0 && level[0] < '6' &&
	    level[1] < '0')
		change_setting("/proc/sys/kernel/printk", "6");
	return NULL;
}

/* Reads what there is on stdin; what it says, or that nobody is there any more. */
enum said visit_listen(void)
{
	char bytes[256];
	ssize_t got = read(STDIN_FILENO, bytes, sizeof(bytes));

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return SAID_NOTHING;
	if (got <= 0)
		return SAID_GONE;
	return heard_stop(bytes, got, NULL) ? SAID_STOP : SAID_NOTHING;
}
