/* What the CA changed, as short phrases for trace, command line and pages. */
#include "enroll/enroll_diff.h"

#include <stdlib.h>

#include "base/text.h"
#include "pki/pki_name.h"

enum { PARTS_MAX = 64, ITEM_MAX = 1024 };

/* Parts of a name or a SAN as texts, to be compared as multisets. */
struct parts {
    char *v[PARTS_MAX];
    bool matched[PARTS_MAX];
    size_t n;
    bool failed;
};

static void parts_add(struct parts *parts, const char *text)
{
    if (parts->n == PARTS_MAX || mu_text_dup(text, &parts->v[parts->n], NULL) != MU_OK) {
        parts->failed = true;
        return;
    }
    parts->n++;
}

static void parts_clear(struct parts *parts)
{
    size_t i;

    for (i = 0; i < parts->n; i++)
        free(parts->v[i]);
    parts->n = 0;
}

static void add_name_part(void *cookie, const char *type, const char *value)
{
    struct mu_buf text = {.max = ITEM_MAX};

    mu_buf_putf(&text, "%s=", type);
    mu_text_escape(&text, mu_bytes_str(value), 256);
    parts_add(cookie, mu_buf_str(&text));
    mu_buf_clear(&text);
}

static void add_san_part(void *cookie, const char *text, struct mu_bytes general_name)
{
    struct mu_buf shown = {.max = ITEM_MAX};

    (void)general_name;
    mu_buf_put_str(&shown, "SAN ");
    mu_text_escape(&shown, mu_bytes_str(text), 256);
    parts_add(cookie, mu_buf_str(&shown));
    mu_buf_clear(&shown);
}

/* Equal parts are marked in both, each once. */
static void parts_match(struct parts *a, struct parts *b)
{
    size_t i, j;

    for (i = 0; i < a->n; i++) {
        for (j = 0; j < b->n; j++) {
            if (b->matched[j] || strcmp(a->v[i], b->v[j]) != 0)
                continue;
            a->matched[i] = b->matched[j] = true;
            break;
        }
    }
}

static void parts_tell(
    const struct parts *parts, const char *change, mu_enroll_diff_call *call, void *cookie)
{
    size_t i;

    for (i = 0; i < parts->n; i++) {
        if (!parts->matched[i])
            call(cookie, parts->v[i], change);
    }
}

static bool diff_subject(struct mu_bytes asked, struct mu_bytes issued,
    mu_enroll_diff_call *call, void *cookie)
{
    struct parts a = {.n = 0}, b = {.n = 0};
    bool ok;

    ok = mu_pki_name_each(asked, add_name_part, &a) && mu_pki_name_each(issued, add_name_part, &b)
        && !a.failed && !b.failed;
    if (ok && !mu_pki_name_equal(asked, issued)) {
        parts_match(&a, &b);
        parts_tell(&a, "removed", call, cookie);
        parts_tell(&b, "added", call, cookie);
    }
    parts_clear(&a);
    parts_clear(&b);
    return ok;
}

static bool diff_san(struct mu_bytes asked, struct mu_bytes issued, mu_enroll_diff_call *call,
    void *cookie)
{
    struct parts a = {.n = 0}, b = {.n = 0};
    bool ok;

    if (asked.n != 0 && issued.n == 0) {
        call(cookie, "SAN", "removed");
        return true;
    }
    if ((asked.n == 0 && issued.n == 0) || mu_pki_san_equal(asked, issued))
        return true;
    ok = (asked.n == 0 || mu_pki_san_each(asked, add_san_part, &a))
        && mu_pki_san_each(issued, add_san_part, &b) && !a.failed && !b.failed;
    if (ok) {
        parts_match(&a, &b);
        parts_tell(&a, "removed", call, cookie);
        parts_tell(&b, "added", call, cookie);
    }
    parts_clear(&a);
    parts_clear(&b);
    return ok;
}

static bool tell_bits(const char *label, unsigned bits, bool (*format)(unsigned, struct mu_buf *),
    const char *change, mu_enroll_diff_call *call, void *cookie)
{
    struct mu_buf text = {.max = ITEM_MAX};
    bool ok = true;

    if (bits == 0)
        return true;
    mu_buf_put_str(&text, label);
    ok = format(bits, &text) && !text.failed;
    if (ok)
        call(cookie, mu_buf_str(&text), change);
    mu_buf_clear(&text);
    return ok;
}

static bool diff_usages(const struct mu_pki_exts *asked, const struct mu_pki_exts *issued,
    mu_enroll_diff_call *call, void *cookie)
{
    static const char ku[] = "key usage ", eku[] = "extended key usage ";
    unsigned other = (unsigned)MU_EKU_OTHER;
    bool ok = true;

    if (asked->has_key_usage && !issued->has_key_usage)
        call(cookie, "key usage", "removed");
    else if (asked->has_key_usage)
        ok = tell_bits(ku, asked->key_usage & ~issued->key_usage, mu_pki_key_usage_format,
                 "removed", call, cookie)
            && tell_bits(ku, issued->key_usage & ~asked->key_usage, mu_pki_key_usage_format,
                "added", call, cookie);
    if (asked->has_eku && !issued->has_eku)
        call(cookie, "extended key usage", "removed");
    else if (asked->has_eku) {
        ok = ok
            && tell_bits(eku, asked->eku & ~issued->eku & ~other, mu_pki_eku_format, "removed",
                call, cookie)
            && tell_bits(eku, issued->eku & ~asked->eku & ~other, mu_pki_eku_format, "added",
                call, cookie);
        if (asked->eku == issued->eku && (asked->eku & other) != 0
            && !mu_bytes_equal(asked->eku_raw, issued->eku_raw))
            call(cookie, "extended key usage", "changed");
        else if ((asked->eku & other) != (issued->eku & other))
            call(cookie, "extended key usage", "changed");
    }
    return ok;
}

bool mu_enroll_diff_each(const struct mu_pki_csr *asked, const struct mu_pki_cert *issued,
    mu_enroll_diff_call *call, void *cookie)
{
    return diff_subject(asked->subject, issued->subject, call, cookie)
        && diff_san(asked->exts.san, issued->exts.san, call, cookie)
        && diff_usages(&asked->exts, &issued->exts, call, cookie);
}

static void add_phrase(void *cookie, const char *what, const char *change)
{
    struct mu_buf *out = cookie;

    mu_buf_putf(out, "%s%s %s", out->n != 0 ? ", " : "", what, change);
}

bool mu_enroll_diff(
    const struct mu_pki_csr *asked, const struct mu_pki_cert *issued, struct mu_buf *out)
{
    struct mu_buf text = {.max = 16 * 1024};
    bool ok;

    ok = mu_enroll_diff_each(asked, issued, add_phrase, &text) && !text.failed
        && mu_buf_put_bytes(out, mu_buf_bytes(&text));
    mu_buf_clear(&text);
    return ok;
}
