// SPDX-License-Identifier: MIT OR Apache-2.0
/* What the kernel says of one task: whether it sleeps, whether it moves, and where it is. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"

#define LOOKS	5
#define LOOK_US	2000
#define STACK_LOOKS	100

static int read_file(pid_t pid, const char *file, char *text, size_t size)
{
	char path[48];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	return read_text(path, text, size);
}

static u64 number_after(const char *text, const char *key)
{
	unsigned long long number = 0;
	const char *at = strstr(text, key);

	if (at)
		sscanf(at + strlen(key), "%llu", &number);
	return number;
}

/* /proc/PID/stat: the name in brackets may hold anything, so all else is counted from its end. */
void task_read_stat(const char *stat, struct task *task)
{
	unsigned long long user = 0, kernel = 0;
	const char *open = strchr(stat, '(');
	const char *close = strrchr(stat, ')');

	task->state = '?';
	task->cpu_ms = 0;
	task->name[0] = '\0';
	if (!open || !close || close < open)
		return;
	snprintf(task->name, sizeof(task->name), "%.*s", (int)(close - open - 1), open + 1);
	sscanf(close + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &task->state,
	       &user, &kernel);
	task->cpu_ms = (user + kernel) * 1000 / sysconf(_SC_CLK_TCK);
}

/* "[<0>] f+0x1/0x2" a line becomes "f+0x1/0x2,..."; a module's name is left out. */
void task_read_stack(const char *text, char *stack, size_t size)
{
	size_t used = 0;

	stack[0] = '\0';
	while (*text) {
		size_t line = strcspn(text, "\n");
		const char *frame = memchr(text, ']', line);
		size_t length = 0;

		if (frame && frame + 2 < text + line) {
			frame += 2;
			length = strcspn(frame, " \n");
		}
		if (used + length + 2 > size)
			return;
		if (length)
			used += sprintf(stack + used, "%s%.*s", used ? "," : "", (int)length,
					frame);
		text += line + (text[line] == '\n');
	}
}

/* False once there is no such task. */
bool task_read(pid_t pid, struct task *task)
{
	char text[4096];

	if (read_file(pid, "stat", text, sizeof(text)) <= 0)
		return false;
	task_read_stat(text, task);
	read_file(pid, "status", text, sizeof(text));
	task->switches = number_after(text, "\nvoluntary_ctxt_switches:") +
			 number_after(text, "\nnonvoluntary_ctxt_switches:");
	return true;
}

/*
 * One that sleeps again and again is seen awake by chance: a few looks decide. Not every
 * kernel has all of these files.
 */
bool task_locate(pid_t pid, struct task *task, struct place *place)
{
	char text[2048];
	unsigned int looks;

	for (looks = 0; looks < LOOKS; looks++) {
		if (!task_read(pid, task))
			return false;
		if (task->state != 'R')
			break;
		sleep_us(LOOK_US);
	}
	if (read_file(pid, "wchan", place->wchan, sizeof(place->wchan)) < 0)
		place->wchan[0] = '\0';
	/*
	 * A task that runs has no stack to be read at that moment; it has one when somebody else has
	 * its processor, which may be soon, since others want to run as well.
	 */
	for (looks = 0; looks < STACK_LOOKS; looks++) {
		if (read_file(pid, "stack", text, sizeof(text)) < 0)
			text[0] = '\0';
		task_read_stack(text, place->stack, sizeof(place->stack));
		if (place->stack[0] || task->state != 'R')
			break;
		sleep_us(LOOK_US);
	}
	return true;
}
