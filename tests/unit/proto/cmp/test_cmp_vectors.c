/* Messages of openssl cmp and its server (tests/vectors/openssl-cmp): each is read, and what was
 * read is written as the same octets (CMP-01..CMP-18, CMP-40..CMP-45, CMP-48..CMP-62, CMP-69..CMP-76). */
#include "kit.h"

#include <dirent.h>

struct row {
    const char *file;
    enum mu_cmp_type type;
    int pki_status; /* -1: has none */
    int fail;       /* -1: none */
};

static const struct row rows[] = {
    {"ir-1.req", MU_CMP_IR, -1, -1}, {"ir-1.rsp", MU_CMP_IP, 0, -1},
    {"ir-2.req", MU_CMP_CERT_CONF, -1, -1}, {"ir-2.rsp", MU_CMP_PKICONF, -1, -1},
    {"cr-1.req", MU_CMP_CR, -1, -1}, {"cr-1.rsp", MU_CMP_CP, 0, -1},
    {"p10cr-1.req", MU_CMP_P10CR, -1, -1}, {"p10cr-1.rsp", MU_CMP_CP, 0, -1},
    {"kur-1.req", MU_CMP_KUR, -1, -1}, {"kur-1.rsp", MU_CMP_KUP, 0, -1},
    {"rr-1.req", MU_CMP_RR, -1, -1}, {"rr-1.rsp", MU_CMP_RP, 0, -1},
    {"genm-1.req", MU_CMP_GENM, -1, -1}, {"genm-1.rsp", MU_CMP_GENP, -1, -1},
    {"poll-1.rsp", MU_CMP_IP, 3, -1}, {"poll-2.req", MU_CMP_POLL_REQ, -1, -1},
    {"poll-2.rsp", MU_CMP_POLL_REP, -1, -1}, {"poll-3.rsp", MU_CMP_IP, 0, -1},
    {"error-1.rsp", MU_CMP_ERROR, 2, MU_CMP_BAD_REQUEST},
    {"error-unprotected-1.rsp", MU_CMP_ERROR, 2, MU_CMP_BAD_REQUEST},
    {"rejection-1.rsp", MU_CMP_IP, 2, MU_CMP_BAD_POP},
    {"ir-wrong-secret-1.rsp", MU_CMP_ERROR, 2, MU_CMP_BAD_REQUEST},
};

static const char *const folders[] = {"openssl-cmp/rsa", "openssl-cmp/ec"};

static void load(const char *folder, const char *name, struct mu_buf *in, struct mu_cmp_msg *msg)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s.der", folder, name);
    kit_load(path, in);
    kit_ok(mu_cmp_msg_decode(mu_buf_bytes(in), msg, &kit_err));
    assert_true(msg->has_header && msg->has_body);
}

static const struct mu_cmp_status *status_of(const struct mu_cmp_msg *msg)
{
    switch (msg->body.type) {
    case MU_CMP_IP:
    case MU_CMP_CP:
    case MU_CMP_KUP:
        return &msg->body.u.rep.response.status;
    case MU_CMP_RP:
        return &msg->body.u.rp.status;
    case MU_CMP_ERROR:
        return &msg->body.u.error.status;
    default:
        return NULL;
    }
}

/* CMP-02, CMP-40, CMP-41 */
static void kinds_states_and_bits_are_read(void **state)
{
    const struct mu_cmp_status *s;
    struct mu_buf in = {0};
    struct mu_cmp_msg msg;
    size_t f, i;

    (void)state;
    for (f = 0; f < 2; f++) {
        for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            load(folders[f], rows[i].file, &in, &msg);
            if (msg.body.type != rows[i].type)
                fail_msg("%s is %s", rows[i].file, mu_cmp_type_name(msg.body.type));
            s = status_of(&msg);
            assert_int_equal(s != NULL ? s->status : -1, rows[i].pki_status);
            if ((s != NULL ? mu_cmp_status_fail_bit(s) : -1) != rows[i].fail)
                fail_msg("%s: bit %d", rows[i].file, mu_cmp_status_fail_bit(s));
            mu_cmp_msg_clear(&msg);
        }
    }
    mu_buf_clear(&in);
}

