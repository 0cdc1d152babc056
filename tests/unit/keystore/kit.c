/* What the keystore's tests share. */
#include "kit.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "pki/pki_name.h"

int kit_setup(void **state)
{
    struct kit *kit = calloc(1, sizeof(*kit));

    assert_non_null(kit);
    snprintf(kit->root, sizeof(kit->root), "%s/muster-keystore-XXXXXX", P_tmpdir);
    assert_non_null(mkdtemp(kit->root));
    assert_int_equal(mu_keystore_open(kit->root, true, &kit->store, NULL), MU_OK);
    *state = kit;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

int kit_teardown(void **state)
{
    struct kit *kit = *state;

    mu_keystore_free(kit->store);
    nftw(kit->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(kit);
    return 0;
}

void kit_reopen(struct kit *kit)
{
    mu_keystore_free(kit->store);
    kit->store = NULL;
    assert_int_equal(mu_keystore_open(kit->root, false, &kit->store, NULL), MU_OK);
}

void kit_pair_make(struct kit_pair *pair, const char *cn, uint8_t serial)
{
    const struct mu_pki_key_spec spec = {MU_PKI_KEY_EC, 256};
    struct mu_buf name = {0}, der = {0};
    struct mu_pki_name_part part = {"CN", cn};
    struct mu_pki_tbs tbs = {.not_before_s = 1700000000, .not_after_s = 1800000000};

    *pair = (struct kit_pair){.key_pem = {.secret = true}};
    assert_int_equal(mu_pki_key_generate(&spec, &pair->key, NULL), MU_OK);
    assert_int_equal(mu_pki_name_build(&part, 1, &name, NULL), MU_OK);
    tbs.serial_magnitude = mu_bytes(&serial, 1);
    tbs.issuer = tbs.subject = mu_buf_bytes(&name);
    tbs.spki = mu_pki_key_spki(pair->key);
    assert_int_equal(mu_pki_cert_make(&tbs, pair->key, MU_PKI_SHA256, &der, NULL), MU_OK);
    assert_int_equal(mu_pki_cert_decode(mu_buf_bytes(&der), &pair->cert, NULL), MU_OK);
    assert_int_equal(mu_keystore_key_text(pair->key, NULL, NULL, &pair->key_pem, NULL), MU_OK);
    mu_buf_clear(&name);
    mu_buf_clear(&der);
}

void kit_pair_clear(struct kit_pair *pair)
{
    mu_pki_key_free(pair->key);
    mu_pki_cert_free(pair->cert);
    mu_buf_clear(&pair->key_pem);
}

void kit_save(struct kit *kit, const char *name, const struct kit_pair *pair,
    const struct mu_pki_certs *chain, struct mu_keystore_saved *saved)
{
    const struct mu_keystore_pair p = {mu_buf_bytes(&pair->key_pem), pair->cert, chain};
    struct mu_keystore_saved own;
    struct mu_err err = {0};

    if (mu_keystore_save(kit->store, name, &p, saved != NULL ? saved : &own, &err) != MU_OK)
        fail_msg("%s", err.what);
}

static void path_of(const struct kit *kit, const char *path, char out[512])
{
    snprintf(out, 512, "%s/%s", kit->root, path);
}

void kit_file(const struct kit *kit, const char *path, struct mu_buf *out)
{
    char whole[512];
    struct mu_err err = {0};

    path_of(kit, path, whole);
    if (mu_keystore_file_read(whole, MU_KEYSTORE_PUBLIC, out, &err) != MU_OK)
        fail_msg("%s", err.what);
}

bool kit_has(const struct kit *kit, const char *path)
{
    char whole[512];

    path_of(kit, path, whole);
    return access(whole, F_OK) == 0;
}

unsigned kit_mode(const struct kit *kit, const char *path)
{
    char whole[512];
    struct stat st;

    path_of(kit, path, whole);
    assert_int_equal(stat(whole, &st), 0);
    return st.st_mode & 07777;
}

static const char *counted_prefix;
static unsigned counted;

static int count_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    if (strncmp(path + ftw->base, counted_prefix, strlen(counted_prefix)) == 0)
        counted++;
    return 0;
}

unsigned kit_count(const struct kit *kit, const char *prefix)
{
    counted_prefix = prefix;
    counted = 0;
    nftw(kit->root, count_one, 16, FTW_PHYS);
    return counted;
}
