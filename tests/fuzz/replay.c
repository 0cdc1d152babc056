/*
 * Runs a fuzz target over files and folders given by name, without a fuzzer: how script/test runs
 * every corpus as a plain test. Each input is also run cut short at every tenth and with single
 * octets flipped, so that a small corpus still walks the error paths.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long runs;

/* In memory of exactly its size, so that a sanitizer sees one octet too many. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    if (copy == NULL)
        abort();
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    runs++;
}

static void run_variants(uint8_t *data, size_t size)
{
    run(data, size);
    for (size_t i = 0; i < 10; i++)
        run(data, size * i / 10);
    size_t stride = size / 64 + 1;
    for (size_t i = 0; i < size; i += stride) {
        uint8_t was = data[i];
        data[i] = (uint8_t)(was ^ (1U << (i % 8)));
        run(data, size);
        data[i] = was;
    }
}

static void run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc(1 << 20);

    if (f == NULL || data == NULL) {
        perror(path);
        exit(1);
    }
    size_t n = fread(data, 1, 1 << 20, f);
    fclose(f);
    run_variants(data, n);
    free(data);
}

static void run_path(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0) {
        perror(path);
        exit(1);
    }
    if (!S_ISDIR(st.st_mode)) {
        run_file(path);
        return;
    }
    struct dirent **list;
    int n = scandir(path, &list, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char child[4096];
        snprintf(child, sizeof child, "%s/%s", path, list[i]->d_name);
        if (list[i]->d_name[0] != '.')
            run_path(child);
        free(list[i]);
    }
    free(list);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        run_path(argv[i]);
    if (runs == 0) {
        fprintf(stderr, "no input\n");
        return 1;
    }
    printf("%lu inputs\n", runs);
    return 0;
}
