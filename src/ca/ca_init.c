/* Making a CA: keys, certificates, first CRL; a successor and its activation; the demo. */
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "ca/ca_internal.h"
#include "ca/ca_seal.h"
#include "pki/pki_name.h"

enum {
    DAY_S = 86400,
    KU_CA = MU_KU_KEY_CERT_SIGN | MU_KU_CRL_SIGN,
    KU_ANSWERS = MU_KU_DIGITAL_SIGNATURE | MU_KU_KEY_ENCIPHERMENT
};

/* ---- init ---- */

/* A CA being made. */
struct making {
    struct mu_ca *ca;
    const struct mu_ca_init *init;
    struct mu_buf root_name, issuing_name, ra_name;
    struct mu_pki_key *root_key, *issuing_key, *ra_key;
    struct mu_pki_cert *root, *issuing, *ra;
    char root_ref[80], ca_ref[80], ra_ref[80];
};

static enum mu_code make_root(struct making *m, struct mu_err *err)
{
    const struct mu_ca_init *i = m->init;
    bool answers = i->issuing_subject == NULL && !i->with_ra;
    struct mu_ca_plan plan = {.is_ca = true,
        .path_len = -1,
        .key_usage = KU_CA | (answers ? KU_ANSWERS : 0),
        .lifetime_s = i->root_lifetime_s != 0 ? i->root_lifetime_s : (int64_t)3650 * DAY_S};
    enum mu_code rc;

    if ((rc = mu_pki_name_parse(i->root_subject, &m->root_name, err)) != MU_OK
        || (rc = mu_ca_certify_key(m->ca, &i->root_key, m->root_ref, &m->root_key, err)) != MU_OK)
        return rc;
    plan.subject = mu_buf_bytes(&m->root_name);
    plan.key = plan.issuer_key = m->root_key;
    return mu_ca_certify(m->ca, &plan, &m->root, err);
}

static enum mu_code make_issuing(struct making *m, struct mu_err *err)
{
    const struct mu_ca_init *i = m->init;
    struct mu_ca_plan plan = {.is_ca = true,
        .path_len = 0,
        .key_usage = KU_CA | (i->with_ra ? 0 : KU_ANSWERS),
        .lifetime_s = i->issuing_lifetime_s != 0 ? i->issuing_lifetime_s : (int64_t)1825 * DAY_S,
        .issuer = m->root,
        .issuer_key = m->root_key};
    enum mu_code rc;

    if (i->issuing_subject == NULL) {
        m->issuing = mu_pki_cert_ref(m->root);
        m->issuing_key = mu_pki_key_ref(m->root_key);
        return MU_OK;
    }
    if ((rc = mu_pki_name_parse(i->issuing_subject, &m->issuing_name, err)) != MU_OK
        || (rc = mu_ca_certify_key(m->ca, &i->issuing_key, m->ca_ref, &m->issuing_key, err)) != MU_OK)
        return rc;
    plan.subject = mu_buf_bytes(&m->issuing_name);
    plan.key = m->issuing_key;
    return mu_ca_certify(m->ca, &plan, &m->issuing, err);
}

/* SCEP-02: signs and decrypts for clients, so the CA's key need not; RSA, as clients want, unless
 * the CA has none of SCEP. CMP-33: what it signs is known for the CA's by its usages. */
static enum mu_code certify_ra(struct mu_ca *ca, struct mu_pki_cert *issuer,
    const struct mu_pki_key *issuer_key, const struct mu_pki_key *ra_key, struct mu_pki_cert **out,
    struct mu_err *err)
{
    struct mu_buf name = {0};
    struct mu_ca_plan plan = {.key = ra_key,
        .issuer = issuer,
        .issuer_key = issuer_key,
        .key_usage = mu_pki_key_can_encrypt(ra_key) ? KU_ANSWERS : MU_KU_DIGITAL_SIGNATURE,
        .eku = MU_EKU_CMC_CA | MU_EKU_CMC_RA,
        .lifetime_s = (int64_t)1825 * DAY_S};
    enum mu_code rc = mu_ca_certify_subject(issuer->subject, "RA", &name, err);

