/* A certificate of the CA for the program's own TLS listener: made by the CA's rules, and recorded
 * like every other. */
#include <stdio.h>

#include "ca/ca_internal.h"
#include "pki/pki_name.h"

static enum mu_code request(const struct mu_ca_tls *wish, const struct mu_pki_key *key,
    struct mu_pki_csr **out, struct mu_err *err)
{
    struct mu_buf name = {0}, san = {0}, extensions = {0}, der = {0};
    struct mu_pki_csr_params params = {0};
    char subject[300];
    size_t mark;
    enum mu_code rc;

    snprintf(subject, sizeof subject, "CN=%.255s", wish->common_name);
    if ((rc = mu_pki_name_parse(subject, &name, err)) == MU_OK
        && (rc = mu_pki_san_parse(wish->names, &san, err)) == MU_OK) {
        mark = mu_der_open(&extensions, MU_DER_SEQUENCE);
        mu_pki_ext_put_san(&extensions, false, mu_buf_bytes(&san));
        mu_der_close(&extensions, mark);
        params.subject = mu_buf_bytes(&name);
        params.extensions = mu_buf_bytes(&extensions);
        rc = mu_pki_csr_make(&params, key, &der, err);
    }
    if (rc == MU_OK)
        rc = mu_pki_csr_decode(mu_buf_bytes(&der), out, err);
    mu_buf_clear(&name);
    mu_buf_clear(&san);
    mu_buf_clear(&extensions);
    mu_buf_clear(&der);
    return rc;
}

static enum mu_code decide(const struct mu_ca *ca, const struct mu_ca_one *one,
    const struct mu_pki_csr *csr, struct mu_enroll_grant *grant, struct mu_err *err)
{
    const struct mu_enroll_facts facts = {.csr = csr,
        .approved = true,
        .issuer = one->ca.certs.v[0],
        .crl_url = one->crl_url,
        .ocsp_url = one->ocsp_url,
        .ca_issuers_url = one->ca_issuers_url};
    struct mu_enroll_profile *p = NULL;
    enum mu_code rc = mu_enroll_profile_parse("tls",
        "lifetime = 90d\nkeys = rsa:2048, ec:P-256\neku = serverAuth\n"
        "key-usage = digitalSignature, keyEncipherment\n",
        &p, err);

    if (rc == MU_OK)
        rc = mu_enroll_profile_decide(p, &facts, ca->config.env, grant, err);
    mu_enroll_profile_free(p);
    return rc;
}

static enum mu_code record(struct mu_ca *ca, const struct mu_ca_one *one, struct mu_pki_cert *cert,
    struct mu_err *err)
{
    struct mu_ca_issue issue = {0};
    struct mu_store_change change = {.cert = &issue.row};
    enum mu_code rc = mu_ca_issue_row(&issue, mu_pki_cert_ref(cert), one, (struct mu_bytes){0},
        mu_env_now(ca->config.env), err);

    if (rc == MU_OK) {
        issue.row.profile = issue.row.entry = issue.row.transaction_id = "";
        rc = mu_ca_change(ca, &change, false, "tls", "", err, "%s", issue.message);
    }
    mu_ca_issue_clear(&issue);
    return rc;
}

static enum mu_code certify(struct mu_ca *ca, const struct mu_ca_one *one,
    const struct mu_ca_tls *wish, const struct mu_pki_key *key, struct mu_pki_certs *chain,
    struct mu_err *err)
{
    struct mu_enroll_grant grant = {0};
    struct mu_pki_csr *csr = NULL;
    struct mu_pki_cert *cert = NULL;
    enum mu_code rc;

    if ((rc = request(wish, key, &csr, err)) == MU_OK
        && (rc = decide(ca, one, csr, &grant, err)) == MU_OK
        && (rc = mu_ca_issue_sign(ca, one, false, &grant, csr, &cert, err)) == MU_OK
        && (rc = record(ca, one, cert, err)) == MU_OK)
        rc = mu_pki_certs_add(chain, cert, err);
    for (size_t i = 0; rc == MU_OK && i < one->ca.certs.n; i++)
        rc = mu_pki_certs_add(chain, one->ca.certs.v[i], err);
    mu_enroll_grant_clear(&grant);
    mu_pki_csr_free(csr);
    mu_pki_cert_free(cert);
    return rc;
}

enum mu_code mu_ca_tls_make(struct mu_ca *ca, const struct mu_ca_tls *wish,
    const struct mu_pki_key *key, struct mu_pki_certs *chain, struct mu_err *err)
{
    struct mu_ca_snapshot *s = mu_ca_snapshot_get(ca);
    const struct mu_ca_one *one = mu_ca_snapshot_find(s, wish->ca);
    struct mu_pki_certs made = {0};
    enum mu_code rc;

    if (one == NULL)
        rc = mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE,
            "there is no CA that could issue the TLS certificate");
    else if ((rc = certify(ca, one, wish, key, &made, err)) != MU_OK)
        mu_err_context(err, "the TLS certificate");
    if (rc == MU_OK) {
        *chain = made;
        made = (struct mu_pki_certs){0};
    }
    mu_pki_certs_clear(&made);
    mu_ca_snapshot_free(s);
    return rc;
}
