// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Contents of pages. A page says who it is and then carries words that follow
 * from that, some random and some that compress well, in cells of 64 bytes. Every byte is known,
 * so every wrong byte is seen; the identity tells a stale or misplaced page
 * from a damaged one.
 */
#include <string.h>

#include "agent.h"

#define MAGIC		0x6d726f7473707773ULL	/* "swpstorm" */
#define HEADER_WORDS	4
#define CELL_WORDS	8

static u64 pattern_key(const struct pattern *pattern, const struct page_id *id)
{
	struct rng rng;

	rng_init(&rng, pattern->seed, STREAM_PATTERN, id->worker, pattern->life);
	return mix(mix(rng.state + id->page) + id->generation);
}

/* The bytes of the word at @index of the page that @key stands for. */
static u64 pattern_word(const struct pattern *pattern, const struct page_id *id,
			u64 key, size_t index)
{
	const u64 header[HEADER_WORDS] = { MAGIC, id->worker, id->page, id->generation };
	u64 cell = index / CELL_WORDS;

	if (index < HEADER_WORDS)
		return header[index];
	/* 37 and 100 have no common divisor: the compressible cells are spread evenly. */
	if (cell * 37 % 100 < pattern->compressible)
		return (key & 0x0f) + index % CELL_WORDS;
	return mix(key + index);
}

void pattern_fill(const struct pattern *pattern, const struct page_id *id, void *page)
{
	u64 key = pattern_key(pattern, id);
	u64 *words = page;
	size_t i;

	for (i = 0; i < pattern->page_bytes / sizeof(*words); i++)
		words[i] = pattern_word(pattern, id, key, i);
}

static void note_wrong_word(struct mismatch *mismatch, size_t word, u64 expected,
			    u64 got)
{
	const unsigned char *want = (const unsigned char *)&expected;
	const unsigned char *have = (const unsigned char *)&got;
	size_t i;

	for (i = 0; i < sizeof(expected); i++) {
		if (want[i] == have[i])
			continue;
		if (!mismatch->wrong) {
			mismatch->offset = word * sizeof(expected) + i;
			mismatch->expected = want[i];
			mismatch->got = have[i];
		}
		mismatch->wrong++;
	}
}

/* True if every byte is right; @mismatch says what is wrong otherwise. */
bool pattern_check(const struct pattern *pattern, const struct page_id *id, const void *page,
		   struct mismatch *mismatch)
{
	u64 key = pattern_key(pattern, id);
	const u64 *words = page;
	u64 header[HEADER_WORDS] = { 0 };
	size_t i;

	memset(mismatch, 0, sizeof(*mismatch));
	for (i = 0; i < pattern->page_bytes / sizeof(*words); i++) {
		u64 expected = pattern_word(pattern, id, key, i);
		/* Read once: what is compared is what is reported, even if the page changes. */
		u64 got = __atomic_load_n(&words[i], __ATOMIC_RELAXED);

		if (i < HEADER_WORDS)
			header[i] = got;
		if (got != expected)
			note_wrong_word(mismatch, i, expected, got);
	}
	if (!mismatch->wrong)
		return true;

	if (header[0] == MAGIC && (header[1] != id->worker || header[2] != id->page ||
				   header[3] != id->generation)) {
		mismatch->has_saw = true;
		mismatch->saw.worker = header[1];
		mismatch->saw.page = header[2];
		mismatch->saw.generation = header[3];
	}
	return false;
}
