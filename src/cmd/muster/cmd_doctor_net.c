/* What the doctor asks over the network: the CA's server, and the services that present the certificate. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent_verify.h"
#include "base/text.h"
#include "cmd/muster/cmd_doctor.h"

enum { CLOCK_MAX_S = 60 };

/* ---- the CA's server ---- */

static const char *check_of(const struct mu_err *err)
{
    unsigned m = err->reason;

    return m == 101                                     ? "DNS"
        : m == 102 || m == 103 || m == 104 || m == 106 ? "connection"
        : m >= 209 && m <= 214                         ? "CA shown"
        : m >= 200 && m < 300                          ? "TLS"
                                                       : "protocol";
}

static bool pin_fits(const struct mu_pki_certs *certs, const char *pin)
{
    struct mu_buf want = {0}, seen = {0};
    bool fits = false;

    if (mu_text_unhex(pin, &want, NULL) == MU_OK)
        for (size_t i = 0; i < certs->n && !fits; i++)
            fits = mu_bytes_equal(mu_buf_bytes(&want), mu_bytes(certs->v[i]->sha256, sizeof certs->v[i]->sha256));
    mu_buf_clear(&want);
    mu_buf_clear(&seen);
    return fits;
}

static bool is_vouched(struct mu_cmd_doctor *d, const struct mu_pki_certs *certs, const struct mu_pki_certs *trusted)
{
    const struct mu_pki_path_opts opts = {.now_s = mu_env_now(&d->cmd->env), .partial = true, .any_time = true,
        .allow_legacy = true};

    for (size_t i = 0; i < certs->n; i++)
        if (mu_pki_path_check(certs->v[i], certs, trusted, &opts, NULL) == MU_OK)
            return true;
    return false;
}

static void colons(const struct mu_pki_cert *cert, struct mu_buf *out)
{
    mu_text_hex(out, mu_bytes(cert->sha256, sizeof cert->sha256), ':');
}

/* The certificates that the CA shows of itself: pinned, or known here. */
static void check_shown(struct mu_cmd_doctor *d, const struct mu_client_result *answer)
{
    const struct mu_agent_settings *s = &d->entry.settings;
    struct mu_pki_certs trusted = {0};
    struct mu_buf fp = {0};
    struct mu_err err = {0};

    if (answer == NULL || answer->ca_certs == NULL || answer->ca_certs->n == 0)
        return;
    colons(answer->ca != NULL ? answer->ca : answer->ca_certs->v[0], &fp);
    if (s->pin_sha256 != NULL && !pin_fits(answer->ca_certs, s->pin_sha256)) {
        mu_err_set(&err, MU_AUTH, MU_M(211), "the CA's SHA-256 is %s, pinned is %s", mu_buf_str(&fp), s->pin_sha256);
        mu_cmd_doctor_bad(d, "CA shown", &err);
    } else if (mu_keystore_ca_load(d->cmd->store, s->trust, &trusted, NULL) == MU_OK && trusted.n > 0
        && !is_vouched(d, answer->ca_certs, &trusted) && s->pin_sha256 == NULL) {
        mu_err_set(&err, MU_AUTH, MU_M(209), "the CA that %s shows is not known here", s->url);
        mu_err_next(&err, "compare SHA-256 %s with the CA's operator, then muster ca fetch %s and muster ca trust FILE",
            mu_buf_str(&fp), s->url);
        mu_cmd_doctor_bad(d, "CA shown", &err);
    } else {
        mu_cmd_doctor_ok(d, "CA shown", "SHA-256 %s", mu_buf_str(&fp));
    }
    mu_pki_certs_clear(&trusted);
    mu_buf_clear(&fp);
}

static void check_server_clock(struct mu_cmd_doctor *d, const struct mu_agent_outcome *outcome)
{
    int64_t by = outcome->clock_difference_s;
    struct mu_err err = {0};

    if (!outcome->has_clock)
        return;
    if (by <= CLOCK_MAX_S && by >= -CLOCK_MAX_S) {
        mu_cmd_doctor_ok(d, "CA's clock", "%+lld s", (long long)by);
        return;
    }
    mu_err_set(&err, MU_INPUT, MU_M(801), "our clock and the server's differ by %+lld s", (long long)by);
    mu_cmd_doctor_bad(d, "CA's clock", &err);
}

