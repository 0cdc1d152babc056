/* What went wrong on the way, from curl's code and words to a sentence of the catalog. */
#include <errno.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <string.h>

#include <openssl/err.h>

#include "base/text.h"
#include "net/net_session.h"

const char *mu_net_fault_where(const struct mu_net_session *s, char *buf, size_t size)
{
    snprintf(buf, size, "%s%s%s:%u", s->url.is_ipv6 ? "[" : "", s->url.host,
        s->url.is_ipv6 ? "]" : "", s->url.port);
    return buf;
}

const char *mu_net_fault_proxy(const struct mu_net_session *s, char *buf, size_t size)
{
    const char *p = strstr(s->proxy, "://"), *at;

    p = p != NULL ? p + 3 : s->proxy;
    if ((at = strrchr(p, '@')) != NULL) /* what stands before it is a password */
        p = at + 1;
    return mu_text_escape_to(buf, size, mu_bytes(p, strcspn(p, "/")));
}

/* The other end of the connection: the proxy, if there is one. */
static const char *next_hop(const struct mu_net_session *s, char *buf, size_t size)
{
    return s->proxy != NULL ? mu_net_fault_proxy(s, buf, size) : mu_net_fault_where(s, buf, size);
}

static enum mu_code source_fault(struct mu_net_session *s, struct mu_err *err)
{
    struct ifaddrs *list = NULL;
    struct mu_buf text = {0};
    char shown[64], name[NI_MAXHOST];
    enum mu_code rc;

    if (getifaddrs(&list) == 0)
        for (struct ifaddrs *i = list; i != NULL; i = i->ifa_next) {
            int family = i->ifa_addr != NULL ? i->ifa_addr->sa_family : AF_UNSPEC;
            socklen_t len = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);

            if ((family == AF_INET || family == AF_INET6) && text.n < 256
                && getnameinfo(i->ifa_addr, len, name, sizeof(name), NULL, 0, NI_NUMERICHOST) == 0)
                mu_buf_putf(&text, "%s%s", text.n > 0 ? ", " : "", name);
        }
    rc = mu_err_set(err, MU_INPUT, MU_M(106), "Source address %s is not on this host.",
        mu_text_escape_to(shown, sizeof(shown), mu_bytes_str(s->source_ip)));
    if (text.n > 0)
        mu_err_next(err, "Choose one of %s.", mu_buf_str(&text));
    mu_buf_clear(&text);
    freeifaddrs(list);
    return rc;
}

static enum mu_code connect_fault(struct mu_net_session *s, struct mu_err *err)
{
    char where[320];
    long os = 0;

    if (s->refused_new)
        return mu_err_set(err, MU_NETWORK, MU_REASON_NONE,
            "The connection that the request is bound to is gone.");
    curl_easy_getinfo(s->easy, CURLINFO_OS_ERRNO, &os);
    next_hop(s, where, sizeof(where));
    if (os == ECONNREFUSED)
        return mu_err_set(err, MU_NETWORK, MU_M(102), "%s%s refused the connection.",
            s->proxy != NULL ? "The proxy " : "", where);
    if (os == EADDRNOTAVAIL && s->source_ip != NULL)
        return source_fault(s, err);
    return mu_err_set(err, MU_NETWORK, MU_M(103), "No answer from %s (%s).", where,
        os != 0 ? strerror((int)os) : "cannot connect");
}

static enum mu_code timeout_fault(struct mu_net_session *s, struct mu_err *err)
{
    char where[320];

    return mu_err_set(err, MU_NETWORK, MU_M(103), "No answer from %s in %d s.",
        s->connected ? mu_net_fault_where(s, where, sizeof(where)) : next_hop(s, where, sizeof(where)),
        s->timeout_s);
}

/* ---- TLS ---- */

static bool has_any(const char *text, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcasestr(text, *words) != NULL)
            return true;
    return false;
}

/* Under TLS 1.3 the handshake is over for us before the server has looked at our certificate: its
 * alert may be there before the request is sent, and then curl tells no more than that this failed. */
static void take_alert(struct mu_net_session *s, CURLcode code)
{
    const char *words;

    if (code == CURLE_SEND_ERROR)
        mu_net_verify_hear(s);
    if (s->alert == 0 || s->alert > UINT8_MAX || strstr(s->fault, "SSL routines") != NULL)
        return;
    words = ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, SSL_AD_REASON_OFFSET + s->alert));
    if (words != NULL)
        snprintf(s->fault, sizeof(s->fault), "SSL routines::%s", words);
}

/* OpenSSL's "error:0A000418:SSL routines::tlsv1 alert unknown ca": what stands behind the last
 * colon, without curl's errno behind it. */
static const char *tls_words(const struct mu_net_session *s, char *buf, size_t size)
{
    const char *p = strstr(s->fault, "::");
    size_t n;

    p = p != NULL ? p + 2 : s->fault;
    n = strcspn(p, ",");
    return mu_text_escape_to(buf, size, mu_bytes(p, n));
}

/* RFC 5054 2.5.1.3 and 2.9: bad_record_mac is a wrong password; an unknown name may look so too. */
static enum mu_code srp_fault(const char *words, struct mu_err *err)
{
    mu_err_set(err, MU_AUTH, MU_M(206), "TLS-SRP login failed (%s).", words);
    if (strcasestr(words, "handshake failure") != NULL)
        mu_err_likely(err, "The server does not offer TLS-SRP on this port.");
    return MU_AUTH;
}

