/* The server engine's good paths: each kind of request, protection, confirmation and polling. */
#include "server_world.h"

#include "pki/pki_crl.h"
#include "pki/pki_key_package.h"
#include "proto/cmp/cmp_genm.h"

/* CMP-05, CMP-09, CMP-34..36, CMP-70, CMP-71, CMP-74, CMP-78 */
static void ir_by_mac_and_certconf(void **state)
{
    struct sw w;
    sw_init(&w);
    sw_begin(&w);
    sw_by_mac(&w, "fortinet1");
    sw_crmf(&w, MU_CMP_IR, SW_NEW);
    sw_send(&w);
    sw_expect_issued(&w, MU_CMP_IP);
    sw_expect_protection(&w, MU_CMP_BY_MAC);
    assert_string_equal(w.claim.message_type, "ir");
    assert_int_equal(w.claim.auth, MU_AUTH_MAC);
    assert_int_equal(w.op, MU_OP_ENROLL);
    assert_int_equal(w.answer.header.pvno, 2);
    assert_true(mu_bytes_equal(w.answer.header.sender_kid, mu_bytes_str("fgt100f")));
    assert_int_equal(w.answer.body.u.rep.response.cert_req_id, 0);
    assert_true(mu_bytes_equal(w.answer.body.u.rep.ca_pubs, w.ca->der));
    assert_int_equal(w.answer.extra.n, 0); /* CMP-37: no self-signed one */
    assert_false(w.answer.header.implicit_confirm);
    assert_true(w.answer.header.has_time); /* CMP-07 */
    assert_int_equal(w.answer.header.confirm_wait_s, SW_NOW + 300);
    assert_true(w.kept.n != 0);
    sw_conf(&w);
    sw_send(&w);
    assert_true(w.confirm_accepted);
    assert_int_equal(w.op, MU_OP_CONFIRM);
    assert_int_equal(w.answer.body.type, MU_CMP_PKICONF);
    sw_expect_protection(&w, MU_CMP_BY_MAC);
    sw_clear(&w);
}

/* CMP-53, CMP-54, CMP-56: each type has its answer; the answer is signed like the request. */
static void requests_by_signature(void **state)
{
    static const struct { enum mu_cmp_type request, answer; } rows[] = {
        {MU_CMP_IR, MU_CMP_IP}, {MU_CMP_CR, MU_CMP_CP}, {MU_CMP_KUR, MU_CMP_KUP},
        {MU_CMP_P10CR, MU_CMP_CP}};
    struct sw w;
    sw_init(&w);
    for (size_t i = 0; i < 4; i++) {
        sw_begin(&w);
        sw_by_cert(&w, w.client, SW_CLIENT);
        if (rows[i].request == MU_CMP_P10CR)
            sw_p10(&w, SW_NEW);
        else
            sw_crmf(&w, rows[i].request, SW_NEW);
        sw_send(&w);
        sw_expect_issued(&w, rows[i].answer);
        sw_expect_protection(&w, MU_CMP_BY_SIGNATURE);
        assert_true(mu_bytes_equal(w.answer.header.sender_kid, w.ca->exts.skid)); /* IOP-33 */
        assert_true(mu_bytes_equal(w.answer.header.sender, w.ca->subject));
        assert_int_equal(w.claim.auth, MU_AUTH_CERT);
        assert_int_equal(w.claim.is_renewal, rows[i].request == MU_CMP_KUR);
        assert_int_equal(w.answer.body.u.rep.ca_pubs.n, 0); /* CMP-71 */
        assert_int_equal(w.answer.body.u.rep.response.cert_req_id,
            rows[i].request == MU_CMP_P10CR ? -1 : 0);
        sw_conf(&w);
        mu_pki_certs_clear(&w.extra); /* CMP-35 */
        sw_send(&w);
        assert_int_equal(w.answer.body.type, MU_CMP_PKICONF);
        sw_expect_protection(&w, MU_CMP_BY_SIGNATURE);
    }
    sw_clear(&w);
}

