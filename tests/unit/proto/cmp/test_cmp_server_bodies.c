/* The same for what is in a body: templates and proofs, certConf, nested and general messages. */
#include "server_world.h"

#include "proto/cmp/cmp_genm.h"

static void start(struct sw *w)
{
    sw_init(w);
    sw_begin(w);
    sw_by_mac(w, "fortinet1");
    sw_crmf(w, MU_CMP_IR, SW_NEW);
}

/* ---- requests ---- */

/* CMP-49: two CertReqMsgs in one message. */
static void two_requests_are_one_too_many(void **state)
{
    struct mu_buf body = {0};
    struct sw w;
    size_t mark, list;

    start(&w);
    mark = mu_der_open(&body, MU_DER_CONTEXT_CONSTRUCTED(MU_CMP_IR));
    list = mu_der_open(&body, MU_DER_SEQUENCE);
    mu_cmp_crmf_encode(&w.body.u.req.req, &body);
    mu_cmp_crmf_encode(&w.body.u.req.req, &body);
    mu_der_close(&body, list);
    mu_der_close(&body, mark);
    sw_send_raw(&w, mu_buf_bytes(&body));
    sw_expect_rejection(&w, MU_CMP_IP, MU_CMP_BAD_REQUEST);
    mu_buf_clear(&body);
    sw_clear(&w);
}

static void version_1(struct sw *w) { w->body.u.req.req.tmpl.version = 1; }
static void version_2(struct sw *w) { w->body.u.req.req.tmpl.version = 2; }
static void signing_alg(struct sw *w)
{
    mu_buf_reset(&w->spare);
    mu_pki_key_sign_alg(sw_key(SW_NEW), MU_PKI_SHA256, &w->spare);
    w->body.u.req.req.tmpl.signing_alg = mu_buf_bytes(&w->spare);
}
static void tokens(struct sw *w) /* CMP-58 */
{
    w->body.u.req.req.reg_token = mu_bytes_str("once");
    w->body.u.req.req.authenticator = mu_bytes_str("my mother's name");
}
static void encipherment_only(struct sw *w) /* CMP-63 */
{
    size_t mark;

    mu_buf_reset(&w->spare);
    mark = mu_der_open(&w->spare, MU_DER_SEQUENCE);
    mu_pki_ext_put_key_usage(&w->spare, true, MU_KU_KEY_ENCIPHERMENT);
    mu_der_close(&w->spare, mark);
    w->body.u.req.req.tmpl.extensions = mu_buf_bytes(&w->spare);
}

static void unknown_critical(struct sw *w)
{
    size_t mark;

    mu_buf_reset(&w->spare);
    mark = mu_der_open(&w->spare, MU_DER_SEQUENCE);
    mu_pki_ext_put(&w->spare, "1.3.6.1.4.1.99999.7", true, mu_bytes("\5\0", 2));
    mu_der_close(&w->spare, mark);
    w->body.u.req.req.tmpl.extensions = mu_buf_bytes(&w->spare);
}

/* CMP-50, CMP-58, CMP-63: what a template and its controls may hold. */
static void templates_and_controls(void **state)
{
    static const struct {
        void (*change)(struct sw *w);
        int bit; /* -1: issued */
    } rows[] = {{version_1, MU_CMP_BAD_CERT_TEMPLATE}, {version_2, -1},
        {signing_alg, MU_CMP_BAD_CERT_TEMPLATE}, {tokens, -1}, {encipherment_only, -1}};
    struct sw w;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        start(&w);
        rows[i].change(&w);
        sw_prove(&w, SW_NEW);
        sw_send(&w);
        if (rows[i].bit < 0)
            sw_expect_issued(&w, MU_CMP_IP);
        else
            sw_expect_rejection(&w, MU_CMP_IP, rows[i].bit);
        sw_clear(&w);
    }
}

/* CMP-56, CMP-64: the proof of a p10cr is the CSR's own signature. */
static void a_csr_that_another_key_signed(void **state)
{
    struct sw w;

    start(&w);
    sw_p10(&w, SW_NEW);
    w.request.p[w.request.n - 1] ^= 1;
    sw_send(&w);
    sw_expect_rejection(&w, MU_CMP_CP, MU_CMP_BAD_POP);
    assert_int_equal(w.answer.body.u.rep.response.cert_req_id, -1);
    assert_null(w.issued);
    sw_clear(&w);
}

/* CMP-52: accepted means as asked; the CA here issues without extensions and for a day. Also after a
 * wait, when the request itself is gone. */