/* CMP-01, CMP-03, CMP-20: every file, whatever it is */
static void what_is_written_is_what_was_read(void **state)
{
    struct mu_buf in = {0}, part = {0}, out = {0}, own = {0};
    const char *base = getenv("MU_VECTORS") != NULL ? getenv("MU_VECTORS") : "tests/vectors";
    char path[512], name[300];
    struct mu_cmp_msg msg;
    struct dirent *e;
    size_t f, n = 0;
    DIR *d;

    (void)state;
    for (f = 0; f < 2; f++) {
        snprintf(path, sizeof path, "%s/%s", base, folders[f]);
        d = opendir(path);
        assert_non_null(d);
        while ((e = readdir(d)) != NULL) {
            if (strlen(e->d_name) < 4 || strcmp(e->d_name + strlen(e->d_name) - 4, ".der") != 0)
                continue;
            snprintf(name, sizeof name, "%.*s", (int)strlen(e->d_name) - 4, e->d_name);
            load(folders[f], name, &in, &msg);
            mu_buf_reset(&part);
            mu_buf_reset(&out);
            mu_buf_reset(&own);
            mu_cmp_msg_put_protected_part(&msg, &own);
            mu_cmp_msg_encode_part(&msg.header, &msg.body, &part);
            if (!mu_bytes_equal(mu_buf_bytes(&part), mu_buf_bytes(&own)))
                fail_msg("%s/%s: header or body is written otherwise", folders[f], name);
            kit_ok(mu_cmp_msg_encode(mu_buf_bytes(&part), msg.protection, &msg.extra, &out, &kit_err));
            if (!mu_bytes_equal(mu_buf_bytes(&out), mu_buf_bytes(&in)))
                fail_msg("%s/%s is written otherwise", folders[f], name);
            mu_cmp_msg_clear(&msg);
            n++;
        }
        closedir(d);
    }
    assert_true(n >= 90);
    mu_buf_clear(&in);
    mu_buf_clear(&part);
    mu_buf_clear(&out);
    mu_buf_clear(&own);
}

/* CMP-05, CMP-09, CMP-10, CMP-13, CMP-14 */
static void the_header_of_a_mac_request(void **state)
{
    struct mu_buf in = {0}, ref = {0};
    struct mu_cmp_msg req, rsp;

    (void)state;
    load(folders[0], "ir-1.req", &in, &req);
    assert_int_equal(req.header.pvno, 2);
    kit_ok(mu_cmp_header_check(&req.header, req.protection.p != NULL, &kit_err));
    assert_true(mu_cmp_header_reference(&req.header, &ref));
    assert_string_equal(mu_buf_str(&ref), "1234");
    assert_true(mu_pki_name_is_empty(req.header.sender) || req.header.sender.n > 2);
    assert_int_equal(req.header.transaction_id.n, 16);
    assert_int_equal(req.header.sender_nonce.n, 16);
    assert_null(req.header.recip_nonce.p);
    assert_non_null(req.header.protection_alg.p);
    load(folders[0], "ir-1.rsp", &in, &rsp);
    assert_true(mu_bytes_equal(rsp.header.recip_nonce, req.header.sender_nonce));
    assert_true(mu_bytes_equal(rsp.header.transaction_id, req.header.transaction_id));
    mu_cmp_msg_clear(&req);
    mu_cmp_msg_clear(&rsp);
    mu_buf_clear(&in);
    mu_buf_clear(&ref);
}

/* CMP-15 */
static void implicit_confirm_asked_and_granted(void **state)
{
    static const char *const files[]
        = {"ir-implicit-1.req", "ir-granted-1.req", "ir-granted-1.rsp", "ir-implicit-1.rsp"};
    static const bool there[] = {true, true, true, false};
    struct mu_buf in = {0};
    struct mu_cmp_msg msg;
    size_t i;

    (void)state;
    for (i = 0; i < 4; i++) {
        load(folders[1], files[i], &in, &msg);
        assert_int_equal(msg.header.implicit_confirm, there[i]);
        mu_cmp_msg_clear(&msg);
    }
    mu_buf_clear(&in);
}

/* CMP-49, CMP-50, CMP-51, CMP-61, CMP-64 */
static void the_request_proves_its_key(void **state)
{
    static const char *const files[] = {"ir-1.req", "cr-1.req", "kur-1.req"};
    struct mu_buf in = {0};
    struct mu_pki_key *key;
    struct mu_cmp_msg msg;
    size_t f, i;

    (void)state;
    for (f = 0; f < 2; f++) {
        for (i = 0; i < 3; i++) {
            load(folders[f], files[i], &in, &msg);
            assert_int_equal(msg.body.u.req.n, 1);
            assert_int_equal(msg.body.u.req.req.cert_req_id, 0);
            assert_int_equal(msg.body.u.req.req.popo, MU_CMP_POPO_SIGNATURE);
            assert_false(mu_cmp_crmf_wants_key(&msg.body.u.req.req.tmpl));
            kit_ok(mu_cmp_crmf_verify_popo(&msg.body.u.req.req, false, &key, &kit_err));
            assert_true(mu_bytes_equal(mu_pki_key_spki(key), msg.body.u.req.req.tmpl.spki));
            mu_pki_key_free(key);
            mu_cmp_msg_clear(&msg);
        }
    }
    /* one octet of the subject changed: the proof does not hold */
    kit_load("openssl-cmp/rsa/ir-1.req.der", &in);
    for (i = in.n - 7; i > 0 && memcmp(in.p + i, "client1", 7) != 0; i--) /* the last is the template's */
        ;
    assert_true(i > 0);
    in.p[i] = 'C';
    kit_ok(mu_cmp_msg_decode(mu_buf_bytes(&in), &msg, &kit_err));
    assert_int_equal(
        mu_cmp_crmf_verify_popo(&msg.body.u.req.req, false, NULL, &kit_err), MU_AUTH);
    assert_int_equal(kit_err.reason, MU_REFUSE_POP);
    mu_cmp_msg_clear(&msg);
    mu_buf_clear(&in);
}