/* CMP-15, CMP-73, CMP-74: granted only where both want it. */
static void implicit_confirmation(void **state)
{
    struct sw w;
    sw_init(&w);
    for (int i = 0; i < 4; i++) {
        bool asked = i & 1;
        w.implicit_ok = i & 2;
        sw_begin(&w);
        sw_by_mac(&w, "fortinet1");
        sw_crmf(&w, MU_CMP_IR, SW_NEW);
        w.header.implicit_confirm = asked;
        sw_send(&w);
        sw_expect_issued(&w, MU_CMP_IP);
        assert_int_equal(w.answer.header.implicit_confirm, i == 3);
        assert_int_equal(w.answer.header.confirm_wait_s != 0, i != 3); /* CMP-16 */
        assert_int_equal(w.kept.n != 0, i != 3);
    }
    sw_conf(&w); /* after it ended */
    sw_send(&w);
    sw_expect_error(&w, MU_CMP_BAD_REQUEST);
    sw_clear(&w);
}

/* CMP-100..CMP-104: waiting, polls, the certificate at last, its confirmation. */
static void polling(void **state)
{
    struct sw w;
    sw_init(&w);
    w.verdict = MU_VERDICT_PENDING;
    sw_begin(&w);
    sw_by_mac(&w, "fortinet1");
    sw_crmf(&w, MU_CMP_CR, SW_NEW);
    sw_send(&w);
    assert_int_equal(w.answer.body.type, MU_CMP_CP);
    assert_int_equal(w.answer.body.u.rep.response.status.status, MU_CMP_WAITING);
    assert_false(w.answer.body.u.rep.response.status.has_fail);
    assert_null(w.answer.body.u.rep.response.cert.p);
    for (int i = 0; i < 3; i++) { /* what is kept does not change: no poll has to be written down */
        struct mu_buf before = {0};
        mu_buf_put_bytes(&before, mu_buf_bytes(&w.kept));
        sw_poll(&w);
        sw_send(&w);
        assert_int_equal(w.op, MU_OP_POLL);
        assert_int_equal(w.answer.body.type, MU_CMP_POLL_REP);
        assert_int_equal(w.answer.body.u.poll_rep.check_after_s, 30);
        sw_expect_protection(&w, MU_CMP_BY_MAC);
        assert_true(mu_bytes_equal(mu_buf_bytes(&before), mu_buf_bytes(&w.kept)));
        mu_buf_clear(&before);
    }
    w.verdict = MU_VERDICT_ISSUED;
    sw_poll(&w);
    sw_send(&w);
    sw_expect_issued(&w, MU_CMP_CP);
    sw_conf(&w);
    sw_send(&w);
    assert_int_equal(w.answer.body.type, MU_CMP_PKICONF);
    sw_clear(&w);
}

/* A poll for what the operator rejects gets the rejection in the request's own kind. */
static void a_rejection_while_polling(void **state)
{
    struct sw w;
    sw_init(&w);
    w.verdict = MU_VERDICT_PENDING;
    sw_begin(&w);
    sw_by_mac(&w, "fortinet1");
    sw_p10(&w, SW_NEW);
    sw_send(&w);
    w.verdict = MU_VERDICT_REFUSED;
    w.refuse = MU_REFUSE_OPERATOR;
    sw_poll(&w);
    w.body.u.poll_req.cert_req_id = -1;
    sw_send(&w);
    sw_expect_rejection(&w, MU_CMP_CP, MU_CMP_NOT_AUTHORIZED);
    assert_int_equal(w.answer.body.u.rep.response.cert_req_id, -1);
    sw_clear(&w);
}