    if (rc == MU_OK) {
        plan.subject = mu_buf_bytes(&name);
        rc = mu_ca_certify(ca, &plan, out, err);
    }
    mu_buf_clear(&name);
    return rc;
}

static void making_clear(struct making *m)
{
    mu_buf_clear(&m->root_name);
    mu_buf_clear(&m->issuing_name);
    mu_buf_clear(&m->ra_name);
    mu_pki_key_free(m->root_key);
    mu_pki_key_free(m->issuing_key);
    mu_pki_key_free(m->ra_key);
    mu_pki_cert_free(m->root);
    mu_pki_cert_free(m->issuing);
    mu_pki_cert_free(m->ra);
}

static enum mu_code default_profile(
    struct mu_ca *ca, const char *name, const char *settings, struct mu_err *err)
{
    const struct mu_record_profile row = {
        .name = name, .settings = settings, .created_s = mu_env_now(ca->config.env)};
    struct mu_store_change change = {.profile = &row, .profile_put = MU_STORE_CREATE};
    enum mu_code rc =
        mu_ca_change(ca, &change, false, "profile", "", err, "Profile '%s' made", name);

    return rc == MU_DENIED ? MU_OK : rc; /* it is there */
}

static enum mu_code store_ca(struct making *m, struct mu_err *err)
{
    struct mu_buf chain = {0};
    struct mu_record_ca row = {.name = m->init->name,
        .key_ref = m->init->issuing_subject != NULL ? m->ca_ref : m->root_ref,
        .ra_key_ref = m->ra_ref,
        .settings = m->init->settings,
        .created_s = mu_env_now(m->ca->config.env)};
    struct mu_store_change change = {.ca = &row, .ca_put = MU_STORE_CREATE};
    enum mu_code rc;

    mu_buf_put_bytes(&chain, m->issuing->der);
    if (m->issuing != m->root)
        mu_buf_put_bytes(&chain, m->root->der);
    if ((rc = mu_buf_check(&chain, "CA certificates", err)) == MU_OK) {
        row.chain = mu_buf_bytes(&chain);
        if (m->ra != NULL)
            row.ra = m->ra->der;
        rc = mu_ca_change(
            m->ca, &change, true, "ca", m->init->operator, err, "CA '%s' made", row.name);
        if (rc == MU_DENIED)
            rc = mu_err_set(err, MU_DENIED, MU_REASON_NONE, "there is a CA '%s' already", row.name);
    }
    mu_buf_clear(&chain);
    return rc;
}

static bool is_taken(struct mu_ca *ca, const char *name)
{
    struct mu_ca_snapshot *s = mu_ca_snapshot_get(ca);
    bool taken = mu_ca_snapshot_find(s, name) != NULL;

    mu_ca_snapshot_free(s);
    return taken;
}

enum mu_code mu_ca_init(struct mu_ca *ca, const struct mu_ca_init *init, struct mu_err *err)
{
    struct mu_ca_init copy = *init;
    struct making m = {.ca = ca, .init = &copy};
    enum mu_code rc;

    if (copy.settings == NULL)
        copy.settings = "";
    if (!mu_text_is_entry_name(init->name))
        return mu_err_set(
            err, MU_INPUT, MU_M(706), "that is no name for a CA: letters, digits, '.', '_', '-'");
    if (is_taken(ca, init->name))
        return mu_err_set(err, MU_DENIED, MU_REASON_NONE, "there is a CA '%s' already", init->name);
    if ((rc = mu_ca_settings_parse(init->name, copy.settings, NULL, err)) != MU_OK)
        return rc;
    snprintf(m.root_ref, sizeof m.root_ref, init->issuing_subject != NULL ? "%.64s-root" : "%.64s",
        init->name);
    snprintf(m.ca_ref, sizeof m.ca_ref, "%.64s", init->name);
    if ((rc = make_root(&m, err)) != MU_OK || (rc = make_issuing(&m, err)) != MU_OK)
        goto out;
    if (init->with_ra) {
        snprintf(m.ra_ref, sizeof m.ra_ref, "%.64s-ra", init->name);
        if ((rc = mu_ca_certify_key(ca, &init->ra_key, m.ra_ref, &m.ra_key, err)) != MU_OK
            || (rc = certify_ra(ca, m.issuing, m.issuing_key, m.ra_key, &m.ra, err)) != MU_OK)
            goto out;
    } else if (!mu_pki_key_can_encrypt(m.issuing_key)) {
        rc = mu_err_set(
            err, MU_INPUT, MU_M(305), "a CA whose key is not RSA needs an RA certificate for SCEP");
        goto out;
    }
    if ((rc = default_profile(ca, "default", "", err)) == MU_OK
        && (rc = store_ca(&m, err)) == MU_OK)
        rc = mu_ca_crl(ca, init->name, NULL, err); /* CA-19 */
out:
    making_clear(&m);
    return rc;
}

