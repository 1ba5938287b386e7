// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * How long calls took, as a histogram whose steps grow with the value (as in HdrHistogram):
 * exact below LATENCY_STEPS microseconds, and to one in LATENCY_STEPS above.
 */
#include "agent.h"

static unsigned int bucket(u64 us)
{
	unsigned int octave;
	u64 at;

	if (us < LATENCY_STEPS)
		return us;
	octave = 63 - __builtin_clzll(us / LATENCY_STEPS);
	at = (u64)octave * LATENCY_STEPS + (us >> octave);
	return at < LATENCY_BUCKETS ? at : LATENCY_BUCKETS - 1;
}

/* The least value that falls into a bucket. */
static u64 floor_of(unsigned int bucket)
{
	unsigned int octave = bucket / LATENCY_STEPS;

	if (octave < 2)
		return bucket;
	return (u64)(bucket % LATENCY_STEPS + LATENCY_STEPS) << (octave - 1);
}

void latency_add(struct latency *latency, u64 us)
{
	__atomic_fetch_add(&latency->sum_us, us, __ATOMIC_RELAXED);
	count(&latency->buckets[bucket(us)]);
}

/* What so many of a hundred calls stayed within, rounded down to a step; 0 if there were none. */
u64 latency_percentile(const struct latency *latency, unsigned int percent)
{
	u64 total = 0;
	u64 seen = 0;
	unsigned int i;

	for (i = 0; i < LATENCY_BUCKETS; i++)
		total += counted(&latency->buckets[i]);
	for (i = 0; i < LATENCY_BUCKETS; i++) {
		seen += counted(&latency->buckets[i]);
		if (seen && seen * 100 >= total * percent)
			return floor_of(i);
	}
	return 0;
}