/* CMP-52 */
static void granted_with_modifications(void **state)
{
    struct sw w;
    sw_init(&w);
    w.modified = true;
    sw_begin(&w);
    sw_by_mac(&w, "fortinet1");
    sw_crmf(&w, MU_CMP_IR, SW_NEW);
    w.header.cert_profile = mu_bytes_str("laptops"); /* CMP-18 */
    w.header.cert_profile_n = 1;
    sw_send(&w);
    sw_expect_issued(&w, MU_CMP_IP);
    assert_int_equal(w.answer.body.u.rep.response.status.status, MU_CMP_GRANTED_WITH_MODS);
    assert_string_equal(w.profile, "laptops");
    sw_clear(&w);
}

/* CMP-75, CMP-78: a rejecting certConf, with words or without any entry, is answered all the same. */
static void certconf_may_reject(void **state)
{
    struct sw w;
    sw_init(&w);
    for (int i = 0; i < 3; i++) {
        struct mu_buf text = {0};
        sw_begin(&w);
        sw_by_mac(&w, "fortinet1");
        sw_crmf(&w, MU_CMP_IR, SW_NEW);
        sw_send(&w);
        sw_conf(&w);
        if (i == 0)
            w.body.u.conf.n = 0;
        if (i >= 1) {
            w.body.u.conf.status.has_status = true;
            w.body.u.conf.status.status.status = i == 1 ? MU_CMP_REJECTION : MU_CMP_ACCEPTED;
            mu_cmp_text_put(&text, "not my key");
            w.body.u.conf.status.status.text = mu_buf_bytes(&text);
        }
        sw_send(&w);
        assert_int_equal(w.answer.body.type, MU_CMP_PKICONF);
        assert_int_equal(w.confirm_accepted, i == 2);
        if (i == 1)
            assert_string_equal(w.words_seen, "not my key");
        mu_buf_clear(&text);
    }
    sw_clear(&w);
}

/* CMP-76: hashAlg, and version 3 is answered in kind (CMP-04). */
static void certconf_may_name_its_hash(void **state)
{
    struct sw w;
    uint8_t hash[64];
    struct mu_buf alg = {0};
    sw_init(&w);
    sw_begin(&w);
    sw_by_mac(&w, "fortinet1");
    w.header.pvno = 3;
    sw_crmf(&w, MU_CMP_IR, SW_NEW);
    sw_send(&w);
    assert_int_equal(w.answer.header.pvno, 3);
    sw_conf(&w);
    mu_pki_digest_encode(&alg, MU_PKI_SHA512);
    mu_pki_digest(MU_PKI_SHA512, w.issued->der, hash);
    w.body.u.conf.status.hash_alg = mu_buf_bytes(&alg);
    w.body.u.conf.status.cert_hash = mu_bytes(hash, 64);
    w.header.pvno = 2; /* which knows no hashAlg */
    sw_send(&w);
    sw_expect_error(&w, MU_CMP_UNSUPPORTED_VERSION);
    w.header.pvno = 3;
    sw_send(&w);
    assert_int_equal(w.answer.body.type, MU_CMP_PKICONF);
    mu_buf_clear(&alg);
    sw_clear(&w);
}

