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

static int protect(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t page = (uintptr_t)getauxval(AT_PAGESZ);

	(void)size;
	(void)arg;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t start, end;

		if (p->p_type != PT_GNU_RELRO)
			continue;
		/* the linker aligns the end of the segment; whole pages only */
		start = (info->dlpi_addr + p->p_vaddr) & -page;
		end = (info->dlpi_addr + p->p_vaddr + p->p_memsz) & -page;
		if (end > start && mprotect((void *)start, end - start, PROT_READ) < 0)
			abort();
	}
	return 0;
}

void relro_apply(void)
{
	dl_iterate_phdr(protect, NULL);
}
