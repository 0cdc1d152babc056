/* Any text to the configuration reader. What it takes is written back byte for byte, and a value
 * that was set is the value that is read. */
#include <stdlib.h>

#include "base/ini.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool fact)
{
    if (!fact)
        abort();
}

static void require_text(const struct mu_ini *ini, struct mu_bytes want)
{
    struct mu_buf text;

    mu_buf_init(&text, want.n + 1);
    require(mu_ini_format(ini, &text) && mu_bytes_equal(mu_buf_bytes(&text), want));
    mu_buf_clear(&text);
}

/* The first item's value, given to the last item, must come back or be refused. */
static void change(struct mu_ini *ini)
{
    const struct mu_ini_item *from = mu_ini_at(ini, 0);
    const struct mu_ini_item *to = mu_ini_at(ini, mu_ini_count(ini) - 1);
    char *value = strdup(from->value), *section = strdup(to->section), *name = strdup(to->name);
    char *key = strdup(to->key);
    const struct mu_ini_item *now;
    size_t n = mu_ini_count(ini);

    require(value != NULL && section != NULL && name != NULL && key != NULL);
    if (mu_ini_set(ini, section, name, key, value, NULL) == MU_OK) {
        now = mu_ini_get(ini, section, name, key);
        require(now != NULL && strcmp(now->value, value) == 0 && mu_ini_count(ini) == n);
    }
    require(mu_ini_set(ini, section, name, key, NULL, NULL) != MU_OK
        || mu_ini_get(ini, section, name, key) == NULL);
    free(value);
    free(section);
    free(name);
    free(key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mu_bytes text = mu_bytes(data, size);
    int style;

    for (style = MU_INI_SECTIONS; style <= MU_INI_BARE; style++) {
        struct mu_ini *ini = NULL;

        if (mu_ini_parse(text, "fuzz", (enum mu_ini_style)style, &ini, NULL) != MU_OK)
            continue;
        require_text(ini, text);
        if (mu_ini_count(ini) != 0)
            change(ini);
        mu_ini_free(ini);
    }
    return 0;
}