/* CMP-87..CMP-89 */
static void revocation(void **state)
{
    struct sw w;
    sw_init(&w);
    sw_begin(&w);
    sw_by_cert(&w, w.client, SW_CLIENT);
    memset(&w.body, 0, sizeof w.body);
    w.body.type = MU_CMP_RR;
    w.body.u.rr.n = 1;
    w.body.u.rr.details.tmpl.version = -1;
    w.body.u.rr.details.tmpl.issuer = w.client->issuer;
    w.body.u.rr.details.tmpl.serial = w.client->serial;
    w.body.u.rr.details.reason = 1;
    sw_send(&w);
    assert_int_equal(w.op, MU_OP_REVOKE);
    assert_int_equal(w.answer.body.type, MU_CMP_RP);
    assert_int_equal(w.answer.body.u.rp.status.status, MU_CMP_ACCEPTED);
    assert_int_equal(w.answer.body.u.rp.n, 1);
    w.body.u.rr.details.reason = -1; /* without crlEntryDetails: unspecified */
    w.revoke_reason = 99;
    sw_send(&w);
    assert_int_equal(w.answer.body.u.rp.status.status, MU_CMP_ACCEPTED);
    assert_int_equal(w.revoke_reason, 0);
    /* CMP-90: whether a hold can be lifted is the CA's to say; and reasons that do not exist */
    w.body.u.rr.details.reason = 8;
    sw_send(&w);
    assert_int_equal(w.answer.body.u.rp.status.status, MU_CMP_ACCEPTED);
    assert_int_equal(w.revoke_reason, 8);
    for (int i = 0; i < 2; i++) { /* with these the body cannot be read at all */
        w.body.u.rr.details.reason = i == 0 ? 7 : 11;
        sw_send(&w);
        sw_expect_error(&w, MU_CMP_BAD_DATA_FORMAT);
    }
    w.body.u.rr.details.reason = 1;
    /* already revoked */
    w.verdict = MU_VERDICT_REFUSED;
    w.refuse = MU_REFUSE_REVOKED;
    sw_send(&w);
    sw_expect_rejection(&w, MU_CMP_RP, MU_CMP_CERT_REVOKED);
    w.verdict = MU_VERDICT_ISSUED;
    /* another's certificate: by an RA only */
    w.body.u.rr.details.tmpl.serial = w.rsa->serial;
    sw_send(&w);
    sw_expect_rejection(&w, MU_CMP_RP, MU_CMP_BAD_CERT_ID);
    w.credential.ra_verified_ok = true;
    sw_by_cert(&w, w.ra, SW_RA);
    sw_send(&w);
    assert_int_equal(w.answer.body.u.rp.status.status, MU_CMP_ACCEPTED);
    w.credential.ra_verified_ok = false;
    sw_by_mac(&w, "fortinet1"); /* CMP-88 */
    sw_send(&w);
    sw_expect_error(&w, MU_CMP_WRONG_INTEGRITY);
    sw_clear(&w);
}

/* CMP-80..CMP-85: by password, to RSA and to EC certificates. */
static void keys_made_by_the_ca(void **state)
{
    struct sw w;
    sw_init(&w);
    w.generated = sw_key(SW_NEW);
    for (int i = 0; i < 3; i++) {
        struct mu_pki_key_package package;
        struct mu_pki_key_package_opener with = {.bare = true};
        struct mu_bytes sent;
        sw_begin(&w);
        w.header.pvno = 3;
        if (i == 0) {
            sw_by_mac(&w, "fortinet1");
            with.password = &w.secret;
        } else {
            sw_by_cert(&w, i == 1 ? w.rsa : w.client, i == 1 ? SW_RSA : SW_CLIENT);
            with.key = sw_key(i == 1 ? SW_RSA : SW_CLIENT);
        }
        sw_crmf(&w, MU_CMP_CR, SW_NEW);
        w.body.u.req.req.tmpl.spki = mu_bytes(NULL, 0);
        w.body.u.req.req.popo = MU_CMP_POPO_NONE;
        sw_send(&w);
        sw_expect_issued(&w, MU_CMP_CP);
        assert_int_equal(w.op, MU_OP_KEYGEN);
        assert_int_equal(w.answer.header.pvno, 3);
        sent = w.answer.body.u.rep.response.private_key;
        assert_non_null(sent.p);
        sw_ok(mu_pki_key_package_open(sent, &with, &package, &sw_err));
        assert_true(mu_pki_key_equal(package.key, sw_key(SW_NEW)));
        assert_true(mu_bytes_equal(package.signer->der, w.ca->der));
        mu_pki_key_package_clear(&package);
    }
    sw_begin(&w); /* pvno 2 cannot carry it */
    sw_by_mac(&w, "fortinet1");
    sw_send(&w);
    sw_expect_error(&w, MU_CMP_UNSUPPORTED_VERSION);
    sw_begin(&w); /* the RA's certificate may only sign */
    w.header.pvno = 3;
    sw_by_cert(&w, w.ra, SW_RA);
    sw_send(&w);
    sw_expect_rejection(&w, MU_CMP_CP, MU_CMP_BAD_ALG);
    sw_clear(&w);
}

