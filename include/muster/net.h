/* libmuster-net: an enrollment over the network in one call. */
#ifndef MUSTER_NET_H
#define MUSTER_NET_H

#include <muster/muster.h>

#ifdef __cplusplus
extern "C" {
#endif

/* All of it may be zero or NULL. */
struct muster_net_options {
    int timeout_s;         /* per request; 0: 30 */
    const char *proxy;     /* "host:port" or a URL */
    const char *source_ip;
    const char *tls_pem;   /* https: trusted CA certificates, instead of the system's; for EST those of the
                              enrollment vouch for the server too */
    void *context;         /* handed to the calls */
    /* A CA that is not known: true trusts it. NULL: false. */
    bool (*trust)(void *context, const char *ca_pem, const char *sha256);
    /* Keep this before the request goes out. false: nothing is sent. NULL: not kept. */
    bool (*state)(void *context, const void *state, size_t state_n);
    /* Certificate and key are there (muster_enrollment_certificate_pem and so on). false: the
     * enrollment fails. NULL: the caller takes them at the end. */
    bool (*save)(void *context, struct muster_enrollment *enrollment);
    /* The CA keeps us waiting. */
    void (*wait)(void *context, int64_t wait_s);
    /* HTTP and TLS, one line each. */
    void (*trace)(void *context, const char *line);
};

/* Runs it to its end and returns how it went. Blocks; polls while the CA answers PENDING. options may be
 * NULL. */
enum muster_code muster_enrollment_run(struct muster_enrollment *enrollment,
    const struct muster_net_options *options, struct muster_error *err);

#ifdef __cplusplus
}
#endif

#endif
