/*
 * One agent with ten thousand certificates: how long until it knows when each is due, what it keeps in
 * memory, and what it costs while nothing is to be done. The store is made by one process, with a
 * configuration beside it, and watched by another, with the real loop and network:
 *
 *   agent_many make DIR [N]          DIR/store, DIR/muster.conf
 *   agent_many run DIR [SECONDS]     twice: the first run writes the records, the second finds them
 *
 * Make DIR on a disk to see what that costs; /dev/shm takes fsync out of the making.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "agent/agent_watch.h"
#include "net/net_client.h"
#include "net/net_loop.h"
#include "pki/pki_name.h"

static void must(enum mu_code rc, const struct mu_err *err)
{
    if (rc == MU_OK)
        return;
    fprintf(stderr, "agent_many: %s\n", err->what);
    exit(1);
}

/* ---- make ---- */

static struct mu_pki_cert *cert_make(struct mu_pki_key *key, struct mu_err *err)
{
    const struct mu_pki_name_part part = {"CN", "many"};
    const uint8_t serial[] = {0x4A, 0x01};
    int64_t now_s = (int64_t)time(NULL);
    struct mu_pki_tbs tbs = {.serial_magnitude = {serial, sizeof serial},
        .not_before_s = now_s - 86400,
        .not_after_s = now_s + 365LL * 86400,
        .spki = mu_pki_key_spki(key)};
    struct mu_pki_cert *cert = NULL;
    struct mu_buf name = {0}, der = {0};

    must(mu_pki_name_build(&part, 1, &name, err), err);
    tbs.issuer = tbs.subject = mu_buf_bytes(&name);
    must(mu_pki_cert_make(&tbs, key, MU_PKI_SHA256, &der, err), err);
    must(mu_pki_cert_decode(mu_buf_bytes(&der), &cert, err), err);
    mu_buf_clear(&name);
    mu_buf_clear(&der);
    return cert;
}

static int make(const char *dir, unsigned n)
{
    const struct mu_pki_key_spec spec = {MU_PKI_KEY_EC, 256};
    struct mu_buf text = {.secret = true}, path = {0};
    struct mu_keystore *store = NULL;
    struct mu_pki_key *key = NULL;
    struct mu_pki_cert *cert;
    struct mu_err err = {0};
    FILE *conf;

    mkdir(dir, 0755);
    mu_buf_putf(&path, "%s/store", dir);
    must(mu_keystore_open(mu_buf_str(&path), true, &store, &err), &err);
    must(mu_pki_key_generate(&spec, &key, &err), &err);
    must(mu_keystore_key_text(key, NULL, NULL, &text, &err), &err);
    cert = cert_make(key, &err);
    mu_buf_reset(&path);
    mu_buf_putf(&path, "%s/muster.conf", dir);
    if ((conf = fopen(mu_buf_str(&path), "w")) == NULL)
        return 1;
    fprintf(conf, "[ca \"a\"]\nprotocol = est\nurl = https://ca.example:8443\n[defaults]\nca = a\n");
    for (unsigned i = 0; i < n; i++) {
        const struct mu_keystore_pair pair = {.key_pem = mu_buf_bytes(&text), .cert = cert};
        struct mu_keystore_saved saved;
        char name[32];

        snprintf(name, sizeof name, "host-%05u", i);
        must(mu_keystore_save(store, name, &pair, &saved, &err), &err);
        fprintf(conf, "[certificate \"%s\"]\nca = a\nsubject = /O=Example/CN=%s.example.org\n"
                      "san = DNS:%s.example.org\n", name, name, name);
    }
    fclose(conf);
    mu_pki_cert_free(cert);
    mu_pki_key_free(key);
    mu_buf_clear(&text);
    mu_buf_clear(&path);
    mu_keystore_free(store);
    return 0;
}

/* ---- run ---- */

static struct mu_loop *loop;
static struct mu_agent_watch *watch;
static unsigned notes;
static double known_s, started_s;