/* ---- a successor ---- */

static enum mu_code chain_put(
    struct mu_buf *out, const struct mu_pki_certs *certs, size_t from, struct mu_err *err)
{
    for (size_t i = from; i < certs->n; i++)
        mu_buf_put_bytes(out, certs->v[i]->der);
    return mu_buf_check(out, "CA certificates", err);
}

/* The row of one as it is; chain, ra and next are written to the buffers given. */
static enum mu_code row_of(const struct mu_ca_one *one, struct mu_record_ca *row,
    struct mu_buf bufs[3], struct mu_err *err)
{
    enum mu_code rc;

    if ((rc = chain_put(&bufs[0], &one->ca.certs, 0, err)) != MU_OK
        || (rc = chain_put(&bufs[1], &one->ra.certs, 0, err)) != MU_OK
        || (rc = chain_put(&bufs[2], &one->next.certs, 0, err)) != MU_OK)
        return rc;
    *row = (struct mu_record_ca){.name = one->name,
        .chain = mu_buf_bytes(&bufs[0]),
        .key_ref = one->key_ref,
        .ra = mu_buf_bytes(&bufs[1]),
        .ra_key_ref = one->ra_key_ref,
        .next = mu_buf_bytes(&bufs[2]),
        .next_key_ref = one->next_key_ref,
        .settings = one->settings,
        .created_s = one->created_s};
    return MU_OK;
}

/* Calls change_row with the CA's row to be changed, and stores it. */
typedef enum mu_code change_row(struct mu_ca *ca, const struct mu_ca_one *one,
    struct mu_record_ca *row, struct mu_buf *spare, void *cookie, struct mu_err *err);

static enum mu_code change_ca(struct mu_ca *ca, const char *name, change_row *call, void *cookie,
    const char *action, const char *operator, const char * what, struct mu_err *err)
{
    struct mu_ca_snapshot *s = mu_ca_snapshot_get(ca);
    const struct mu_ca_one *one = mu_ca_snapshot_find(s, name);
    struct mu_buf bufs[4] = {{0}};
    struct mu_record_ca row;
    struct mu_store_change change = {.ca = &row, .ca_put = MU_STORE_REPLACE};
    enum mu_code rc;

    if (one == NULL) {
        rc = mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "there is no CA '%.64s'", name);
    } else if ((rc = row_of(one, &row, bufs, err)) == MU_OK
        && (rc = call(ca, one, &row, &bufs[3], cookie, err)) == MU_OK) {
        rc = mu_ca_change(ca, &change, true, action, operator, err, "CA '%s': %s", one->name, what);
    }
    for (size_t i = 0; i < 4; i++)
        mu_buf_clear(&bufs[i]);
    mu_ca_snapshot_free(s);
    return rc;
}

struct next_cookie {
    char ref[80], root_ref[80];
};

static enum mu_code next_row(struct mu_ca *ca, const struct mu_ca_one *one,
    struct mu_record_ca *row, struct mu_buf *spare, void *cookie, struct mu_err *err)
{
    struct next_cookie *n = cookie;
    struct mu_pki_cert *cert = one->ca.certs.v[0],
                       *root = one->ca.certs.n > 1 ? one->ca.certs.v[1] : NULL, *fresh = NULL;
    struct mu_pki_key *key = NULL, *root_key = NULL;
    struct mu_pki_key_spec spec = {0};
    struct mu_ca_plan plan = {.subject = cert->subject,
        .is_ca = true,
        .path_len = root != NULL ? 0 : -1,
        .key_usage = KU_CA | KU_ANSWERS,
        .lifetime_s = cert->not_after_s - cert->not_before_s - MU_CA_BACKDATE_S,
        .issuer = root};
    enum mu_code rc;

