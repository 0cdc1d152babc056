/* Path validation with our clock: M212, M213, dates, weak links. */
#include <openssl/err.h>
#include <string.h>

#include "kit.h"

struct world {
    struct mu_pki_cert *root, *sub, *leaf, *stranger, *no_ca, *of_no_ca, *sha1_sub, *sha1_leaf,
        *small;
};

static int make_world(void **state)
{
    static struct world w;
    struct mu_pki_key *root_key = kit_key("ec:P-256", 0), *sub_key = kit_key("ec:P-256", 1);
    struct mu_pki_key *leaf_key = kit_key("ec:P-256", 2), *rsa = kit_key("rsa:2048", 0);
    w.root = kit_cert(&(struct kit_cert){.subject = "/CN=root", .key = root_key, .is_ca = true});
    w.sub = kit_cert(&(struct kit_cert){.subject = "/CN=sub", .issuer = "/CN=root", .serial = "2",
        .key = sub_key, .issuer_key = root_key, .is_ca = true});
    w.leaf = kit_cert(&(struct kit_cert){.subject = "/CN=leaf", .issuer = "/CN=sub", .serial = "3",
        .key = leaf_key, .issuer_key = sub_key, .not_before_s = KIT_NOW - 86400,
        .not_after_s = KIT_NOW + 86400});
    w.stranger = kit_cert(&(struct kit_cert){.subject = "/CN=stranger", .key = rsa, .is_ca = true});
    w.no_ca = kit_cert(&(struct kit_cert){.subject = "/CN=noca",
        .issuer = "/CN=root",
        .serial = "4",
        .key = sub_key,
        .issuer_key = root_key});
    w.of_no_ca = kit_cert(&(struct kit_cert){.subject = "/CN=child", .issuer = "/CN=noca",
        .serial = "5", .key = leaf_key, .issuer_key = sub_key});
    w.sha1_sub = kit_cert(&(struct kit_cert){.subject = "/CN=oldsub", .issuer = "/CN=stranger",
        .serial = "6", .key = sub_key, .issuer_key = rsa, .is_ca = true, .digest = MU_PKI_SHA1});
    w.sha1_leaf = kit_cert(&(struct kit_cert){.subject = "/CN=oldleaf", .issuer = "/CN=oldsub",
        .serial = "7", .key = leaf_key, .issuer_key = sub_key});
    w.small = kit_cert(&(struct kit_cert){.subject = "/CN=small",
        .issuer = "/CN=root",
        .serial = "8",
        .key = kit_key("rsa:1024", 0),
        .issuer_key = root_key});
    *state = &w;
    return 0;
}

static int forget_world(void **state)
{
    struct world *w = *state;
    struct mu_pki_cert *all[] = {w->root, w->sub, w->leaf, w->stranger, w->no_ca, w->of_no_ca,
        w->sha1_sub, w->sha1_leaf, w->small};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        mu_pki_cert_free(all[i]);
    return 0;
}

static enum mu_code check(struct mu_pki_cert *leaf, struct mu_pki_cert *middle,
    struct mu_pki_cert *anchor, const struct mu_pki_path_opts *opts, struct mu_err *err)
{
    struct mu_pki_cert *a[] = {middle}, *b[] = {anchor};
    const struct mu_pki_certs intermediates = {a, middle ? 1 : 0}, anchors = {b, anchor ? 1 : 0};
    enum mu_code rc = mu_pki_path_check(leaf, &intermediates, &anchors, opts, err);
    assert_int_equal(ERR_peek_error(), 0);
    return rc;
}