/* ---- general messages ---- */

static const struct mu_cmp_info *asked(struct sw *w, int it, struct mu_bytes value)
{
    sw_begin(w);
    sw_by_mac(w, "fortinet1");
    sw_genm(w, it, value);
    sw_send(w);
    assert_int_equal(w->answer.body.type, MU_CMP_GENP);
    sw_expect_protection(w, MU_CMP_BY_MAC);
    assert_int_equal(w->answer.body.u.gen.n, 1); /* CMP-91 */
    return &w->answer.body.u.gen.v[0];
}

static void general_messages(void **state)
{
    const struct mu_bytes none = {0};
    const struct mu_cmp_info *info;
    struct mu_pki_key_spec specs[2] = {{MU_PKI_KEY_RSA, 2048}, {MU_PKI_KEY_EC, 256}};
    struct mu_cmp_req_template tmpl = {.tmpl = {.version = -1}, .key_spec_n = 2}, back;
    struct mu_buf wishes = {0}, retagged = {0}, crl = {0}, status = {0};
    struct mu_der seq;
    struct sw w;
    sw_init(&w);
    info = asked(&w, MU_CMP_IT_CA_CERTS, none); /* CMP-92 */
    assert_int_equal(mu_cmp_it_of(info->oid), MU_CMP_IT_CA_CERTS);
    assert_true(mu_der_only(info->value, MU_DER_SEQUENCE, &seq));
    assert_true(mu_bytes_equal(seq.value, w.ca->der));
    info = asked(&w, MU_CMP_IT_ROOT_CA_CERT, w.ca->der); /* CMP-93: no update */
    assert_int_equal(mu_cmp_it_of(info->oid), MU_CMP_IT_ROOT_CA_KEY_UPDATE);
    assert_null(info->value.p);
    info = asked(&w, MU_CMP_IT_CERT_REQ_TEMPLATE, none); /* CMP-94: no wishes */
    assert_int_equal(w.op, MU_OP_CSR_ATTRS);
    assert_null(info->value.p);
    memcpy(tmpl.key_specs, specs, sizeof specs);
    mu_cmp_genm_template_encode(&tmpl, &wishes);
    w.csr_attrs = mu_buf_bytes(&wishes);
    info = asked(&w, MU_CMP_IT_CERT_REQ_TEMPLATE, none);
    mu_buf_grow(&retagged, 4096);
    mu_buf_reset(&retagged);
    sw_ok(mu_cmp_genm_template_decode(info->value, &retagged, &back, &sw_err)); /* CMP-95 */
    assert_int_equal(back.key_spec_n, 2);
    assert_int_equal(back.key_specs[0].bits, 2048);
    assert_int_equal(back.key_specs[1].type, MU_PKI_KEY_EC);
    info = asked(&w, MU_CMP_IT_SUPP_LANG_TAGS, none);
    assert_non_null(info->value.p);
    info = asked(&w, MU_CMP_IT_SIGN_KEY_PAIR_TYPES, none);
    assert_non_null(info->value.p);
    /* CMP-97, CMP-98 */
    const struct mu_pki_crl_params params = {.issuer = w.ca->subject, .this_update_s = SW_NOW,
        .next_update_s = SW_NOW + 3600, .number = 7};
    sw_ok(mu_pki_crl_make(&params, sw_key(SW_CA), MU_PKI_SHA256, &crl, &sw_err));
    w.crl = mu_buf_bytes(&crl);
    info = asked(&w, MU_CMP_IT_CURRENT_CRL, none);
    assert_int_equal(w.op, MU_OP_GET_CRL);
    assert_true(mu_bytes_equal(info->value, w.crl));
    for (int i = -1; i <= 1; i++) {
        const struct mu_cmp_crl_status have = {.issuer = w.ca->subject, .this_update_s = SW_NOW + i};
        mu_buf_reset(&status);
        mu_cmp_genm_crl_status_encode(&have, &status);
        info = asked(&w, MU_CMP_IT_CRL_STATUS_LIST, mu_buf_bytes(&status));
        assert_int_equal(mu_cmp_it_of(info->oid), MU_CMP_IT_CRLS);
        assert_int_equal(info->value.p != NULL, i < 0);
    }
    sw_begin(&w); /* CMP-99 */
    sw_genm(&w, 24, none);
    sw_send(&w);
    sw_expect_error(&w, MU_CMP_BAD_REQUEST);
    sw_genm(&w, 24, none);
    w.body.u.gen.n = 2;
    w.body.u.gen.v[1].oid = mu_cmp_it_oid(MU_CMP_IT_CA_CERTS);
    sw_send(&w);
    assert_int_equal(w.answer.body.u.gen.n, 2);
    assert_int_equal(mu_cmp_it_of(w.answer.body.u.gen.v[1].oid), MU_CMP_IT_UNSUPPORTED_OIDS);
    mu_buf_clear(&wishes);
    mu_buf_clear(&retagged);
    mu_buf_clear(&crl);
    mu_buf_clear(&status);
    sw_clear(&w);
}

