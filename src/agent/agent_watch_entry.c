/* The entries of the watch: the names of store and configuration, and the heaps they stand in. */
#include "agent/agent_watch_internal.h"

#include <stdlib.h>

#include "agent/agent_entry.h"

/* ---- heaps ---- */

static int64_t key_of(const struct mu_watch_heap *heap, const struct mu_watch_entry *entry)
{
    return heap->is_ready ? entry->need_s : entry->at_s;
}

static void place(struct mu_watch_heap *heap, size_t i, struct mu_watch_entry *entry)
{
    heap->v[i] = entry;
    if (heap->is_ready)
        entry->ready_at = (uint32_t)i + 1;
    else
        entry->heap_at = (uint32_t)i + 1;
}

static void sift(struct mu_watch_heap *heap, size_t i, struct mu_watch_entry *entry)
{
    int64_t key = key_of(heap, entry);

    for (; i > 0 && key_of(heap, heap->v[(i - 1) / 2]) > key; i = (i - 1) / 2)
        place(heap, i, heap->v[(i - 1) / 2]);
    for (size_t child; (child = 2 * i + 1) < heap->n; i = child) {
        if (child + 1 < heap->n && key_of(heap, heap->v[child + 1]) < key_of(heap, heap->v[child]))
            child++;
        if (key_of(heap, heap->v[child]) >= key)
            break;
        place(heap, i, heap->v[child]);
    }
    place(heap, i, entry);
}

void mu_agent_watch_heap_take(struct mu_watch_heap *heap, struct mu_watch_entry *entry)
{
    uint32_t *at = heap->is_ready ? &entry->ready_at : &entry->heap_at;
    size_t i = *at;

    if (i == 0)
        return;
    *at = 0;
    heap->n--;
    if (i - 1 < heap->n)
        sift(heap, i - 1, heap->v[heap->n]);
}

/* There is room for all entries: see entries_set. */
void mu_agent_watch_heap_put(struct mu_watch_heap *heap, struct mu_watch_entry *entry)
{
    mu_agent_watch_heap_take(heap, entry);
    heap->n++;
    sift(heap, heap->n - 1, entry);
}

/* ---- entries ---- */

void mu_agent_watch_entry_free(struct mu_watch_entry *entry)
{
    free(entry->name);
    free(entry);
}

struct names {
    char **v;
    size_t n, room;
    bool failed;
};

static void names_add(void *cookie, const char *name)
{
    struct names *names = cookie;

    if (names->n == names->room) {
        size_t room = names->room != 0 ? names->room * 2 : 64;
        void *grown = realloc(names->v, room * sizeof(*names->v));

        if (grown == NULL) {
            names->failed = true;
            return;
        }
        names->v = grown;
        names->room = room;
    }
    if ((names->v[names->n] = strdup(name)) == NULL)
        names->failed = true;
    else
        names->n++;
}

static void names_clear(struct names *names)
{
    for (size_t i = 0; i < names->n; i++)
        free(names->v[i]);
    free(names->v);
}

static enum mu_code names_read(struct mu_agent_watch *watch, struct names *names, struct mu_err *err)
{
    enum mu_code rc = mu_agent_entry_each(&watch->own, names_add, names, err);

    if (rc == MU_OK && names->failed)
        rc = mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "no memory for the list of entries");
    return rc;
}

static struct mu_watch_entry *entry_new(struct mu_agent_watch *watch, char **name)
{
    struct mu_watch_entry *entry = calloc(1, sizeof(*entry));

    if (entry == NULL)
        return NULL;
    entry->name = *name;
    *name = NULL;
    entry->at_s = mu_env_now(watch->own.env);
    entry->event = MU_AGENT_HOOK_RENEWED;
    entry->resume = true;
    return entry;
}

static void entry_drop(struct mu_agent_watch *watch, struct mu_watch_entry *entry)
{
    mu_agent_watch_heap_take(&watch->heap, entry);
    mu_agent_watch_heap_take(&watch->ready, entry);
    if (entry->run != NULL)
        entry->is_gone = true;
    else
        mu_agent_watch_entry_free(entry);
}

static bool heap_room(struct mu_watch_heap *heap, size_t n)
{
    void *grown;

    if (n <= heap->room)
        return true;
    if ((grown = realloc(heap->v, n * sizeof(*heap->v))) == NULL)
        return false;
    heap->v = grown;
    heap->room = n;
    return true;
}

/* Merges the names, both sorted, into the entries that are there. */
static enum mu_code entries_set(
    struct mu_agent_watch *watch, struct names *names, struct mu_err *err)
{
    struct mu_watch_entry **v = calloc(names->n + 1, sizeof(*v));
    size_t old = 0, n = 0;

    if (v == NULL || !heap_room(&watch->heap, names->n + 1)
        || !heap_room(&watch->ready, names->n + 1)) {
        free(v);
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "no memory for the entries");
    }
    for (size_t i = 0; i < names->n; i++) {
        while (old < watch->entry_n && strcmp(watch->entries[old]->name, names->v[i]) < 0)
            entry_drop(watch, watch->entries[old++]);
        if (old < watch->entry_n && strcmp(watch->entries[old]->name, names->v[i]) == 0) {
            v[n++] = watch->entries[old++];
        } else if ((v[n] = entry_new(watch, &names->v[i])) != NULL) {
            mu_agent_watch_heap_put(&watch->heap, v[n++]);
        }
    }
    while (old < watch->entry_n)
        entry_drop(watch, watch->entries[old++]);
    free(watch->entries);
    watch->entries = v;
    watch->entry_n = n;
    return MU_OK;
}

enum mu_code mu_agent_watch_scan(struct mu_agent_watch *watch, struct mu_err *err)
{
    struct names names = {0};
    enum mu_code rc = names_read(watch, &names, err);

    if (rc == MU_OK)
        rc = entries_set(watch, &names, err);
    names_clear(&names);
    watch->scanned_s = mu_env_now(watch->own.env);
    return rc;
}

void mu_agent_watch_rescan(struct mu_agent_watch *watch)
{
    struct mu_err err = {0};

    if (mu_agent_watch_scan(watch, &err) != MU_OK)
        mu_agent_watch_note(watch, NULL, &err);
}

struct mu_watch_entry *mu_agent_watch_find(const struct mu_agent_watch *watch, const char *name)
{
    size_t low = 0, high = watch->entry_n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = strcmp(watch->entries[mid]->name, name);

        if (c == 0)
            return watch->entries[mid];
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