static void on_probed(void *ctx, const struct mu_agent_outcome *outcome, const struct mu_err *err)
{
    struct mu_cmd_doctor *d = ctx;

    if (err != NULL && err->code == MU_UNSUPPORTED) {
        mu_cmd_doctor_note(d, "protocol", err);
    } else if (err != NULL) {
        mu_cmd_doctor_bad(d, check_of(err), err);
    } else {
        mu_cmd_doctor_ok(d, "server", "%s answers%s%s", outcome->url != NULL ? outcome->url : d->entry.settings.url,
            outcome->answer != NULL && outcome->answer->caps[0] != '\0' ? ": " : "",
            outcome->answer != NULL ? outcome->answer->caps : "");
        if (outcome->answer != NULL && outcome->answer->protection != NULL)
            mu_cmd_doctor_ok(d, "protection", "%s", outcome->answer->protection);
        check_server_clock(d, outcome);
        check_shown(d, outcome->answer);
    }
    mu_loop_stop(d->cmd->loop);
}

void mu_cmd_doctor_server(struct mu_cmd_doctor *d)
{
    const struct mu_agent_settings *s = &d->entry.settings;
    const struct mu_agent_host host = {.ctx = d, .on_done = on_probed};
    struct mu_agent_query query = {.op = MU_AGENT_QUERY_PROBE, .url = s->url, .settings = s,
        .only = s->protocol != NULL ? mu_proto_parse(s->protocol) : MU_PROTO_NONE};
    struct mu_agent_job *job = NULL;
    char stem[MU_KEYSTORE_STEM];
    struct mu_err err = {0};

    if (s->url == NULL) {
        mu_err_set(&err, MU_INPUT, MU_M(706), "%s has no url: nobody is asked", d->name);
        mu_err_next(&err, "muster config set %s ca NAME, or enroll it with --url", d->name);
        mu_cmd_doctor_note(d, "server", &err);
        return;
    }
    /* A CMP server answers nobody without a secret or a certificate: asked in the entry's name, if that has one. */
    if (query.only == MU_PROTO_CMP && mu_keystore_current(d->cmd->store, d->name, stem)) {
        query.op = MU_AGENT_QUERY_CA;
        query.name = d->name;
    }
    if (mu_agent_query(&d->cmd->agent, &query, &host, &job, &err) != MU_OK)
        mu_cmd_doctor_bad(d, check_of(&err), &err);
    else
        mu_loop_run(d->cmd->loop);
}

/* ---- services ---- */

static void on_verified(void *cookie, bool match, const char *serial, const struct mu_err *err)
{
    struct mu_cmd_doctor *d = cookie;
    struct mu_err shown = {0};

    if (match) {
        mu_cmd_doctor_ok(d, "in use", "presents %s", serial[0] != '\0' ? serial : d->facts.serial);
    } else {
        shown = *err;
        mu_err_next(&shown, "%s muster deploy %s", err->next, d->name);
        mu_cmd_doctor_bad(d, "in use", &shown);
    }
    mu_loop_stop(d->cmd->loop);
}

static void verify_one(struct mu_cmd_doctor *d, struct mu_bytes item, const struct mu_keystore_entry *entry)
{
    struct mu_agent_verify_spec spec;
    struct mu_agent_verify *running = NULL;
    struct mu_err err = {0};

    if (mu_agent_verify_parse(item, &spec, &err) != MU_OK
        || mu_agent_verify_start(&d->cmd->agent, &spec, entry->cert, entry->cert_file, true, on_verified, d, &running, &err)
            != MU_OK)
        mu_cmd_doctor_bad(d, "in use", &err);
    else
        mu_loop_run(d->cmd->loop);
}

void mu_cmd_doctor_services(struct mu_cmd_doctor *d)
{
    struct mu_keystore_entry entry = {0};
    const char *p = d->entry.verify;

    if (p == NULL || mu_keystore_load(d->cmd->store, d->name, &entry, NULL) != MU_OK)
        return;
    while (*p != '\0') {
        size_t n;

        p += strspn(p, ", \t");
        n = strcspn(p, ",");
        if (n > 0)
            verify_one(d, mu_bytes(p, n), &entry);
        p += n;
    }
    mu_keystore_entry_clear(&entry);
}