static void paths_are_judged(void **state)
{
    struct world *w = *state;
    const struct mu_pki_path_opts now = {.now_s = KIT_NOW},
                                  partial = {.now_s = KIT_NOW, .partial = true},
                                  legacy = {.now_s = KIT_NOW, .allow_legacy = true},
                                  later = {.now_s = KIT_NOW + 2 * 86400},
                                  early = {.now_s = KIT_NOW - 2 * 86400},
                                  any = {.now_s = KIT_NOW + 2 * 86400, .any_time = true};
    const struct {
        struct mu_pki_cert *leaf, *middle, *anchor;
        const struct mu_pki_path_opts *opts;
        enum mu_code code;
        int reason;
        const char *says;
    } rows[] = {
        {w->leaf, w->sub, w->root, &now, MU_OK, 0, ""},
        {w->root, NULL, w->root, &now, MU_OK, 0, ""},
        {w->leaf, w->sub, NULL, &now, MU_AUTH, 212,
            "\"CN = root\" of the intermediate CA \"CN = sub\""},
        {w->leaf, NULL, w->sub, &now, MU_AUTH, 212, "CN = root"}, /* an anchor, but not a root */
        {w->leaf, NULL, w->sub, &partial, MU_OK, 0, ""},
        {w->leaf, NULL, w->root, &now, MU_AUTH, 213, "its issuer is \"CN = sub\""},
        {w->leaf, NULL, w->stranger, &now, MU_AUTH, 213, "does not verify with the CA you named"},
        {w->leaf, w->sub, w->stranger, &now, MU_AUTH, 212, "CN = root"},
        {w->stranger, NULL, w->root, &now, MU_AUTH, 213, "CN = stranger"},
        {w->of_no_ca, w->no_ca, w->root, &now, MU_AUTH, 213, "CN = noca"},
        {w->leaf, w->sub, w->root, &later, MU_AUTH, 213, "expired on 2025-11-21 17:33:20 UTC"},
        {w->leaf, w->sub, w->root, &early, MU_AUTH, 802,
            "not valid before 2025-11-19 17:33:20 UTC"},
        {w->leaf, w->sub, w->root, &any, MU_OK, 0, ""},
        {w->sha1_leaf, w->sha1_sub, w->stranger, &now, MU_AUTH, 705, "weak or legacy"},
        {w->sha1_leaf, w->sha1_sub, w->stranger, &legacy, MU_OK, 0, ""},
        {w->small, NULL, w->root, &now, MU_AUTH, 705, "weak or legacy"},
        {w->small, NULL, w->root, &legacy, MU_OK, 0, ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mu_err err = {0};
        enum mu_code rc = check(rows[i].leaf, rows[i].middle, rows[i].anchor, rows[i].opts, &err);
        if (rc != rows[i].code || (int)err.reason != rows[i].reason
            || !strstr(err.what, rows[i].says))
            fail_msg("row %zu gives %d M%d: %s", i, (int)rc, (int)err.reason, err.what);
    }
}

/* What comes among the intermediates besides: the leaf, the anchors, copies. None of it makes a path
 * that was not there, nor hides one. */
static void certificates_may_come_twice(void **state)
{
    struct world *w = *state;
    const struct mu_pki_path_opts now = {.now_s = KIT_NOW},
                                  partial = {.now_s = KIT_NOW, .partial = true};
    struct mu_pki_cert *root_again = NULL;
    kit_ok(mu_pki_cert_decode(w->root->der, &root_again, kit_err_));
    struct mu_pki_cert *all[] = {w->leaf, root_again, w->sub, w->sub, w->stranger};
    struct mu_pki_cert *root[] = {w->root}, *sub[] = {w->sub, w->sub}, *own[] = {w->leaf};
    const struct mu_pki_certs pool = {all, 5}, no_root = {all, 1}, by_root = {root, 1},
                              by_sub = {sub, 2}, by_leaf = {own, 1};
    kit_ok(mu_pki_path_check(w->leaf, &pool, &by_root, &now, kit_err_));
    kit_ok(mu_pki_path_check(root_again, &pool, &by_root, &now, kit_err_));
    kit_ok(mu_pki_path_check(w->leaf, &pool, &by_sub, &partial, kit_err_));
    kit_ok(mu_pki_path_check(w->leaf, &pool, &by_leaf, &partial, kit_err_));
    assert_int_equal(mu_pki_path_check(w->leaf, &pool, &by_sub, &now, kit_err()), MU_AUTH);
    assert_int_equal(mu_pki_path_check(w->leaf, &pool, &by_leaf, &now, kit_err()), MU_AUTH);
    assert_int_equal(mu_pki_path_check(w->leaf, &no_root, &by_root, &now, kit_err()), MU_AUTH);
    assert_int_equal(mu_pki_path_check(w->stranger, &pool, &by_root, &now, kit_err()), MU_AUTH);
    mu_pki_cert_free(root_again);
}

static void nothing_given_is_no_crash(void **state)
{
    struct world *w = *state;
    const struct mu_pki_path_opts now = {.now_s = KIT_NOW};
    assert_int_equal(mu_pki_path_check(w->leaf, NULL, NULL, &now, NULL), MU_AUTH);
}

/* SCEP-78: an old and a new root of one name, both trusted, with nothing but the key between them. */
static void a_successor_of_the_same_name_does_not_confuse(void **state)
{
    struct mu_pki_key *old_key = kit_key("ec:P-256", 0), *new_key = kit_key("ec:P-256", 1);
    struct mu_pki_cert *roots[2], *leaves[2], *swap;
    const struct mu_pki_certs both = {roots, 2}, none = {0}, first = {roots, 1};
    const struct mu_pki_path_opts opts = {.now_s = KIT_NOW};
    struct mu_err err = {0};
    roots[0] = kit_cert(&(struct kit_cert){.subject = "/CN=ca", .key = old_key, .is_ca = true});
    roots[1] = kit_cert(&(struct kit_cert){.subject = "/CN=ca", .serial = "2", .key = new_key,
        .is_ca = true, .not_before_s = KIT_NOW - 86400, .not_after_s = KIT_NOW + 86400 * 9999LL});
    for (size_t i = 0; i < 2; i++)
        leaves[i] = kit_cert(&(struct kit_cert){.subject = "/CN=leaf", .issuer = "/CN=ca",
            .serial = "3", .key = kit_key("ec:P-256", 2), .issuer_key = i ? new_key : old_key});
    for (size_t turn = 0; turn < 2; turn++) {
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(mu_pki_path_check(leaves[i], &none, &both, &opts, &err), MU_OK);
            assert_int_equal(mu_pki_path_check(leaves[i], &both, &both, &opts, &err), MU_OK);
            assert_int_equal(mu_pki_path_check(roots[i], &both, &both, &opts, &err), MU_OK);
        }
        /* Trust in one is none in the other. */
        assert_int_equal(mu_pki_path_check(leaves[1 - turn], &both, &first, &opts, &err), MU_AUTH);
        assert_int_equal(mu_pki_path_check(roots[1], &both, &first, &opts, &err), MU_AUTH);
        swap = roots[0];
        roots[0] = roots[1];
        roots[1] = swap;
    }
    for (size_t i = 0; i < 2; i++) {
        mu_pki_cert_free(roots[i]);
        mu_pki_cert_free(leaves[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_judged),
        cmocka_unit_test(certificates_may_come_twice),
        cmocka_unit_test(a_successor_of_the_same_name_does_not_confuse),
        cmocka_unit_test(nothing_given_is_no_crash),
    };
    return cmocka_run_group_tests(tests, make_world, forget_world);
}
