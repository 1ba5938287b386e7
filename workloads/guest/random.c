// SPDX-License-Identifier: MIT OR Apache-2.0
/* splitmix64 (Steele, Lea and Flood, 2014): small, fast, and any state is a good one. */
#include "agent.h"

#define GOLDEN_GAMMA 0x9e3779b97f4a7c15ULL

u64 mix(u64 x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

/* Streams of the same seed differ by what they are for, by their index, and by the life. */
void rng_init(struct rng *rng, u64 seed, enum stream stream, u32 index, u32 life)
{
	u64 who = ((u64)stream << 56) ^ ((u64)index << 32) ^ life;

	rng->state = mix(seed + GOLDEN_GAMMA) ^ mix(who + GOLDEN_GAMMA);
}

u64 rng_next(struct rng *rng)
{
	rng->state += GOLDEN_GAMMA;
	return mix(rng->state);
}

/* Both bounds can come out. The bias of the remainder is below 2^-32 for our small spans. */
u64 rng_between(struct rng *rng, u64 low, u64 high)
{
	u64 span = high - low + 1;

	return span ? low + rng_next(rng) % span : rng_next(rng);
}