static void what_was_changed_is_granted_with_mods(void **state)
{
    static const struct {
        void (*change)(struct sw *w);
        int64_t not_after_s;
        bool wait;
        int status;
    } rows[] = {{tokens, 0, false, MU_CMP_ACCEPTED}, {encipherment_only, 0, false, MU_CMP_GRANTED_WITH_MODS},
        {tokens, SW_NOW + 86400, false, MU_CMP_ACCEPTED}, {tokens, SW_NOW + 5, false, MU_CMP_GRANTED_WITH_MODS},
        {unknown_critical, 0, false, MU_CMP_GRANTED_WITH_MODS}, {tokens, 0, true, MU_CMP_ACCEPTED}, {encipherment_only, 0, true, MU_CMP_GRANTED_WITH_MODS}};
    struct sw w;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        start(&w);
        rows[i].change(&w);
        w.body.u.req.req.tmpl.not_after_s = rows[i].not_after_s;
        sw_prove(&w, SW_NEW);
        if (rows[i].wait)
            w.verdict = MU_VERDICT_PENDING;
        sw_send(&w);
        if (rows[i].wait) {
            assert_int_equal(w.answer.body.u.rep.response.status.status, MU_CMP_WAITING);
            w.verdict = MU_VERDICT_ISSUED;
            sw_poll(&w);
            sw_send(&w);
        }
        sw_expect_issued(&w, MU_CMP_IP);
        assert_int_equal(w.answer.body.u.rep.response.status.status, rows[i].status);
        sw_clear(&w);
    }
}

/* CMP-50: unique identifiers, which our encoder does not write. */
static void unique_identifiers_are_refused(void **state)
{
    struct mu_buf body = {0}, request = {0};
    struct mu_der el, id, tmpl;
    struct mu_bytes in;
    struct sw w;
    size_t mark, list, msg, req, t;

    start(&w);
    mu_cmp_crmf_request_encode(&w.body.u.req.req, &request);
    assert_true(mu_der_only(mu_buf_bytes(&request), MU_DER_SEQUENCE, &el));
    in = el.value;
    assert_true(mu_der_get(&in, MU_DER_INTEGER, &id) && mu_der_get(&in, MU_DER_SEQUENCE, &tmpl));
    mark = mu_der_open(&body, MU_DER_CONTEXT_CONSTRUCTED(MU_CMP_IR));
    list = mu_der_open(&body, MU_DER_SEQUENCE);
    msg = mu_der_open(&body, MU_DER_SEQUENCE);
    req = mu_der_open(&body, MU_DER_SEQUENCE);
    mu_der_put_int(&body, 0);
    t = mu_der_open(&body, MU_DER_SEQUENCE);
    mu_buf_put_bytes(&body, tmpl.value);
    mu_der_put(&body, MU_DER_CONTEXT(7), mu_bytes("\0\1", 2)); /* issuerUID */
    mu_der_close(&body, t);
    mu_der_close(&body, req);
    mu_der_close(&body, msg);
    mu_der_close(&body, list);
    mu_der_close(&body, mark);
    sw_send_raw(&w, mu_buf_bytes(&body));
    sw_expect_rejection(&w, MU_CMP_IP, MU_CMP_BAD_CERT_TEMPLATE);
    mu_buf_clear(&body);
    mu_buf_clear(&request);
    sw_clear(&w);
}

/* CMP-66: RSA for keyEncipherment, EC for keyAgreement, in version 3; never without a confirmation. */
static void an_encrypted_certificate_is_a_proof(void **state)
{
    static const struct { enum sw_key key; enum mu_cmp_popo popo; int pvno, subsequent; bool ok; } rows[] = {
        {SW_RSA, MU_CMP_POPO_KEY_ENCIPHERMENT, 3, 0, true}, {SW_NEW, MU_CMP_POPO_KEY_AGREEMENT, 3, 0, true},
        {SW_RSA, MU_CMP_POPO_KEY_AGREEMENT, 3, 0, false}, {SW_NEW, MU_CMP_POPO_KEY_ENCIPHERMENT, 3, 0, false},
        {SW_RSA, MU_CMP_POPO_KEY_ENCIPHERMENT, 2, 0, false}, {SW_RSA, MU_CMP_POPO_KEY_ENCIPHERMENT, 3, 1, false},
    };
    struct sw w;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sw_init(&w);
        sw_begin(&w);
        sw_by_mac(&w, "fortinet1");
        sw_crmf(&w, MU_CMP_IR, rows[i].key);
        w.header.pvno = rows[i].pvno;
        w.header.implicit_confirm = w.implicit_ok = true;
        w.body.u.req.req.popo = rows[i].popo;
        w.body.u.req.req.subsequent_message = rows[i].subsequent;
        sw_send(&w);
        if (!rows[i].ok) {
            sw_expect_rejection(&w, MU_CMP_IP, MU_CMP_BAD_POP);
            assert_null(w.issued);
        } else {
            assert_int_equal(w.answer.body.type, MU_CMP_IP);
            assert_int_equal(w.answer.header.pvno, 3);
            assert_false(w.answer.header.implicit_confirm);
            assert_null(w.answer.body.u.rep.response.cert.p);
            assert_non_null(w.answer.body.u.rep.response.encrypted_cert.p);
        }
        sw_clear(&w);
    }
}

