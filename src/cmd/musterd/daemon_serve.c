/* Requests from the server's thread to the loop's. */
#include "cmd/musterd/daemon_serve.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    MAX_CONNECTIONS = 64,
    MAX_BODY = 64 * 1024, /* the longest request has a few words */
    DEADLINE_S = 10,      /* for a request to arrive whole */
    GRACE_S = 2,
};

struct item {
    struct item *next;
    const struct mu_http_request *request; /* valid until its reply is sent */
    struct mu_net_reply *reply;
};

struct mu_daemon_serve {
    struct mu_net_server *server;
    struct mu_loop *loop;
    mu_daemon_serve_call *call;
    void *cookie;
    pthread_mutex_t lock; /* guards what follows */
    struct item *first, **last;
    bool posted, ending;
};

void mu_daemon_serve_text(
    struct mu_net_reply *reply, int status, const char *content_type, struct mu_bytes text)
{
    struct mu_http_response response = {0};

    if (mu_http_response_set(&response, status, content_type, text, NULL) != MU_OK) {
        mu_http_response_clear(&response);
        response.status = 500;
    }
    mu_net_reply_send(reply, &response);
}

static void refuse(struct mu_net_reply *reply)
{
    mu_daemon_serve_text(reply, 503, "text/plain", mu_bytes_str("the agent stops\n"));
}

static struct item *take_all(struct mu_daemon_serve *s)
{
    struct item *list;

    pthread_mutex_lock(&s->lock);
    list = s->first;
    s->first = NULL;
    s->last = &s->first;
    s->posted = false;
    pthread_mutex_unlock(&s->lock);
    return list;
}

/* On the loop's thread. */
static void drain(void *cookie)
{
    struct mu_daemon_serve *s = cookie;
    struct item *i, *next;

    for (i = take_all(s); i != NULL; i = next) {
        next = i->next;
        s->call(s->cookie, i->request, i->reply);
        free(i);
    }
}

/* On the server's. */
static void on_request(void *cookie, const struct mu_http_request *request, struct mu_net_reply *reply)
{
    struct mu_daemon_serve *s = cookie;
    struct item *i = malloc(sizeof *i);
    bool taken = false;

    pthread_mutex_lock(&s->lock);
    if (i != NULL && !s->ending && (s->posted || mu_loop_post(s->loop, drain, s) == MU_OK)) {
        *i = (struct item){.request = request, .reply = reply};
        *s->last = i;
        s->last = &i->next;
        s->posted = true;
        taken = true;
    }
    pthread_mutex_unlock(&s->lock);
    if (!taken) {
        free(i);
        refuse(reply);
    }
}

enum mu_code mu_daemon_serve_open(const struct mu_daemon_serve_config *config, struct mu_loop *loop,
    const struct mu_env *env, struct mu_daemon_serve **out, uint16_t *port, struct mu_err *err)
{
    const struct mu_net_server_config net = {
        .workers = 1, .max_connections = MAX_CONNECTIONS, .deadline_s = DEADLINE_S, .env = env};
    struct mu_daemon_serve *s = calloc(1, sizeof *s);
    struct mu_net_listener listener = {.address = config->address,
        .port = config->port,
        .handler = on_request,
        .cookie = s,
        .max_body = MAX_BODY,
        .unix_mode = config->unix_mode,
        .unix_group = config->unix_group};
    enum mu_code rc;

    if (s == NULL)
        return mu_err_set(err, MU_MEMORY, MU_REASON_NONE, "out of memory");
    s->loop = loop;
    s->call = config->call;
    s->cookie = config->cookie;
    s->last = &s->first;
    pthread_mutex_init(&s->lock, NULL);
    if ((rc = mu_net_server_new(&net, &s->server, err)) == MU_OK
        && (rc = mu_net_server_listen(s->server, &listener, port, err)) == MU_OK
        && (rc = mu_net_server_start(s->server, err)) == MU_OK)
        *out = s;
    else
        mu_daemon_serve_free(s);
    return rc;
}

void mu_daemon_serve_stop(struct mu_daemon_serve *s)
{
    struct item *i, *next;

    if (s == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    s->ending = true;
    pthread_mutex_unlock(&s->lock);
    for (i = take_all(s); i != NULL; i = next) {
        next = i->next;
        refuse(i->reply);
        free(i);
    }
    if (s->server != NULL)
        mu_net_server_stop(s->server, GRACE_S);
    mu_net_server_free(s->server);
    s->server = NULL;
}

void mu_daemon_serve_free(struct mu_daemon_serve *s)
{
    if (s == NULL)
        return;
    mu_daemon_serve_stop(s);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
