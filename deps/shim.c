/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shim.c - what a libmnl.a that was compiled against glibc wants and musl has not: the checked
 * fprintf of _FORTIFY_SOURCE, in mnl_nlmsg_fprintf() alone.  Linked only with that prebuilt
 * library.
 */
#include <stdarg.h>
#include <stdio.h>

int __fprintf_chk(FILE *f, int flag, const char *fmt, ...);

int __fprintf_chk(FILE *f, int flag, const char *fmt, ...)
{
	va_list ap;
	int n;

	(void)flag;
	va_start(ap, fmt);
	n = vfprintf(f, fmt, ap);
	va_end(ap);
	return n;
}
