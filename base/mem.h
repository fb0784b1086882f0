/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem.h - memory that is always there, and variables that clean up after themselves.
 *
 * The x functions never return NULL: they abort with one static line, which is honest only because
 * everything whose size an outsider chooses has a named limit that is checked before.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
/* Calls a MUST_USE function whose failure does not matter here: a cast to void does not silence
 * gcc. */
#define IGNORE(call)                                                                               \
	do {                                                                                       \
		if (call) {                                                                        \
		}                                                                                  \
	} while (0)
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* All abort when memory runs out; the result is owned (free with free()). */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *p, size_t size); /* p is taken */
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t len);
char *xasprintf(const char *fmt, ...) PRINTF(1, 2);

/*
 * Grows a heap array to hold at least `want` elements of `size` bytes, at least doubling it;
 * *cap is updated.  Returns the array (p is taken).
 */
void *xgrow(void *p, size_t *cap, size_t want, size_t size);

void mem_cleanup_free(void *pp); /* for AUTO_FREE */
void mem_cleanup_fd(int *fd);    /* for AUTO_FD */

/* Freed or closed when the variable leaves its scope.  Initialise at the declaration. */
#define AUTO_FREE __attribute__((cleanup(mem_cleanup_free)))
#define AUTO_FD __attribute__((cleanup(mem_cleanup_fd)))

/* Hands over what *fd holds; the variable holds nothing (-1) afterwards. */
int take_fd(int *fd);

/* Hands over what the pointer variable holds; it is NULL afterwards. */
#define take_ptr(pp)                                                                               \
	(__extension__({                                                                           \
		__typeof__(*(pp)) taken_ = *(pp);                                                  \
		*(pp) = NULL;                                                                      \
		taken_;                                                                            \
	}))

#endif
