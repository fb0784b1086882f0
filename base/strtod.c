/* SPDX-License-Identifier: Apache-2.0 */
/*
 * strtod.c - takes the place of libc's strtod(), which reads long doubles and hexadecimal ones too
 * and is 6 KB: this is a tenth.  Callers are the JSON and YAML readers.  Decimal numbers only, and
 * no blanks before them; rounded as IEEE 754 wants it (to nearest, ties to even); errno stays.
 *
 * The number is a fraction of two large integers, of which the bits of the result are taken one by
 * one.
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Not even the middle between two doubles has more; what follows only says "a bit more": as the
 * last bit, which is 0 in a middle, since that ends in noughts at this length. */
#define DIGITS_MAX 780
/* Beyond these powers of ten everything is infinite, or nought. */
#define POWER_MAX 310
#define POWER_MIN (-330)
/* Bits of 10^(DIGITS_MAX - POWER_MIN), and some. */
#define LIMBS ((DIGITS_MAX - POWER_MIN) * 10 / 3 / 32 + 4)

#define MANTISSA_BITS 53
#define EXPONENT_MIN (-1022)
#define EXPONENT_MAX 1023

struct big {
	int n; /* limbs in use, the last of them is not 0 */
	uint32_t limb[LIMBS];
};

static void big_mul_add(struct big *b, uint32_t factor, uint32_t more)
{
	uint64_t carry = more;

	for (int i = 0; i < b->n; i++) {
		carry += (uint64_t)b->limb[i] * factor;
		b->limb[i] = (uint32_t)carry;
		carry >>= 32;
	}
	if (carry)
		b->limb[b->n++] = (uint32_t)carry;
}

static void big_shift(struct big *b, int bits)
{
	for (; bits >= 31; bits -= 31)
		big_mul_add(b, 1U << 31, 0);
	big_mul_add(b, 1U << bits, 0);
}

static int big_bits(const struct big *b)
{
	return b->n * 32 - __builtin_clz(b->limb[b->n - 1]);
}

static int big_compare(const struct big *a, const struct big *b)
{
	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	for (int i = a->n; i-- > 0;)
		if (a->limb[i] != b->limb[i])
			return a->limb[i] < b->limb[i] ? -1 : 1;
	return 0;
}

/* a is not less than b */
static void big_subtract(struct big *a, const struct big *b)
{
	uint32_t borrow = 0;

	for (int i = 0; i < a->n; i++) {
		uint64_t v = (uint64_t)a->limb[i] - (i < b->n ? b->limb[i] : 0) - borrow;

		a->limb[i] = (uint32_t)v;
		borrow = v >> 63;
	}
	while (a->n && !a->limb[a->n - 1])
		a->n--;
}

/* top / bottom, neither of them 0 */
static double divide(struct big *top, struct big *bottom)
{
	int exponent = big_bits(top) - big_bits(bottom);
	int bits = MANTISSA_BITS, order;
	uint64_t result = 0;
	double out;

	big_shift(exponent < 0 ? top : bottom, abs(exponent));
	if (big_compare(top, bottom) < 0) {
		big_shift(top, 1);
		exponent--;
	}
	/* now it is 2^exponent * top / bottom, and that fraction is in [1, 2) */
	if (exponent > EXPONENT_MAX)
		return HUGE_VAL;
	if (exponent < EXPONENT_MIN)
		bits -= EXPONENT_MIN - exponent;
	if (bits < 0)
		return 0;
	for (int i = 0; i < bits; i++) {
		result <<= 1;
		if (big_compare(top, bottom) >= 0) {
			big_subtract(top, bottom);
			result |= 1;
		}
		big_shift(top, 1);
	}
	order = big_compare(top, bottom);
	/* the mantissa's highest bit adds one to the exponent; rounding may do so again */
	if (exponent >= EXPONENT_MIN)
		result += (uint64_t)(exponent - EXPONENT_MIN) << (MANTISSA_BITS - 1);
	result += order > 0 || (order == 0 && result & 1);
	memcpy(&out, &result, sizeof(out));
	return out;
}

/* Digits of one side of the point, into *b; *places gets what they say of the power of ten. */
static const char *digits(const char *s, struct big *b, int *count, int *power, bool fraction)
{
	for (; *s >= '0' && *s <= '9'; s++) {
		if (*count > DIGITS_MAX) {
			b->limb[0] |= *s != '0';
			*power += !fraction;
			continue;
		}
		big_mul_add(b, 10, (uint32_t)(*s - '0'));
		*count += b->n > 0;
		*power -= fraction;
	}
	return s;
}

/* "e-12", or nothing */
static const char *read_exponent(const char *s, int *power)
{
	const char *p = s;
	bool negative;
	int v = 0;

	if (*p != 'e' && *p != 'E')
		return s;
	negative = *++p == '-';
	p += *p == '-' || *p == '+';
	if (*p < '0' || *p > '9')
		return s;
	for (; *p >= '0' && *p <= '9'; p++)
		if (v < INT32_MAX / 20)
			v = v * 10 + (*p - '0');
	*power += negative ? -v : v;
	return p;
}

double strtod(const char *restrict s, char **restrict end)
{
	struct big top, bottom;
	const char *p = s, *from;
	int count = 0, power = 0;
	double out;

	top.n = 0;
	bottom.n = 1;
	bottom.limb[0] = 1;
	p += *p == '-' || *p == '+';
	from = p;
	p = digits(p, &top, &count, &power, false);
	if (*p == '.') {
		p = digits(p + 1, &top, &count, &power, true);
		if (p == from + 1)
			p = from;
	}
	if (end)
		*end = (char *)(uintptr_t)s;
	if (p == from)
		return 0;
	p = read_exponent(p, &power);
	if (end)
		*end = (char *)(uintptr_t)p;
	if (!count || count + power < POWER_MIN)
		out = 0;
	else if (count + power > POWER_MAX)
		out = HUGE_VAL;
	else {
		for (; power > 0; power--)
			big_mul_add(&top, 10, 0);
		for (; power < 0; power++)
			big_mul_add(&bottom, 10, 0);
		out = divide(&top, &bottom);
	}
	return *s == '-' ? -out : out;
}
