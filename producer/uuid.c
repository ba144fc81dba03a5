/*
 * uuid.c - identifiers in the form that other programs expect
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#include "uuid.h"

/* Is there a hyphen at this position of the text? */
static bool
hyphen_at(int i)
{
	return i == 8 || i == 13 || i == 18 || i == 23;
}

void
fm_uuid_format(uint64_t high, uint64_t low, char *to)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t	half[2];
	int			nibble = 0;

	half[0] = (high & ~UINT64_C(0xf000)) | UINT64_C(0x4000);
	half[1] = (low & ~(UINT64_C(3) << 62)) | UINT64_C(1) << 63;
	for (int i = 0; i < FM_UUID_LEN; i++)
	{
		if (hyphen_at(i))
			to[i] = '-';
		else
		{
			to[i] = digits[half[nibble / 16] >> (60 - nibble % 16 * 4) & 15];
			nibble++;
		}
	}
}

bool
fm_uuid_is(const char *s)
{
	for (int i = 0; i < FM_UUID_LEN; i++)
	{
		bool		digit = (s[i] >= '0' && s[i] <= '9') ||
			(s[i] >= 'a' && s[i] <= 'f') || (s[i] >= 'A' && s[i] <= 'F');

		if (hyphen_at(i) ? s[i] != '-' : !digit)
			return false;
	}
	return true;
}
