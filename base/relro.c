/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relro.c - what a dynamic loader does for the programs it starts, done for a static one.
 */
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "base/relro.h"

extern ElfW(Dyn) _DYNAMIC[]; /* the linker's; musl's <link.h> does not declare it */

void relro_apply(void)
{
	const ElfW(Phdr) *headers = (const ElfW(Phdr) *)getauxval(AT_PHDR);
	size_t n = getauxval(AT_PHNUM);
	uintptr_t page = getauxval(AT_PAGESZ), base = 0;

	/* where the kernel put the program, against where it was linked for */
	for (size_t i = 0; i < n; i++)
		if (headers[i].p_type == PT_DYNAMIC)
			base = (uintptr_t)_DYNAMIC - headers[i].p_vaddr;
	for (size_t i = 0; i < n; i++) {
		uintptr_t start, end;

		if (headers[i].p_type != PT_GNU_RELRO)
			continue;
		/* the linker aligns the end of the segment; whole pages only */
		start = (base + headers[i].p_vaddr) & -page;
		end = (base + headers[i].p_vaddr + headers[i].p_memsz) & -page;
		if (end > start && mprotect((void *)start, end - start, PROT_READ) < 0)
			abort();
	}
}
