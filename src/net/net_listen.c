/* Listening sockets, of addresses and of Unix socket files: one per worker where there can be. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/text.h"
#include "net/net_conn.h"

enum { BACKLOG = 1024 };

static enum mu_code listen_failed(struct mu_err *err, const char *address, const char *port, int why)
{
    char shown[128];

    mu_err_set(err, why == EADDRINUSE ? MU_BUSY : MU_NETWORK, MU_REASON_NONE,
        "cannot listen on %s%s%s: %s",
        mu_text_escape_to(shown, sizeof(shown), mu_bytes_str(address)), *port != '\0' ? " port " : "",
        port, strerror(why));
    if (why == EADDRINUSE)
        mu_err_likely(err, "Another program, or another one of us, listens there.");
    else if (why == EACCES)
        mu_err_likely(err, "Ports below 1024 need CAP_NET_BIND_SERVICE.");
    return err == NULL ? MU_NETWORK : err->code;
}

static bool set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

/* A bound socket. The first of an endpoint gets SO_REUSEPORT only after its bind, so a port that
 * another process listens on is refused rather than shared with it. */
static int bind_tcp(const struct sockaddr *sa, socklen_t len, bool first)
{
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), saved;
    const struct sockaddr_in6 *v6 = (const void *)sa;
    bool ok;

    if (fd < 0)
        return -1;
    ok = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1)
        /* accepted sockets inherit it: head and body of TLS answers may be two segments */
        && set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1)
        && (first || set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1));
    if (ok && sa->sa_family == AF_INET6)
        ok = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr) ? 0 : 1);
    ok = ok && bind(fd, sa, len) == 0 && (!first || set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1))
        && listen(fd, BACKLOG) == 0;
    if (ok)
        return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage sa = {0};
    socklen_t len = sizeof(sa);

    if (getsockname(fd, (struct sockaddr *)&sa, &len) != 0)
        return 0;
    return ntohs(sa.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&sa)->sin6_port
                                          : ((struct sockaddr_in *)&sa)->sin_port);
}

static void set_port(struct sockaddr_storage *sa, uint16_t port)
{
    if (sa->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)sa)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)sa)->sin_port = htons(port);
}

static enum mu_code listen_tcp(struct mu_net_endpoint *e, unsigned workers,
    const struct mu_net_listener *listener, uint16_t *port, struct mu_err *err)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *ai;
    struct sockaddr_storage sa = {0};
    char service[8], shown[128];
    int rc;

    snprintf(service, sizeof(service), "%u", listener->port);
    rc = getaddrinfo(listener->address, service, &hints, &ai);
    if (rc != 0)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "cannot listen on %s: %s",
            mu_text_escape_to(shown, sizeof(shown), mu_bytes_str(listener->address)), gai_strerror(rc));
    memcpy(&sa, ai->ai_addr, ai->ai_addrlen);
    for (unsigned i = 0; i < workers; i++) {
        e->fds[i] = bind_tcp((struct sockaddr *)&sa, ai->ai_addrlen, i == 0);
        if (e->fds[i] < 0) {
            rc = errno;
            freeaddrinfo(ai);
            return listen_failed(err, listener->address, service, rc);
        }
        if (i == 0) {
            *port = bound_port(e->fds[0]);
            set_port(&sa, *port);
        }
    }
    freeaddrinfo(ai);
    return MU_OK;
}

/* A socket file whose owner is gone is removed; one that answers is not. */
static bool is_stale(const struct sockaddr_un *sa)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct stat st;
    bool stale;

    if (fd < 0)
        return false;
    stale = lstat(sa->sun_path, &st) == 0 && S_ISSOCK(st.st_mode)
        && connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) != 0 && errno == ECONNREFUSED;
    close(fd);
    return stale;
}

static enum mu_code listen_unix(
    struct mu_net_endpoint *e, const struct mu_net_listener *listener, struct mu_err *err)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    const char *path = listener->address + 5;
    enum mu_code rc;
    int why;

    if (*path == '\0' || strlen(path) >= sizeof(sa.sun_path))
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "the path of a Unix socket has 1 to %zu octets", sizeof(sa.sun_path) - 1);
    memcpy(sa.sun_path, path, strlen(path)); /* the rest is zero */
    if ((rc = mu_text_dup(path, &e->unix_path, err)) != MU_OK)
        return rc;
    if (is_stale(&sa))
        unlink(path);
    e->fds[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (e->fds[0] >= 0 && bind(e->fds[0], (struct sockaddr *)&sa, sizeof(sa)) == 0) {
        /* Nobody can connect before listen, so group and mode are in force in time. */
        if ((listener->unix_group == 0 || chown(path, (uid_t)-1, (gid_t)listener->unix_group) == 0)
            && chmod(path, (mode_t)(listener->unix_mode != 0 ? listener->unix_mode : 0600)) == 0
            && listen(e->fds[0], BACKLOG) == 0)
            return MU_OK;
        why = errno;
        unlink(path);
    } else {
        why = errno;
    }
    free(e->unix_path); /* not ours to remove */
    e->unix_path = NULL;
    return listen_failed(err, listener->address, "", why);
}

