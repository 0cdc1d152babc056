/* The words of GetCACaps: parsing, writing, and what SCEPStandard stands for. */
#include "proto/scep/scep_caps.h"

#include "base/text.h"

/* In alphabetical order without regard to case, which is the order they are written in. */
static const struct {
    const char *word;
    unsigned cap;
} words[] = {
    {"AES", MU_SCEP_CAP_AES},
    {"DES", MU_SCEP_CAP_DES},
    {"DES3", MU_SCEP_CAP_DES3},
    {"GetNextCACert", MU_SCEP_CAP_NEXT_CA},
    {"MD5", MU_SCEP_CAP_MD5},
    {"POSTPKIOperation", MU_SCEP_CAP_POST},
    {"Renewal", MU_SCEP_CAP_RENEWAL},
    {"SCEPStandard", MU_SCEP_CAP_STANDARD},
    {"SHA-1", MU_SCEP_CAP_SHA1},
    {"SHA-224", MU_SCEP_CAP_SHA224},
    {"SHA-256", MU_SCEP_CAP_SHA256},
    {"SHA-384", MU_SCEP_CAP_SHA384},
    {"SHA-512", MU_SCEP_CAP_SHA512},
};

enum { WORD_N = sizeof words / sizeof words[0], WORD_MAX = 32 };

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static unsigned word_cap(struct mu_bytes word)
{
    char text[WORD_MAX];
    size_t i;

    if (word.n >= sizeof text || memchr(word.p, 0, word.n) != NULL)
        return 0;
    memcpy(text, word.p, word.n);
    text[word.n] = '\0';
    for (i = 0; i < WORD_N; i++) {
        if (mu_text_equal_nocase(text, words[i].word))
            return words[i].cap;
    }
    return 0;
}

unsigned mu_scep_caps_parse(struct mu_bytes body)
{
    unsigned caps = 0;
    size_t i = 0, start;

    while (i < body.n) {
        while (i < body.n && is_blank(body.p[i]))
            i++;
        for (start = i; i < body.n && !is_blank(body.p[i]); i++)
            ;
        if (i > start)
            caps |= word_cap(mu_bytes(body.p + start, i - start));
    }
    if (caps & MU_SCEP_CAP_STANDARD)
        caps |= MU_SCEP_CAP_AES | MU_SCEP_CAP_POST | MU_SCEP_CAP_SHA256;
    return caps;
}

static bool list(unsigned caps, const char *between, const char *end, struct mu_buf *out)
{
    bool any = false;
    size_t i;

    for (i = 0; i < WORD_N; i++) {
        if (!(caps & words[i].cap))
            continue;
        mu_buf_putf(out, "%s%s", any ? between : "", words[i].word);
        any = true;
    }
    if (any)
        mu_buf_put_str(out, end);
    return !out->failed;
}

bool mu_scep_caps_format(unsigned caps, struct mu_buf *out)
{
    return list(caps, "\n", "\n", out);
}

bool mu_scep_caps_line(unsigned caps, struct mu_buf *out)
{
    return list(caps, " ", "", out);
}