/* CMP-60, CMP-66, CMP-68, CMP-130: proofs for keys that cannot sign, a private key among them. */
static void other_proofs_are_not_served(void **state)
{
    struct mu_buf body = {0};
    struct sw w;

    for (int i = 0; i < 4; i++) {
        start(&w);
        w.body.u.req.req.popo = i % 2 ? MU_CMP_POPO_KEY_AGREEMENT : MU_CMP_POPO_KEY_ENCIPHERMENT;
        w.body.u.req.req.subsequent_message = 0;
        mu_buf_reset(&body);
        mu_cmp_body_encode(&w.body, &body);
        /* [2] or [3] { [1] 0 }, subsequentMessage encrCert: the last five octets */
        assert_memory_equal(body.p + body.n - 5, i % 2 ? "\xa3\3\x81\1\0" : "\xa2\3\x81\1\0", 5);
        if (i >= 2)
            body.p[body.n - 3] = 0x80; /* thisMessage, the private key itself */
        sw_send_raw(&w, mu_buf_bytes(&body));
        sw_expect_rejection(&w, MU_CMP_IP, MU_CMP_BAD_POP);
        assert_null(w.issued);
        sw_clear(&w);
    }
    mu_buf_clear(&body);
}

/* ---- certConf ---- */

static void confirm_with(struct sw *w, const uint8_t *hash, size_t n)
{
    sw_conf(w);
    mu_buf_reset(&w->request);
    mu_buf_put(&w->request, hash, n);
    w->body.u.conf.status.cert_hash = mu_buf_bytes(&w->request);
    sw_send(w);
}

/* CMP-76: of a certificate signed by Ed448 the hash is SHAKE256 of 64 octets, by Ed25519 SHA-512. */
static void the_hash_is_that_of_the_signature(void **state)
{
    static const struct mu_pki_key_spec specs[] = {{MU_PKI_KEY_ED448, 0}, {MU_PKI_KEY_ED25519, 0}};
    uint8_t hash[64], other[64];
    struct sw w;

    for (int i = 0; i < 5; i++) { /* 2: by another hash than Ed448's; 4: by half of it */
        start(&w);
        sw_ok(mu_pki_key_generate(&specs[i % 2], &w.issuer_key, &sw_err));
        sw_send(&w);
        sw_expect_issued(&w, MU_CMP_IP);
        assert_int_equal(mu_pki_digest(MU_PKI_SHA512, w.issued->der, other), 64);
        assert_int_equal(mu_pki_sig_hash(w.issued->sig_alg, w.issued->der, hash), 64);
        assert_int_equal(memcmp(hash, other, 64) == 0, i % 2);
        confirm_with(&w, i == 2 ? other : hash, i == 4 ? 32 : 64);
        if (i == 2) {
            sw_expect_error(&w, MU_CMP_BAD_CERT_ID);
        } else {
            assert_int_equal(w.answer.body.type, MU_CMP_PKICONF);
            assert_true(w.confirm_accepted);
        }
        mu_pki_key_free(w.issuer_key);
        w.issuer_key = NULL;
        sw_clear(&w);
    }
}

/* ---- nested ---- */

