/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relro.h - makes the relocated read-only data read-only.
 */
#ifndef BASE_RELRO_H
#define BASE_RELRO_H

/*
 * First thing in main(): musl 1.2.3 never protects PT_GNU_RELRO in static programs, so "-z relro"
 * alone is decoration.  Aborts when the kernel refuses.
 */
void relro_apply(void);

#endif