/* Nobody is accepted after this; an accepted connection does not need it. */
void mu_net_listen_close(struct mu_net_endpoint *e, unsigned workers)
{
    for (unsigned i = 0; i < workers; i++) {
        if (e->fds[i] >= 0)
            close(e->fds[i]);
        e->fds[i] = -1;
    }
    if (e->unix_path != NULL)
        unlink(e->unix_path);
    free(e->unix_path);
    e->unix_path = NULL;
}

void mu_net_listen_free(struct mu_net_endpoint *e, unsigned workers)
{
    if (e == NULL)
        return;
    if (e->fds != NULL)
        mu_net_listen_close(e, workers);
    SSL_CTX_free(e->tls);
    pthread_mutex_destroy(&e->tls_lock);
    free(e->fds);
    free(e);
}

static struct mu_net_endpoint *endpoint_new(const struct mu_net_listener *listener, unsigned workers)
{
    struct mu_net_endpoint *e = calloc(1, sizeof(*e));

    if (e == NULL)
        return NULL;
    pthread_mutex_init(&e->tls_lock, NULL);
    e->handler = listener->handler;
    e->cookie = listener->cookie;
    e->unix_group = listener->unix_group;
    e->max_body = listener->max_body != 0 ? listener->max_body : MU_LIMIT_MESSAGE;
    e->fds = malloc(workers * sizeof(*e->fds));
    if (e->fds == NULL) {
        mu_net_listen_free(e, workers);
        return NULL;
    }
    for (unsigned i = 0; i < workers; i++)
        e->fds[i] = -1;
    return e;
}

static enum mu_code context_new(struct mu_net_endpoint *e, const struct mu_net_tls *tls,
    SSL_CTX **out, struct mu_err *err)
{
    SSL_CTX *ctx = NULL;
    enum mu_code rc = mu_net_tls_server(tls, &ctx, err);

    if (rc == MU_OK && e->srp.lookup != NULL)
        rc = mu_net_srp_server(ctx, &e->srp, err);
    if (rc != MU_OK)
        SSL_CTX_free(ctx);
    else
        *out = ctx;
    return rc;
}

SSL *mu_net_listen_ssl(struct mu_net_endpoint *e)
{
    SSL *ssl;

    pthread_mutex_lock(&e->tls_lock);
    ssl = SSL_new(e->tls);
    pthread_mutex_unlock(&e->tls_lock);
    return ssl;
}

enum mu_code mu_net_listen_renew(
    struct mu_net_endpoint *e, const struct mu_net_tls *tls, struct mu_err *err)
{
    SSL_CTX *fresh = NULL, *old;
    enum mu_code rc = context_new(e, tls, &fresh, err);

    if (rc != MU_OK)
        return rc;
    pthread_mutex_lock(&e->tls_lock);
    old = e->tls;
    e->tls = fresh;
    pthread_mutex_unlock(&e->tls_lock);
    SSL_CTX_free(old); /* connections keep theirs */
    return MU_OK;
}

enum mu_code mu_net_listen_open(const struct mu_net_listener *listener, unsigned workers,
    struct mu_net_endpoint **out, uint16_t *port, struct mu_err *err)
{
    struct mu_net_endpoint *e = endpoint_new(listener, workers);
    enum mu_code rc;

    if (e == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
    if (listener->tls != NULL) {
        e->srp = listener->tls->srp;
        if ((rc = context_new(e, listener->tls, &e->tls, err)) != MU_OK)
            goto out;
    }
    if (mu_text_starts(listener->address, "unix:"))
        rc = listen_unix(e, listener, err);
    else
        rc = listen_tcp(e, workers, listener, port, err);
    if (rc != MU_OK)
        goto out;
    *out = e;
    e = NULL;
out:
    mu_net_listen_free(e, workers);
    return rc;
}
