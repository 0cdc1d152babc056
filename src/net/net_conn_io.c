/* Octets and events of one server connection, in the clear or over TLS. */
#include <errno.h>
#include <openssl/err.h>
#include <sys/uio.h>

#include "net/net_conn_internal.h"

/* ---- events ---- */

void mu_net_conn_want(struct event *event, bool *added, bool wanted)
{
    if (wanted && !*added)
        event_add(event, NULL);
    else if (!wanted && *added)
        event_del(event);
    *added = wanted;
}

/* OpenSSL may have read more than it gave us, of which the socket says nothing. */
void mu_net_conn_want_more(struct mu_net_conn *c)
{
    mu_net_conn_want(&c->readable, &c->reads, true);
    if (c->ssl != NULL && SSL_has_pending(c->ssl))
        event_active(&c->readable, EV_READ, 0);
}

void mu_net_conn_start_deadline(struct mu_net_conn *c)
{
    event_add(&c->deadline, c->worker->deadline_common);
}

/* ---- octets in and out; all return > 0, 0 at the end, -1 try later, -2 broken ---- */

ssize_t mu_net_conn_tls_result(struct mu_net_conn *c, int n)
{
    if (n > 0)
        return n;
    switch (SSL_get_error(c->ssl, n)) {
    case SSL_ERROR_WANT_READ:
        c->write_reads = c->state == CONN_WRITING;
        mu_net_conn_want(&c->readable, &c->reads, true);
        return -1;
    case SSL_ERROR_WANT_WRITE:
        mu_net_conn_want(&c->writable, &c->writes, true);
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        ERR_clear_error();
        return -2;
    }
}

ssize_t mu_net_conn_plain_result(struct mu_net_conn *c, ssize_t n)
{
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? -1 : -2;
}

ssize_t mu_net_conn_recv(struct mu_net_conn *c)
{
    struct mu_net_worker *w = c->worker;

    if (c->ssl != NULL) {
        ERR_clear_error();
        return mu_net_conn_tls_result(c, SSL_read(c->ssl, w->scratch, sizeof(w->scratch)));
    }
    return mu_net_conn_plain_result(c, recv(c->fd, w->scratch, sizeof(w->scratch), 0));
}

ssize_t mu_net_conn_send(struct mu_net_conn *c, struct mu_bytes first, struct mu_bytes second)
{
    struct iovec iov[2] = {{(void *)(uintptr_t)first.p, first.n}, {(void *)(uintptr_t)second.p, second.n}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    ssize_t n;

    if (c->ssl != NULL) {
        struct mu_bytes part = first.n > 0 ? first : second;

        ERR_clear_error();
        return mu_net_conn_tls_result(
            c, SSL_write(c->ssl, part.p, part.n > INT32_MAX ? INT32_MAX : (int)part.n));
    }
    n = mu_net_conn_plain_result(c, sendmsg(c->fd, &msg, MSG_NOSIGNAL));
    if (n == -1)
        mu_net_conn_want(&c->writable, &c->writes, true);
    return n;
}
