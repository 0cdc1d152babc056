/* Who is at the other end of a connection: address or uid, and what the handshake told. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>

#include "base/limits.h"
#include "net/net_conn.h"

enum { MAX_GROUPS = 256 }; /* of one process; who has more is judged by its first group alone */

static void put_cert(struct mu_buf *out, X509 *x)
{
    int n = i2d_X509(x, NULL);
    uint8_t *p = n > 0 ? mu_buf_grow(out, (size_t)n) : NULL;

    if (p != NULL)
        i2d_X509(x, &p);
}

void mu_net_peer_learn_tls(struct mu_net_peer *peer, SSL *ssl)
{
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl); /* a server's has no leaf in it */
    X509 *leaf = SSL_get0_peer_certificate(ssl);
    const char *user = mu_net_srp_user(ssl);

    peer->facts.tls = true;
    peer->facts.tls_version = SSL_version(ssl);
    if (leaf != NULL)
        put_cert(&peer->client_cert, leaf);
    for (int i = 0; leaf != NULL && i < sk_X509_num(chain) && i < MU_LIMIT_CERTS; i++)
        put_cert(&peer->client_chain, sk_X509_value(chain, i));
    peer->facts.client_cert = mu_buf_bytes(&peer->client_cert);
    peer->facts.client_chain = mu_buf_bytes(&peer->client_chain);
    if (user != NULL && mu_buf_put_str(&peer->srp_user, user))
        peer->facts.srp_user = mu_buf_str(&peer->srp_user);
    ERR_clear_error();
}

void mu_net_peer_learn_binding(struct mu_net_peer *peer, SSL *ssl)
{
    mu_net_tls_binding(ssl, &peer->binding);
    peer->facts.tls_unique = mu_bytes(peer->binding.unique, peer->binding.unique_n);
    peer->facts.tls_exporter = mu_bytes(peer->binding.exporter, peer->binding.exporter_n);
}

/* The groups of the process at the other end when it connected, not those of the user's database: no
 * directory service is asked, which might wait. */
static bool is_member(int fd, gid_t own, int64_t group)
{
    gid_t groups[MAX_GROUPS];
    socklen_t len = sizeof(groups);

    if (group == 0 || (int64_t)own == group)
        return group != 0;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) != 0)
        return false;
    for (size_t i = 0; i < len / sizeof(groups[0]); i++)
        if ((int64_t)groups[i] == group)
            return true;
    return false;
}

void mu_net_peer_learn_address(
    struct mu_net_peer *peer, int fd, const struct sockaddr_storage *from, int64_t group)
{
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)from;
    struct ucred cred;
    socklen_t len = sizeof(cred);
    char *address = peer->facts.address;
    size_t size = sizeof(peer->facts.address);

    peer->facts.uid = -1;
    if (from->ss_family == AF_INET) {
        inet_ntop(AF_INET, &v4->sin_addr, address, size);
        peer->facts.port = ntohs(v4->sin_port);
    } else if (from->ss_family == AF_INET6) {
        if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
            inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], address, size);
        else
            inet_ntop(AF_INET6, &v6->sin6_addr, address, size);
        peer->facts.port = ntohs(v6->sin6_port);
    } else {
        peer->facts.is_unix = true;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0) {
            peer->facts.uid = (int64_t)cred.uid;
            peer->facts.in_group = is_member(fd, cred.gid, group);
        }
    }
}

void mu_net_peer_clear(struct mu_net_peer *peer)
{
    mu_buf_clear(&peer->client_cert);
    mu_buf_clear(&peer->client_chain);
    mu_buf_clear(&peer->srp_user);
}