/* CMP-93: the successor's root, with the link certificate if the CA has one. */
static void a_root_update_is_told(void **state)
{
    struct mu_cmp_root_update update;
    struct mu_pki_certs next = {0};
    const struct mu_cmp_info *info;
    struct sw w;
    sw_init(&w);
    sw_ok(mu_pki_certs_add(&next, w.rogue, &sw_err)); /* a self-signed one */
    w.credential.next_ca = &next;
    info = asked(&w, MU_CMP_IT_ROOT_CA_CERT, w.ca->der);
    assert_true(mu_cmp_genm_root_update_decode(info->value, &update));
    assert_true(mu_bytes_equal(update.new_with_new, w.rogue->der));
    assert_int_equal(update.new_with_old.n, 0);
    for (int i = 0; i < 2; i++) { /* CMP-131 */
        struct mu_pki_cert *link = sw_link(&w, i == 0);
        sw_ok(mu_pki_certs_add(&next, link, &sw_err));
        info = asked(&w, MU_CMP_IT_ROOT_CA_CERT, w.ca->der);
        assert_true(mu_cmp_genm_root_update_decode(info->value, &update));
        assert_true(mu_bytes_equal(update.new_with_new, w.rogue->der));
        assert_true(mu_bytes_equal(i == 0 ? update.new_with_old : update.old_with_new, link->der));
        mu_pki_cert_free(link);
    }
    info = asked(&w, MU_CMP_IT_ROOT_CA_CERT, w.rsa->der); /* asked about another root */
    assert_null(info->value.p);
    mu_pki_certs_clear(&next);
    sw_clear(&w);
}

/* CMP-46: an error message is answered by pkiConf, protected or not. */
static void an_error_message_is_acknowledged(void **state)
{
    struct sw w;
    sw_init(&w);
    for (int i = 0; i < 2; i++) {
        sw_begin(&w);
        if (i == 0)
            sw_by_mac(&w, "fortinet1");
        else
            w.how = (struct mu_cmp_protector){.mac = NULL};
        memset(&w.body, 0, sizeof w.body);
        w.body.type = MU_CMP_ERROR;
        w.body.u.error.status.status = MU_CMP_REJECTION;
        sw_send(&w);
        assert_int_equal(w.answer.body.type, MU_CMP_PKICONF);
    }
    sw_clear(&w);
}