static double clock_s(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static long memory(const char *word)
{
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    char line[200];
    long kib = -1;

    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, word, strlen(word)) == 0)
            kib = strtol(line + strlen(word) + 1, NULL, 10);
    if (f != NULL)
        fclose(f);
    return kib;
}

static void on_note(void *listener, const char *name, const struct mu_err *err)
{
    (void)listener;
    if (notes++ < 3)
        fprintf(stderr, "agent_many: %s: %s\n", name != NULL ? name : "-", err->what);
}

static void on_end(void *cookie)
{
    (void)cookie;
    mu_loop_stop(loop);
}

static void run_for(int64_t ms)
{
    struct mu_loop_timer *timer = mu_loop_after(loop, ms, on_end, NULL);

    mu_loop_run(loop);
    mu_loop_timer_free(loop, timer);
}

static int run(const char *dir, int seconds)
{
    struct mu_env env = mu_env_system();
    struct mu_agent agent = {.env = &env};
    struct mu_agent_watch_config config = {.agent = &agent, .host = "bench", .on_note = on_note};
    struct mu_agent_watch_counts counts;
    struct mu_buf path = {0};
    struct mu_err err = {0};
    double cpu_s, from_s, conf_s;

    started_s = clock_s(CLOCK_MONOTONIC);
    mu_buf_putf(&path, "%s/muster.conf", dir);
    must(mu_agent_config_load(mu_buf_str(&path), &config.config, NULL, NULL, &err), &err);
    conf_s = clock_s(CLOCK_MONOTONIC) - started_s;
    mu_buf_reset(&path);
    mu_buf_putf(&path, "%s/store", dir);
    must(mu_keystore_open(mu_buf_str(&path), false, &agent.store, &err), &err);
    must(mu_net_loop_new(&loop, &err), &err);
    must(mu_net_client_new(loop, &agent.transport, &err), &err);
    agent.loop = loop;
    agent.config = config.config;
    must(mu_agent_watch_new(&config, &watch, &err), &err);
    mu_agent_watch_start(watch);
    while (known_s == 0) {
        run_for(5);
        mu_agent_watch_counts(watch, &counts);
        if (counts.unseen == 0)
            known_s = clock_s(CLOCK_MONOTONIC) - started_s;
    }
    printf("%zu entries: configuration %.2f s, each due date known after %.2f s, "
           "RSS %.1f MB (private dirty %.1f MB)\n",
        counts.entries, conf_s, known_s, (double)memory("Rss:") / 1000, (double)memory("Private_Dirty:") / 1000);
    if (seconds > 0) {
        cpu_s = clock_s(CLOCK_PROCESS_CPUTIME_ID);
        from_s = clock_s(CLOCK_MONOTONIC);
        run_for((int64_t)seconds * 1000);
        from_s = clock_s(CLOCK_MONOTONIC) - from_s;
        cpu_s = clock_s(CLOCK_PROCESS_CPUTIME_ID) - cpu_s;
        printf("%.0f s: %.4f s of CPU, %.3f %% of a core; RSS %.1f MB\n", from_s, cpu_s, 100 * cpu_s / from_s,
            (double)memory("Rss:") / 1000);
    }
    mu_agent_watch_free(watch);
    mu_net_client_free(agent.transport);
    mu_net_loop_free(loop);
    mu_keystore_free(agent.store);
    mu_agent_config_free(config.config);
    mu_buf_clear(&path);
    return notes != 0;
}

int main(int argc, char **argv)
{
    int n = argc > 3 ? atoi(argv[3]) : 0;

    if (argc > 2 && strcmp(argv[1], "make") == 0)
        return make(argv[2], n > 0 ? (unsigned)n : 10000);
    if (argc > 2 && strcmp(argv[1], "run") == 0)
        return run(argv[2], n);
    fprintf(stderr, "usage: agent_many make DIR [N] | run DIR [SECONDS]\n");
    return 64;
}