/* Whatever is in curl's words of an alert or of a handshake that failed; MU_OK if nothing. */
static enum mu_code tls_fault(struct mu_net_session *s, CURLcode code, struct mu_err *err)
{
    static const char *const certificate[] = {"alert bad certificate", "alert unsupported certificate",
        "alert certificate", "alert unknown ca", "alert access denied", "certificate required",
        "certificate unknown", "certificate revoked", "certificate expired", NULL};
    static const char *const no_tls[] = {
        "wrong version number", "packet length too long", "http request", "record layer failure", NULL};
    static const char *const login[] = {"bad record mac", "decrypt error", "psk identity",
        "handshake failure", "illegal parameter", "srp", "decryption failed", NULL};
    char words[160], where[320];

    if (strcasecmp(s->url.scheme, "https") != 0 && strcasecmp(s->url.scheme, "ldaps") != 0)
        return MU_OK;
    take_alert(s, code);
    tls_words(s, words, sizeof(words));
    /* curl takes this alert for a verdict of our own side, and those were dealt with before. */
    if (strcasestr(s->fault, "certificate verification failed") != NULL)
        snprintf(words, sizeof(words), "alert certificate expired");
    if (has_any(s->fault, certificate) || strstr(words, "certificate expired") != NULL)
        return mu_err_set(
            err, MU_AUTH, MU_M(207), "The server refused our client certificate (%s).", words);
    if (has_any(s->fault, no_tls)) {
        mu_err_set(err, MU_NETWORK, MU_M(205), "%s does not speak TLS (%s).",
            mu_net_fault_where(s, where, sizeof(where)), words);
        mu_err_likely(err, "A plain HTTP service on this port.");
        return MU_NETWORK;
    }
    if (s->srp_user != NULL && has_any(s->fault, login))
        return srp_fault(words, err);
    if (strstr(s->fault, "SSL routines") == NULL && !s->connected && s->opened)
        return mu_err_set(err, MU_NETWORK, MU_M(205), "%s ended the connection in the TLS handshake.",
            mu_net_fault_where(s, where, sizeof(where)));
    if (strstr(s->fault, "SSL routines") == NULL)
        return MU_OK;
    return mu_err_set(err, MU_NETWORK, MU_M(205), "No common TLS version or cipher (%s).", words);
}

/* ---- the answer ---- */

static enum mu_code partial_fault(struct mu_net_session *s, struct mu_err *err)
{
    curl_off_t expected = -1;
    char where[320];

    curl_easy_getinfo(s->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &expected);
    if (s->response.status != 0 && expected >= 0)
        return mu_err_set(err, MU_NETWORK, MU_M(506), "The answer stopped after %zu of %lld bytes.",
            s->response.body.n, (long long)expected);
    if (s->response.status != 0)
        return mu_err_set(err, MU_NETWORK, MU_M(506), "The answer stopped after %zu bytes.",
            s->response.body.n);
    mu_err_set(err, MU_NETWORK, MU_REASON_NONE, "%s closed the connection without an answer.",
        mu_net_fault_where(s, where, sizeof(where)));
    mu_err_likely(err, "The service restarts, or something in between cuts connections.");
    mu_err_next(err, "Try again; `muster probe` if it stays so.");
    return MU_NETWORK;
}

static enum mu_code too_long(struct mu_net_session *s, struct mu_err *err)
{
    return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "The answer is longer than %zu bytes.", s->max_body);
}

static enum mu_code other_fault(struct mu_net_session *s, CURLcode code, struct mu_err *err)
{
    char words[320];
    enum mu_code rc = tls_fault(s, code, err);

    if (rc != MU_OK)
        return rc;
    switch (code) {
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return partial_fault(s, err);
    case CURLE_OUT_OF_MEMORY:
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
    case CURLE_UNSUPPORTED_PROTOCOL: /* what begins without "HTTP/", as our URLs are checked */
    case CURLE_WEIRD_SERVER_REPLY:
        return mu_err_set(err, MU_NETWORK, MU_REASON_NONE, "%s answers, but not with HTTP.",
            mu_net_fault_where(s, words, sizeof(words)));
    default:
        return mu_err_set(err, MU_NETWORK, MU_REASON_NONE, "The exchange failed: %s.",
            mu_text_escape_to(words, sizeof(words),
                mu_bytes_str(s->fault[0] != '\0' ? s->fault : curl_easy_strerror(code))));
    }
}

enum mu_code mu_net_fault(struct mu_net_session *s, CURLcode code, struct mu_err *err)
{
    char where[320];
    long proxy_status = 0;

    if (s->err.code != MU_OK) { /* found where it happened */
        *err = s->err;
        return err->code;
    }
    if (s->body_too_long)
        return too_long(s, err);
    curl_easy_getinfo(s->easy, CURLINFO_HTTP_CONNECTCODE, &proxy_status);
    if (s->proxy != NULL && proxy_status != 0 && proxy_status / 100 != 2)
        return mu_err_set(err, MU_NETWORK, MU_M(104), "Proxy %s answered %ld.",
            mu_net_fault_proxy(s, where, sizeof(where)), proxy_status);
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return mu_err_set(err, MU_NETWORK, MU_M(101),
            "Name %s could not be resolved (no address found).", s->url.host);
    case CURLE_COULDNT_RESOLVE_PROXY:
        return mu_err_set(err, MU_NETWORK, MU_M(101),
            "Name %s of the proxy could not be resolved (no address found).",
            mu_net_fault_proxy(s, where, sizeof(where)));
    case CURLE_INTERFACE_FAILED:
        return source_fault(s, err);
    case CURLE_COULDNT_CONNECT:
        return connect_fault(s, err);
    case CURLE_OPERATION_TIMEDOUT:
        return timeout_fault(s, err);
    case CURLE_FILESIZE_EXCEEDED:
        return too_long(s, err);
    default:
        return other_fault(s, code, err);
    }
}
