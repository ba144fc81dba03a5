/*
 * rng.h - reproducible random numbers
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * splitmix64: one word of state, so every sensor has a stream of its own and
 * what one sensor does never depends on how many others there are.  Integer
 * arithmetic throughout: the same seed gives the same numbers everywhere.
 */
#ifndef FM_RNG_H
#define FM_RNG_H

#include <stdbool.h>
#include <stdint.h>

typedef struct FmRng
{
	uint64_t	state;
} FmRng;

static inline uint64_t
fm_rng_next(FmRng *rng)
{
	uint64_t	z = (rng->state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* A stream for the index-th of the things that share a seed. */
static inline FmRng
fm_rng_make(uint64_t seed, uint64_t index)
{
	FmRng		rng = {seed};

	rng.state = fm_rng_next(&rng) ^ (index * UINT64_C(0xd1342543de82ef95));
	fm_rng_next(&rng);
	return rng;
}

/* Uniform in [0, 1). */
static inline double
fm_rng_unit(FmRng *rng)
{
	return (double) (fm_rng_next(rng) >> 11) * 0x1.0p-53;
}

static inline double
fm_rng_range(FmRng *rng, double lo, double hi)
{
	return lo + (hi - lo) * fm_rng_unit(rng);
}

/* Uniform in 0 .. n - 1; the bias is below n / 2^32. */
static inline uint32_t
fm_rng_below(FmRng *rng, uint32_t n)
{
	return (uint32_t) (((fm_rng_next(rng) >> 32) * n) >> 32);
}

static inline bool
fm_rng_chance(FmRng *rng, double share)
{
	return share > 0 && fm_rng_unit(rng) < share;
}

/*
 * Close to the normal distribution, mean 0 and variance 1, never beyond
 * 3.47: the sum of four uniform numbers.
 */
static inline double
fm_rng_gauss(FmRng *rng)
{
	uint64_t	r = fm_rng_next(rng);
	double		sum = (double) ((r & 0xffff) + ((r >> 16) & 0xffff) +
								((r >> 32) & 0xffff) + (r >> 48));

	return (sum / 65536.0 - 2.0 + 2.0 / 65536.0) * 1.7320508075688772;
}

#endif							/* FM_RNG_H */
