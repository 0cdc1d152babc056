/*
 * What an agent at rest gives back: it works for seconds and waits for weeks. Pages of programs and libraries
 * that nobody writes to are let go; whoever needs one again finds it in the page cache, without a disk.
 */
#include "cmd/musterd/daemon_rest.h"

#include <elf.h>
#include <link.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Code that the linker has written to is not the file's any more. */
static bool is_patched(const struct dl_phdr_info *info)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        const ElfW(Dyn) *dyn = (const void *)(info->dlpi_addr + part->p_vaddr); /* NOLINT: an address by the ABI */

        if (part->p_type != PT_DYNAMIC)
            continue;
        for (; dyn->d_tag != DT_NULL; dyn++)
            if (dyn->d_tag == DT_TEXTREL || (dyn->d_tag == DT_FLAGS && (dyn->d_un.d_val & DF_TEXTREL) != 0))
                return true;
    }
    return false;
}

static int let_go(struct dl_phdr_info *info, size_t size, void *cookie)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    bool *is_first = cookie, is_program = *is_first;

    *is_first = false;
    /* the kernel's own object has no file, and no slash in its name */
    if ((!is_program && strchr(info->dlpi_name, '/') == NULL) || is_patched(info))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t from = (info->dlpi_addr + part->p_vaddr) & ~(page - 1);
        uintptr_t to = (info->dlpi_addr + part->p_vaddr + part->p_memsz + page - 1) & ~(page - 1);

        if (part->p_type == PT_LOAD && (part->p_flags & PF_W) == 0)
            (void)madvise((void *)from, to - from, MADV_DONTNEED); /* as good as it goes */
    }
    return 0;
}

void mu_daemon_rest_give_back(void)
{
    bool is_first = true;

    malloc_trim(0);
    dl_iterate_phdr(let_go, &is_first);
}