/* CMP-107: the same transactionID and senderNonce outside as inside, and a signature around. */
static void a_nested_message_fits_its_inside(void **state)
{
    static const uint8_t other[16] = {1, 2, 3};
    static const int bits[] = {-1, MU_CMP_BAD_REQUEST, MU_CMP_BAD_REQUEST, MU_CMP_WRONG_INTEGRITY};
    struct sw w;

    for (int i = 0; i < 4; i++) {
        struct mu_buf inner = {0}, out = {0};
        struct mu_cmp_body body = {.type = MU_CMP_NESTED};
        struct mu_pki_certs extra = {0};
        struct mu_cmp_header outer;

        start(&w);
        w.credential.ra_verified_ok = true;
        outer = w.header;
        if (i == 1)
            w.header.transaction_id = mu_bytes(other, 16); /* what the answer repeats is outside */
        if (i == 2)
            w.header.sender_nonce = mu_bytes(other, 16);
        sw_encode(&w, &inner);
        w.header = outer;
        const struct mu_cmp_protector ra = {.key = sw_key(SW_RA), .cert = w.ra};
        body.u.nested.n = 1;
        body.u.nested.messages = mu_buf_bytes(&inner);
        sw_ok(mu_pki_certs_add(&extra, w.ra, &sw_err));
        sw_ok(mu_cmp_protect_encode(&outer, &body, i == 3 ? &w.how : &ra, &extra, &out, &sw_err));
        sw_post(&w, mu_buf_bytes(&out));
        if (bits[i] < 0)
            sw_expect_issued(&w, MU_CMP_IP);
        else
            sw_expect_error(&w, bits[i]);
        mu_pki_certs_clear(&extra);
        mu_buf_clear(&inner);
        mu_buf_clear(&out);
        sw_clear(&w);
    }
}

/* CMP-108: batches are refused, once and to the RA. */
static void a_batch_is_refused(void **state)
{
    struct mu_buf both = {0}, out = {0};
    struct mu_cmp_body body = {.type = MU_CMP_NESTED};
    struct mu_pki_certs extra = {0};
    struct sw w;

    start(&w);
    w.credential.ra_verified_ok = true;
    sw_encode(&w, &both);
    sw_encode(&w, &both);
    const struct mu_cmp_protector how = {.key = sw_key(SW_RA), .cert = w.ra};
    body.u.nested.n = 2;
    body.u.nested.messages = mu_buf_bytes(&both);
    sw_ok(mu_pki_certs_add(&extra, w.ra, &sw_err));
    sw_ok(mu_cmp_protect_encode(&w.header, &body, &how, &extra, &out, &sw_err));
    sw_post(&w, mu_buf_bytes(&out));
    sw_expect_error(&w, MU_CMP_BAD_REQUEST);
    assert_null(w.issued);
    mu_pki_certs_clear(&extra);
    mu_buf_clear(&both);
    mu_buf_clear(&out);
    sw_clear(&w);
}

/* ---- general messages ---- */

static void two_infos(struct sw *w, int first, struct mu_bytes value, int second)
{
    sw_begin(w);
    sw_genm(w, first, value);
    w->body.u.gen.n = 2;
    w->body.u.gen.v[1] = (struct mu_cmp_info){.oid = mu_cmp_it_oid(second), .value = value};
    sw_send(w);
}

/* CMP-91, CMP-97: two questions that the CA itself answers do not fit into one message. */
static void one_question_for_the_ca(void **state)
{
    struct mu_cmp_crl_status have = {0};
    struct mu_buf status = {0};
    struct sw w;

    start(&w);
    have.issuer = w.ca->subject;
    mu_cmp_genm_crl_status_encode(&have, &status);
    two_infos(&w, MU_CMP_IT_CRL_STATUS_LIST, mu_buf_bytes(&status), MU_CMP_IT_CRL_STATUS_LIST);
    sw_expect_error(&w, MU_CMP_BAD_REQUEST);
    two_infos(&w, MU_CMP_IT_CURRENT_CRL, mu_bytes(NULL, 0), MU_CMP_IT_CERT_REQ_TEMPLATE);
    sw_expect_error(&w, MU_CMP_BAD_REQUEST);
    two_infos(&w, MU_CMP_IT_CA_CERTS, mu_bytes(NULL, 0), MU_CMP_IT_SUPP_LANG_TAGS);
    assert_int_equal(w.answer.body.type, MU_CMP_GENP);
    assert_int_equal(w.answer.body.u.gen.n, 2);
    mu_buf_clear(&status);
    sw_clear(&w);
}