/* ---- RA ---- */

static void nest_by(struct sw *w, enum mu_pki_digest digest, struct mu_buf *out)
{
    struct mu_buf inner = {0};
    struct mu_cmp_body body = {.type = MU_CMP_NESTED};
    struct mu_pki_certs extra = {0};
    const struct mu_cmp_protector how = {
        .key = sw_key(SW_RA), .cert = w->ra, .digest = digest};
    struct mu_cmp_header header = w->header;
    sw_encode(w, &inner);
    body.u.nested.n = 1;
    body.u.nested.messages = mu_buf_bytes(&inner);
    sw_ok(mu_pki_certs_add(&extra, w->ra, &sw_err));
    sw_ok(mu_cmp_protect_encode(&header, &body, &how, &extra, out, &sw_err));
    mu_pki_certs_clear(&extra);
    mu_buf_clear(&inner);
}

static void nest(struct sw *w, struct mu_buf *out)
{
    nest_by(w, MU_PKI_DIGEST_NONE, out);
}

/* CMP-22, CMP-107: a weak signature around a good MAC is still a weak one. */
static void a_weak_signature_around_is_refused(void **state)
{
    struct mu_buf message = {0};
    struct sw w;
    sw_init(&w);
    w.credential.ra_verified_ok = true;
    sw_begin(&w);
    sw_by_mac(&w, "fortinet1");
    sw_crmf(&w, MU_CMP_IR, SW_NEW);
    nest_by(&w, MU_PKI_SHA1, &message);
    sw_post(&w, mu_buf_bytes(&message));
    assert_false(w.read_ok);
    assert_int_equal(w.failed, MU_REFUSE_ALGORITHM);
    w.credential.allow_legacy = true;
    sw_post(&w, mu_buf_bytes(&message));
    sw_expect_issued(&w, MU_CMP_IP);
    mu_buf_clear(&message);
    sw_clear(&w);
}

/* CMP-107, CMP-110: an RA adds its protection; the answer is not nested. */
static void nested_by_an_ra(void **state)
{
    struct mu_buf message = {0};
    struct sw w;
    sw_init(&w);
    w.credential.ra_verified_ok = true;
    sw_begin(&w);
    sw_by_mac(&w, "fortinet1");
    sw_crmf(&w, MU_CMP_IR, SW_NEW);
    nest(&w, &message);
    sw_post(&w, mu_buf_bytes(&message));
    sw_expect_issued(&w, MU_CMP_IP);
    sw_expect_protection(&w, MU_CMP_BY_MAC);
    assert_non_null(w.claim.outer);
    /* not our RA */
    w.credential.ra_verified_ok = false;
    sw_post(&w, mu_buf_bytes(&message));
    sw_expect_rejection(&w, MU_CMP_IP, MU_CMP_NOT_AUTHORIZED);
    w.credential.ra_verified_ok = true;
    /* the message inside is verified as ever */
    sw_by_mac(&w, "wrong");
    mu_buf_reset(&message);
    nest(&w, &message);
    sw_post(&w, mu_buf_bytes(&message));
    sw_expect_error(&w, MU_CMP_BAD_MESSAGE_CHECK);
    /* raVerified inside is the device's word, not the RA's (CMP-65) */
    sw_by_mac(&w, "fortinet1");
    w.body.u.req.req.popo = MU_CMP_POPO_RA_VERIFIED;
    mu_buf_reset(&message);
    nest(&w, &message);
    sw_post(&w, mu_buf_bytes(&message));
    sw_expect_rejection(&w, MU_CMP_IP, MU_CMP_NOT_AUTHORIZED);
    mu_buf_clear(&message);
    sw_clear(&w);
}

