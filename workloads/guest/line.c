// SPDX-License-Identifier: MIT OR Apache-2.0
/* One line of telemetry: fields that do not fit are dropped whole, never cut. */
#include <stdio.h>
#include <string.h>

#include "agent.h"

#define TRUNCATED " truncated=1"
/* So many values in a field, which stays well below the longest line. */
#define GROUP	24

static bool is_plain(unsigned char c)
{
	if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
		return true;
	return c && strchr("._:/,@+-", c);
}

void line_start(struct line *line, const char *token, const char *word, u64 ms)
{
	line->full = false;
	line->used = snprintf(line->text, sizeof(line->text), "swapstorm %s %s", token, word);
	line_number(line, "ms", ms);
}

void line_text(struct line *line, const char *key, const char *value)
{
	/* Room for the mark is kept back, so that it always fits. */
	size_t limit = LINE_MAX_BYTES - strlen(TRUNCATED);
	size_t used = line->used;
	size_t need = 1 + strlen(key) + 1;

	if (line->full)
		return;
	if (used + need > limit)
		goto full;
	used += sprintf(line->text + used, " %s=", key);
	for (; *value; value++) {
		unsigned char c = *value;

		if (used + 3 > limit)
			goto full;
		if (is_plain(c))
			line->text[used++] = c;
		else
			used += sprintf(line->text + used, "%%%02X", c);
	}
	line->text[used] = '\0';
	line->used = used;
	return;
full:
	line->text[line->used] = '\0';
	line->full = true;
}

void line_number(struct line *line, const char *key, u64 value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", value);
	line_text(line, key, text);
}

/* Values of one group: nothing stands for 0, and zeroes at the end are left out. */
static void line_group(struct line *line, unsigned int first, const u64 *values, unsigned int count)
{
	char text[GROUP * 21 + 1];
	char key[16];
	size_t length = 0;
	size_t needed = 0;
	unsigned int i;

	for (i = 0; i < count; i++) {
		if (i)
			text[length++] = ',';
		if (values[i]) {
			length += sprintf(text + length, "%llu", values[i]);
			needed = length;
		}
	}
	if (!needed)
		return;
	text[needed] = '\0';
	snprintf(key, sizeof(key), "v%u", first);
	line_text(line, key, text);
}

/* A row of a table, group by group. */
void line_row(struct line *line, const u64 *values, unsigned int count)
{
	unsigned int first;

	for (first = 0; first < count; first += GROUP)
		line_group(line, first, values + first,
			   count - first < GROUP ? count - first : GROUP);
}

void line_end(struct line *line)
{
	if (line->full) {
		strcpy(line->text + line->used, TRUNCATED);
		line->used += strlen(TRUNCATED);
	}
}
