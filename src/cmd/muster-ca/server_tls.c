#include "cmd/muster-ca/server_tls.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "keystore/keystore.h"

bool server_tls_is_wanted(const struct instance_conf *conf)
{
    for (size_t i = 0; i < conf->listen_n; i++)
        if (conf->listen[i].tls)
            return true;
    return false;
}

/* ---- from files ---- */

static enum mu_code from_files(
    const struct instance_conf *conf, struct server_tls *out, struct mu_err *err)
{
    struct mu_pki_key *certified;
    struct mu_buf text = {.max = MU_LIMIT_FILE};
    enum mu_code rc;

    if (conf->tls_cert == NULL || conf->tls_key == NULL)
        return mu_err_set(
            err, MU_INPUT, MU_M(706), "%s: tls-cert and tls-key go together", conf->file);
    if ((rc = mu_keystore_key_read(conf->tls_key, NULL, &out->tls.key, err)) != MU_OK)
        return rc;
    if ((rc = mu_keystore_file_read(conf->tls_cert, MU_KEYSTORE_PUBLIC, &text, err)) == MU_OK)
        rc = mu_pki_certs_decode(mu_buf_bytes(&text), &out->tls.chain, err);
    if (rc == MU_OK && out->tls.chain.n == 0)
        rc = mu_err_set(
            err, MU_INPUT, MU_REASON_NONE, "there is no certificate in %s", conf->tls_cert);
    if (rc == MU_OK
        && (rc = mu_pki_cert_key(out->tls.chain.v[0], &certified, err)) == MU_OK
        && !mu_pki_key_equal(out->tls.key, certified))
        rc = mu_err_set(err, MU_INPUT, MU_M(708), "%s is not the key of the certificate in %s",
            conf->tls_key, conf->tls_cert);
    mu_buf_clear(&text);
    return rc;
}

/* ---- issued here ---- */

static enum mu_code issued(struct instance *instance, struct server_tls *out, struct mu_err *err)
{
    const struct instance_conf *conf = instance->conf;
    /* SRP suites with a certificate want RSA; every client knows it. */
    const struct mu_pki_key_spec spec = conf->tls_srp
        ? (struct mu_pki_key_spec){MU_PKI_KEY_RSA, 2048}
        : (struct mu_pki_key_spec){MU_PKI_KEY_EC, 256};
    char host[256] = "localhost", names[600];
    struct mu_ca_tls wish = {.ca = conf->tls_ca, .names = names};
    enum mu_code rc;

    if (!conf->demo && gethostname(host, sizeof host - 1) != 0)
        snprintf(host, sizeof host, "localhost");
    wish.common_name = conf->demo ? "127.0.0.1" : host;
    if (conf->tls_names != NULL)
        snprintf(names, sizeof names, "%s", conf->tls_names);
    else
        snprintf(names, sizeof names, "%s%s%sDNS:localhost,IP:127.0.0.1,IP:::1",
            strcmp(host, "localhost") != 0 ? "DNS:" : "",
            strcmp(host, "localhost") != 0 ? host : "",
            strcmp(host, "localhost") != 0 ? "," : "");
    out->is_issued = true;
    if ((rc = mu_pki_key_generate(&spec, &out->tls.key, err)) != MU_OK)
        return rc;
    return mu_ca_tls_make(instance->ca, &wish, out->tls.key, &out->tls.chain, err);
}

/* ---- TLS-SRP ---- */

static bool srp_lookup(void *cookie, const char *user, struct mu_net_srp_login *out)
{
    const struct instance *instance = cookie;

    out->salt_n = MU_CA_SRP_SALT;
    return mu_ca_srp(instance->ca, user, out->salt, &out->password);
}

enum mu_code server_tls_open(
    struct instance *instance, struct server_tls *out, struct mu_err *err)
{
    const struct instance_conf *conf = instance->conf;
    struct server_tls made = {.tls = {.ask_client_cert = true, .send_root = conf->tls_send_root}};
    enum mu_code rc = conf->tls_cert != NULL || conf->tls_key != NULL
        ? from_files(conf, &made, err)
        : issued(instance, &made, err);

    if (conf->tls_srp)
        made.tls.srp = (struct mu_net_srp){srp_lookup, instance};
    if (rc != MU_OK)
        server_tls_close(&made);
    else
        *out = made;
    return rc;
}

void server_tls_close(struct server_tls *tls)
{
    mu_pki_key_free(tls->tls.key);
    mu_pki_certs_clear(&tls->tls.chain);
    *tls = (struct server_tls){0};
}

bool server_tls_is_due(const struct server_tls *tls, int64_t now_s)
{
    const struct mu_pki_cert *cert;

    if (!tls->is_issued || tls->tls.chain.n == 0)
        return false;
    cert = tls->tls.chain.v[0];
    return now_s > cert->not_after_s - (cert->not_after_s - cert->not_before_s) / 3;
}
