// SPDX-License-Identifier: MIT OR Apache-2.0
/* One line of telemetry: fields that do not fit are dropped whole, never cut. */
#include <stdio.h>
#include <string.h>

#include "agent.h"

#define TRUNCATED " truncated=1"

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

void line_end(struct line *line)
{
	if (line->full) {
		strcpy(line->text + line->used, TRUNCATED);
		line->used += strlen(TRUNCATED);
	}
}