/* CMP-99: what is not known beside what is: its OID, and only that, in unsupportedOIDs. */
static void unknown_questions_are_listed(void **state)
{
    struct mu_der seq, oid;
    struct sw w;

    start(&w);
    two_infos(&w, MU_CMP_IT_CA_CERTS, mu_bytes(NULL, 0), 1 /* caProtEncCert */);
    assert_int_equal(w.answer.body.u.gen.n, 2);
    assert_int_equal(mu_cmp_it_of(w.answer.body.u.gen.v[1].oid), MU_CMP_IT_UNSUPPORTED_OIDS);
    assert_true(mu_der_only(w.answer.body.u.gen.v[1].value, MU_DER_SEQUENCE, &seq));
    assert_true(mu_der_get(&seq.value, MU_DER_OID, &oid) && seq.value.n == 0);
    assert_int_equal(mu_cmp_it_of(oid.value), 1);
    sw_clear(&w);
}

/* CMP-98: the language is English, the kinds of keys are those that can be certified. */
static void languages_and_kinds_of_keys(void **state)
{
    static const char *const want[][2] = {{"1.2.840.113549.1.1.1", NULL},
        {"1.2.840.10045.2.1", "1.2.840.10045.3.1.7"}, {"1.2.840.10045.2.1", "1.3.132.0.34"},
        {"1.2.840.10045.2.1", "1.3.132.0.35"}, {"1.3.101.112", NULL}};
    struct mu_bytes text;
    struct mu_der seq, alg, oid, curve;
    struct sw w;

    start(&w);
    two_infos(&w, MU_CMP_IT_SUPP_LANG_TAGS, mu_bytes(NULL, 0), MU_CMP_IT_SIGN_KEY_PAIR_TYPES);
    assert_int_equal(w.answer.body.u.gen.n, 2);
    assert_true(mu_cmp_genm_texts_first(w.answer.body.u.gen.v[0].value, &text));
    assert_true(mu_bytes_equal(text, mu_bytes_str("en")));
    assert_true(mu_der_only(w.answer.body.u.gen.v[1].value, MU_DER_SEQUENCE, &seq));
    for (size_t i = 0; i < 5; i++) {
        assert_true(mu_der_get(&seq.value, MU_DER_SEQUENCE, &alg));
        assert_true(mu_der_get(&alg.value, MU_DER_OID, &oid) && mu_der_oid_is(oid.value, want[i][0]));
        if (want[i][1] != NULL)
            assert_true(mu_der_get(&alg.value, MU_DER_OID, &curve)
                && mu_der_oid_is(curve.value, want[i][1]));
    }
    assert_int_equal(seq.value.n, 0);
    sw_clear(&w);
}

/* CMP-97: a distribution point is a name to look up by and nothing else. */
static void a_distribution_point_is_a_name(void **state)
{
    static const uint8_t url[] = {0x30, 0x16, 0x30, 0x14, 0xa0, 0x12, 0xa0, 0x10, 0x86, 0x0e, 'h', 't', 't',
        'p', ':', '/', '/', 'a', '.', 'b', '/', 'c', 'r', 'l'};
    struct mu_cmp_crl_status back, have = {.this_update_s = SW_NOW};
    struct mu_buf der = {0};
    struct sw w;

    start(&w);
    assert_true(mu_cmp_genm_crl_status_decode(mu_bytes(url, sizeof url), &back));
    assert_null(back.issuer.p); /* so the CA's own list is what is asked for */
    have.issuer = w.ca->subject;
    mu_cmp_genm_crl_status_encode(&have, &der);
    assert_true(mu_cmp_genm_crl_status_decode(mu_buf_bytes(&der), &back));
    assert_true(mu_bytes_equal(back.issuer, w.ca->subject));
    assert_int_equal(back.this_update_s, SW_NOW);
    mu_buf_clear(&der);
    sw_clear(&w);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_requests_are_one_too_many),
        cmocka_unit_test(templates_and_controls),
        cmocka_unit_test(a_csr_that_another_key_signed),
        cmocka_unit_test(what_was_changed_is_granted_with_mods),
        cmocka_unit_test(unique_identifiers_are_refused),
        cmocka_unit_test(an_encrypted_certificate_is_a_proof),
        cmocka_unit_test(other_proofs_are_not_served),
        cmocka_unit_test(the_hash_is_that_of_the_signature),
        cmocka_unit_test(a_nested_message_fits_its_inside),
        cmocka_unit_test(a_batch_is_refused),
        cmocka_unit_test(one_question_for_the_ca),
        cmocka_unit_test(unknown_questions_are_listed),
        cmocka_unit_test(languages_and_kinds_of_keys),
        cmocka_unit_test(a_distribution_point_is_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