    if (one->ca.key == NULL)
        return mu_err_set(
            err, MU_DENIED, MU_REASON_NONE, "CA '%s' has no key here: %s", one->name, one->why);
    mu_pki_key_spec_of(one->ca.key, &spec);
    spec = (struct mu_pki_key_spec){MU_PKI_KEY_RSA,
        spec.type == MU_PKI_KEY_RSA ? spec.bits : 2048}; /* it answers until activated */
    snprintf(
        n->ref, sizeof n->ref, "%.48s-next-%lld", one->name, (long long)mu_env_now(ca->config.env));
    snprintf(n->root_ref, sizeof n->root_ref, "%.64s-root", one->name);
    if (root != NULL
        && (rc = ca->config.key_load(ca->config.key_cookie, n->root_ref, &root_key, err)) != MU_OK)
        return rc;
    if ((rc = mu_ca_certify_key(ca, &spec, n->ref, &key, err)) == MU_OK) {
        plan.key = key;
        plan.issuer_key = root != NULL ? root_key : key;
        rc = mu_ca_certify(ca, &plan, &fresh, err);
    }
    if (rc == MU_OK) {
        mu_buf_put_bytes(spare, fresh->der);
        rc = chain_put(spare, &one->ca.certs, 1, err);
        row->next = mu_buf_bytes(spare);
        row->next_key_ref = n->ref;
    }
    mu_pki_key_free(key);
    mu_pki_key_free(root_key);
    mu_pki_cert_free(fresh);
    return rc;
}

enum mu_code mu_ca_next(
    struct mu_ca *ca, const char *name, const char *operator, struct mu_err * err)
{
    struct next_cookie n;
    enum mu_code rc = change_ca(ca, name, next_row, &n, "ca", operator, "successor made", err);

    return rc == MU_OK ? mu_ca_links_make(ca, name, operator, err) : rc;
}

static enum mu_code activate_row(struct mu_ca *ca, const struct mu_ca_one *one,
    struct mu_record_ca *row, struct mu_buf *spare, void *cookie, struct mu_err *err)
{
    struct mu_pki_cert *ra = NULL;
    enum mu_code rc = MU_OK;

    if (one->next.certs.n == 0 || one->next.key == NULL)
        return mu_err_set(err, MU_DENIED, MU_REASON_NONE,
            "CA '%s' has no successor that could be activated", one->name);
    row->chain = row->next;
    row->key_ref = one->next_key_ref;
    row->next = (struct mu_bytes){0};
    row->next_key_ref = "";
    if (one->ra.key == NULL)
        return MU_OK;
    if ((rc = certify_ra(ca, one->next.certs.v[0], one->next.key, one->ra.key, &ra, err))
        == MU_OK) {
        mu_buf_put_bytes(spare, ra->der);
        rc = mu_buf_check(spare, "RA certificate", err);
        row->ra = mu_buf_bytes(spare);
    }
    mu_pki_cert_free(ra);
    return rc;
}

enum mu_code mu_ca_activate(
    struct mu_ca *ca, const char *name, const char *operator, struct mu_err * err)
{
    enum mu_code rc =
        change_ca(ca, name, activate_row, NULL, "ca", operator, "successor activated", err);

    if (rc == MU_OK && mu_ca_kga_is(ca, name))
        rc = mu_ca_kga(ca, name, operator, err);
    return rc != MU_OK ? rc : mu_ca_crl(ca, name, NULL, err);
}

static enum mu_code set_row(struct mu_ca *ca, const struct mu_ca_one *one, struct mu_record_ca *row,
    struct mu_buf *spare, void *cookie, struct mu_err *err)
{
    row->settings = cookie;
    return mu_ca_settings_parse(one->name, cookie, NULL, err);
}

enum mu_code mu_ca_set(struct mu_ca *ca, const char *name, const char *settings,
    const char *operator, struct mu_err * err)
{
    return change_ca(
        ca, name, set_row, (void *)(uintptr_t)settings, "ca", operator, "settings changed", err);
}

/* ---- the demo (ACCEPTANCE 'Fixture') ---- */