/* CMP-65, CMP-112 */
static void ra_verified(void **state)
{
    struct sw w;
    sw_init(&w);
    sw_begin(&w);
    sw_by_cert(&w, w.ra, SW_RA);
    sw_crmf(&w, MU_CMP_CR, SW_NEW);
    w.body.u.req.req.popo = MU_CMP_POPO_RA_VERIFIED;
    sw_send(&w);
    sw_expect_rejection(&w, MU_CMP_CP, MU_CMP_NOT_AUTHORIZED);
    w.credential.ra_verified_ok = true;
    sw_send(&w);
    sw_expect_issued(&w, MU_CMP_CP);
    sw_by_mac(&w, "fortinet1"); /* never by a secret */
    sw_send(&w);
    sw_expect_rejection(&w, MU_CMP_CP, MU_CMP_NOT_AUTHORIZED);
    sw_clear(&w);
}

/* C012, C036, CMP-116, CMP-117 */
static void http_mapping(void **state)
{
    const struct mu_http_request get = {.method = "GET", .target = "/.well-known/cmp"};
    const struct mu_http_header html[] = {{"Content-Type", "text/html"}};
    const struct mu_http_request page = {.method = "POST", .target = "/pkix/", .headers = html, .header_n = 1};
    const struct mu_http_header cmp[] = {{"Content-Type", "application/pkixcmp"}};
    const struct mu_http_request other = {.method = "POST", .target = "/other", .headers = cmp, .header_n = 1};
    struct mu_cmp_server *server;
    struct mu_claim claim;
    struct mu_err err = {0};
    struct sw w;
    sw_init(&w);
    for (int i = 0; i < 2; i++) {
        w.target = i == 0 ? "/app/cert/cmp2" : "/.well-known/cmp/p/laptops/initialization";
        sw_begin(&w);
        sw_by_mac(&w, "fortinet1");
        sw_crmf(&w, MU_CMP_IR, SW_NEW);
        sw_send(&w);
        const char *connection = mu_http_header_get(w.response.headers, w.response.header_n, "Connection");
        assert_int_equal(w.response.status, 200);
        assert_string_equal(mu_http_header_get(w.response.headers, w.response.header_n, "Content-Type"),
            "application/pkixcmp");
        assert_string_equal(
            mu_http_header_get(w.response.headers, w.response.header_n, "X-Content-Type-Options"), "nosniff");
        assert_int_equal(connection != NULL, i == 0);
    }
    assert_true(mu_cmp_server_is(&get));
    assert_true(mu_cmp_server_is(&page));
    assert_false(mu_cmp_server_is(&other));
    assert_int_equal(mu_cmp_server_open(&w.env, &get, &server, &claim, &err), MU_UNSUPPORTED);
    assert_null(server);
    mu_http_response_clear(&w.response);
    sw_ok(mu_cmp_server_http_error(&err, &w.response, &sw_err));
    assert_int_equal(w.response.status, 405);
    assert_int_equal(mu_cmp_server_open(&w.env, &page, &server, &claim, &err), MU_INPUT);
    assert_null(server);
    sw_clear(&w);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(ir_by_mac_and_certconf),
        cmocka_unit_test(requests_by_signature),
        cmocka_unit_test(implicit_confirmation),
        cmocka_unit_test(polling),
        cmocka_unit_test(a_rejection_while_polling),
        cmocka_unit_test(granted_with_modifications),
        cmocka_unit_test(certconf_may_reject),
        cmocka_unit_test(certconf_may_name_its_hash),
        cmocka_unit_test(revocation),
        cmocka_unit_test(keys_made_by_the_ca),
        cmocka_unit_test(general_messages),
        cmocka_unit_test(a_root_update_is_told),
        cmocka_unit_test(an_error_message_is_acknowledged),
        cmocka_unit_test(nested_by_an_ra),
        cmocka_unit_test(a_weak_signature_around_is_refused),
        cmocka_unit_test(ra_verified),
        cmocka_unit_test(http_mapping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
