// SPDX-License-Identifier: MIT OR Apache-2.0
/* What any PID 1 needs: mounts, small files, time, the console, the end. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"

#define START_SCRIPT		"/etc/swapstorm/start"
#define START_SCRIPT_US		30000000

void mount_one(const char *type, const char *path)
{
	mkdir(path, 0755);
	if (mount(type, path, type, 0, NULL) && errno != EBUSY)
		warn_path("mount", path, NULL, errno);
}

/* Without these two there is neither a command line to read nor a log to write to. */
void mount_basics(void)
{
	mount_one("proc", "/proc");
	mount_one("devtmpfs", "/dev");
}

void mount_rest(void)
{
	mount_one("sysfs", "/sys");
	mount_one("debugfs", "/sys/kernel/debug");
	mount_one("cgroup2", CGROUP_ROOT);
}

/* Fills @text as far as it goes, without the last newline; -1 and errno on failure. */
int read_text(const char *path, char *text, size_t size)
{
	size_t used = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int error;

	text[0] = '\0';
	if (fd < 0)
		return -1;
	while (used < size - 1) {
		ssize_t got = read(fd, text + used, size - 1 - used);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			error = got < 0 ? errno : 0;
			close(fd);
			errno = error;
			goto out;
		}
		used += got;
	}
	close(fd);
	error = 0;
out:
	if (used && text[used - 1] == '\n')
		used--;
	text[used] = '\0';
	return error ? -1 : (int)used;
}

bool write_text(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int error = 0;

	if (fd < 0)
		return false;
	if (write(fd, value, strlen(value)) < 0)
		error = errno;
	close(fd);
	errno = error;
	return !error;
}

void write_setting(const char *path, const char *value)
{
	if (!write_text(path, value))
		warn_path("write", path, value, errno);
}

/* What an image brings to be run first: it may start servers, and must come to an end. */
void run_start_script(void)
{
	u64 deadline = now_us() + START_SCRIPT_US;
	int status = 0;
	pid_t pid;

	if (access(START_SCRIPT, X_OK))
		return;
	pid = fork();
	if (!pid) {
		execl(START_SCRIPT, START_SCRIPT, NULL);
		_exit(127);
	}
	if (pid < 0) {
		warn_errno("fork", errno);
		return;
	}
	while (!waitpid(pid, &status, WNOHANG)) {
		if (now_us() > deadline) {
			warn_path("script", START_SCRIPT, NULL, ETIMEDOUT);
			return;
		}
		sleep_us(10000);
	}
	if (status)
		warn_path("script", START_SCRIPT, NULL, EIO);
}

u64 now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ULL + now.tv_nsec / 1000;
}

void sleep_us(u64 us)
{
	struct timespec left = {
		.tv_sec = us / 1000000,
		.tv_nsec = us % 1000000 * 1000,
	};

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

/* -1 and errno if nobody can talk to us. Echo would tear the kernel's lines on the console. */
int console_open(void)
{
	int fd = open("/dev/console", O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	struct termios mode;

	if (fd < 0)
		return -1;
	if (!tcgetattr(fd, &mode)) {
		mode.c_lflag &= ~(ECHO | ECHONL);
		mode.c_cflag |= CLOCAL | CREAD;
		tcsetattr(fd, TCSANOW, &mode);
	}
	return fd;
}

/* True once the line "stop" has come in, however it was cut up on its way; @other gets other lines. */
bool heard_stop(const char *bytes, size_t count, void (*other)(const char *line))
{
	static char line[64];
	static size_t used;

	for (; count; bytes++, count--) {
		if (*bytes != '\n' && *bytes != '\r') {
			if (used < sizeof(line) - 1)
				line[used++] = *bytes;
			continue;
		}
		line[used] = '\0';
		used = 0;
		if (!strcmp(line, "stop"))
			return true;
		if (other && line[0])
			other(line);
	}
	return false;
}

bool console_says_stop(int fd, void (*other)(const char *line))
{
	char bytes[64];
	ssize_t got;

	while ((got = read(fd, bytes, sizeof(bytes))) > 0) {
		if (heard_stop(bytes, got, other))
			return true;
	}
	return false;
}

/* A kernel that cannot do what is asked halts by itself; PID 1 must never return. */
void end_machine(enum ending ending)
{
	static const int commands[] = {
		[END_POWEROFF] = RB_POWER_OFF,
		[END_REBOOT] = RB_AUTOBOOT,
		[END_HALT] = RB_HALT_SYSTEM,
	};

	reboot(commands[ending]);
	for (;;)
		pause();
}