/* Not named like its password: names are in lists and logs. */
static enum mu_code demo_entry(struct mu_ca *ca, const char *name, const char *password,
    const char *profile, unsigned protocols, struct mu_err *err)
{
    struct mu_ca_kept kept = {0};
    struct mu_record_entry row = {.name = name,
        .protocols = protocols,
        .profile = profile,
        .created_s = mu_env_now(ca->config.env)};
    struct mu_store_change change = {.entry = &row, .entry_put = MU_STORE_CREATE};
    enum mu_code rc = mu_ca_password_keep(ca, name, mu_bytes_str(password), &kept, err);

    if (rc != MU_OK)
        return rc;
    mu_ca_kept_put(&kept, &row);
    rc = mu_ca_change(ca, &change, false, "entry", "", err, "Entry '%s' made", name);
    return rc == MU_DENIED ? MU_OK : rc;
}

enum mu_code mu_ca_demo(struct mu_ca *ca, struct mu_err *err)
{
#define DEMO_SCEP                                                                                  \
    "subject-drop = C\nsubject-set = OU=AS\nlifetime = 365d\nrenew-before = any\n"                 \
    "renew-after = 365d\nmax-requests = 0\nkey-usage = digitalSignature, keyEncipherment\n"        \
    "eku = serverAuth, clientAuth\nusage-from-request = yes\n"
    static const struct {
        const char *name, *settings;
    } profiles[] = {
        {"scep-auto", DEMO_SCEP "password = random reusable\n"},
        {"scep-manual", DEMO_SCEP "password = random reusable\napproval = manual\n"},
        {"est",
            "protocols = est\nsubject-drop = DC\nsan = drop\nlifetime = 365d\nrenew-before = any\n"
            "renew-after = 365d\nmax-requests = 0\nkey-usage = digitalSignature\neku = none\n"
            "critical = none\npointers = no\nca-in-reply = no\n"
            "csrattrs = 1.3.6.1.1.1.1.22, emailAddress, secp384r1, sha384\nkeygen = yes\n"},
        {"cmp",
            "protocols = cmp\nlifetime = 365d\nrenew-before = any\nmax-requests = 0\n"
            "keys = rsa:2048, ec:P-256, ec:P-384, ec:P-521, ed25519\nkeygen = yes\n"
            "key-usage = digitalSignature, keyEncipherment\neku = serverAuth, clientAuth\n"},
    };
    static const struct mu_ca_init init = {.name = MU_CA_DEMO_NAME,
        .root_subject = MU_CA_DEMO_SUBJECT,
        .settings = "no-challenge = scep-manual\nest = est\nlabels = iot:est\ndefault = yes\n",
        .operator= "" };
    static const struct {
        const char *name, *password, *profile;
        unsigned protocols;
    } entries[] = {
        {"demo-auto", "challenge1", "scep-auto", 1u << MU_PROTO_SCEP},
        {"demo-manual", "challenge2", "scep-manual", 1u << MU_PROTO_SCEP},
        {"estuser", "estpwd", "est", 1u << MU_PROTO_EST},
        {"fgt100f", "fortinet1", "cmp", 1u << MU_PROTO_CMP},
        {"srpuser", "srppwd", "est", 1u << MU_PROTO_EST | MU_RECORD_ENTRY_SRP},
    };
    enum mu_code rc = MU_OK;

    for (size_t i = 0; rc == MU_OK && i < sizeof profiles / sizeof profiles[0]; i++)
        rc = default_profile(ca, profiles[i].name, profiles[i].settings, err);
    for (size_t i = 0; rc == MU_OK && i < sizeof entries / sizeof entries[0]; i++)
        rc = demo_entry(ca, entries[i].name, entries[i].password, entries[i].profile,
            entries[i].protocols, err);
    if (rc != MU_OK)
        return rc;
    rc = is_taken(ca, MU_CA_DEMO_NAME) ? mu_ca_reload(ca, err) : mu_ca_init(ca, &init, err);
    return rc == MU_OK && !mu_ca_kga_is(ca, MU_CA_DEMO_NAME)
        ? mu_ca_kga(ca, MU_CA_DEMO_NAME, "", err)
        : rc;
}