/* CMP-55, CMP-56, CMP-69, CMP-71, CMP-75, CMP-87 */
static void parts_of_the_other_bodies(void **state)
{
    struct mu_buf in = {0};
    struct mu_cmp_msg msg;
    struct mu_pki_certs certs = {0};
    uint8_t hash[64];

    (void)state;
    load(folders[0], "kur-1.req", &in, &msg);
    assert_non_null(msg.body.u.req.req.old_serial.p);
    assert_true(msg.extra.n >= 1);
    assert_true(mu_bytes_equal(msg.extra.v[0]->serial, msg.body.u.req.req.old_serial));
    assert_true(mu_pki_name_equal(msg.extra.v[0]->issuer, msg.body.u.req.req.old_issuer));
    mu_cmp_msg_clear(&msg);
    load(folders[0], "rr-1.req", &in, &msg);
    assert_int_equal(msg.body.u.rr.details.reason, 1);
    assert_true(mu_bytes_equal(msg.extra.v[0]->serial, msg.body.u.rr.details.tmpl.serial));
    mu_cmp_msg_clear(&msg);
    load(folders[0], "ir-1.rsp", &in, &msg);
    assert_int_equal(msg.body.u.rep.n, 1);
    kit_ok(mu_cmp_msg_get_certs(msg.body.u.rep.ca_pubs, &certs, NULL, &kit_err));
    assert_int_equal(certs.n, 1);
    assert_int_equal(mu_pki_digest(MU_PKI_SHA256, msg.body.u.rep.response.cert, hash), 32);
    mu_cmp_msg_clear(&msg);
    mu_pki_certs_clear(&certs);
    load(folders[0], "ir-2.req", &in, &msg);
    assert_int_equal(msg.body.u.conf.n, 1);
    assert_int_equal(msg.body.u.conf.status.cert_req_id, 0);
    assert_true(mu_bytes_equal(msg.body.u.conf.status.cert_hash, mu_bytes(hash, 32)));
    mu_cmp_msg_clear(&msg);
    load(folders[0], "genm-1.req", &in, &msg);
    assert_int_equal(msg.body.u.gen.n, 1);
    assert_int_equal(mu_cmp_it_of(msg.body.u.gen.v[0].oid), MU_CMP_IT_CA_CERTS);
    mu_cmp_msg_clear(&msg);
    load(folders[0], "poll-2.rsp", &in, &msg);
    assert_int_equal(msg.body.u.poll_rep.check_after_s, 1);
    mu_cmp_msg_clear(&msg);
    mu_buf_clear(&in);
}

/* Every prefix, and every octet changed: an error or a message, never anything else. */
static void damage_is_an_error_with_a_clause(void **state)
{
    static const char *const files[] = {"ir-1.req", "ir-1.rsp", "rr-1.req", "error-1.rsp"};
    struct mu_buf in = {0};
    struct mu_cmp_msg msg;
    size_t i, n;
    uint8_t was;

    (void)state;
    for (i = 0; i < 4; i++) {
        load(folders[1], files[i], &in, &msg);
        mu_cmp_msg_clear(&msg);
        for (n = 0; n < in.n; n++) {
            assert_int_equal(mu_cmp_msg_decode(mu_bytes(in.p, n), &msg, &kit_err), MU_INPUT);
            assert_non_null(strstr(kit_err.what, "RFC"));
            mu_cmp_msg_clear(&msg);
            was = in.p[n];
            in.p[n] ^= 0x11;
            if (mu_cmp_msg_decode(mu_buf_bytes(&in), &msg, &kit_err) != MU_OK)
                assert_true(kit_err.reason >= MU_REFUSE_FIRST);
            mu_cmp_msg_clear(&msg);
            in.p[n] = was;
        }
    }
    mu_buf_clear(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_states_and_bits_are_read),
        cmocka_unit_test(what_is_written_is_what_was_read),
        cmocka_unit_test(the_header_of_a_mac_request),
        cmocka_unit_test(implicit_confirm_asked_and_granted),
        cmocka_unit_test(the_request_proves_its_key),
        cmocka_unit_test(parts_of_the_other_bodies),
        cmocka_unit_test(damage_is_an_error_with_a_clause),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
