/* Copies of rows, by a table of where in each kind the texts and octets stand. */
#include "store/store_row.h"

#include <stdlib.h>

#define TEXT(kind, member)                                                                         \
    {                                                                                              \
        true, offsetof(struct mu_record_##kind, member)                                            \
    }
#define OCTETS(kind, member)                                                                       \
    {                                                                                              \
        false, offsetof(struct mu_record_##kind, member)                                           \
    }
#define END                                                                                        \
    {                                                                                              \
        false, SIZE_MAX                                                                            \
    }

struct part {
    bool is_text;
    size_t offset;
};

static const struct part ca_parts[] = {
    TEXT(ca, name),
    OCTETS(ca, chain),
    TEXT(ca, key_ref),
    OCTETS(ca, ra),
    TEXT(ca, ra_key_ref),
    OCTETS(ca, next),
    TEXT(ca, next_key_ref),
    TEXT(ca, settings),
    END,
};
static const struct part profile_parts[] = {TEXT(profile, name), TEXT(profile, settings), END};
static const struct part entry_parts[] = {
    TEXT(entry, name),
    TEXT(entry, profile),
    TEXT(entry, ca),
    OCTETS(entry, password_hash),
    OCTETS(entry, sealed),
    TEXT(entry, comments),
    END,
};
static const struct part cert_parts[] = {
    TEXT(cert, ca),
    OCTETS(cert, serial),
    OCTETS(cert, der),
    TEXT(cert, subject),
    OCTETS(cert, subject_hash),
    OCTETS(cert, key_hash),
    TEXT(cert, profile),
    TEXT(cert, entry),
    TEXT(cert, transaction_id),
    OCTETS(cert, renews),
    OCTETS(cert, renewed_by),
    END,
};
static const struct part request_parts[] = {
    TEXT(request, ca),
    TEXT(request, transaction_id),
    OCTETS(request, signer),
    OCTETS(request, digest),
    OCTETS(request, csr),
    TEXT(request, subject),
    OCTETS(request, subject_hash),
    TEXT(request, profile),
    TEXT(request, entry),
    OCTETS(request, renews),
    OCTETS(request, serial),
    TEXT(request, words),
    TEXT(request, address),
    OCTETS(request, kept),
    END,
};
static const struct part audit_parts[] = {
    TEXT(audit, action),
    TEXT(audit, ca),
    TEXT(audit, profile),
    TEXT(audit, entry),
    TEXT(audit, subject),
    OCTETS(audit, serial),
    TEXT(audit, transaction_id),
    TEXT(audit, address),
    TEXT(audit, user_agent),
    TEXT(audit, message),
    END,
};
static const struct part crl_parts[] = {TEXT(crl, ca), OCTETS(crl, der), END};

static const struct {
    size_t size;
    const struct part *parts;
} kinds[] = {
    [MU_STORE_ROW_CA] = {sizeof(struct mu_record_ca), ca_parts},
    [MU_STORE_ROW_PROFILE] = {sizeof(struct mu_record_profile), profile_parts},
    [MU_STORE_ROW_ENTRY] = {sizeof(struct mu_record_entry), entry_parts},
    [MU_STORE_ROW_CERT] = {sizeof(struct mu_record_cert), cert_parts},
    [MU_STORE_ROW_REQUEST] = {sizeof(struct mu_record_request), request_parts},
    [MU_STORE_ROW_AUDIT] = {sizeof(struct mu_record_audit), audit_parts},
    [MU_STORE_ROW_CRL] = {sizeof(struct mu_record_crl), crl_parts},
};

static struct mu_bytes part_get(const char *row, const struct part *part)
{
    struct mu_bytes v;
    const char *text;

    if (!part->is_text) {
        memcpy(&v, row + part->offset, sizeof v);
        return v;
    }
    memcpy(&text, row + part->offset, sizeof text);
    if (text == NULL)
        text = "";
    return mu_bytes(text, strlen(text) + 1);
}

static void part_set(char *row, const struct part *part, const char *p, size_t n)
{
    struct mu_bytes v = mu_bytes(n != 0 ? p : NULL, n);

    if (part->is_text)
        memcpy(row + part->offset, &p, sizeof p);
    else
        memcpy(row + part->offset, &v, sizeof v);
}

static size_t row_size(enum mu_store_row kind, const void *row)
{
    size_t size = kinds[kind].size;

    for (const struct part *part = kinds[kind].parts; part->offset != SIZE_MAX; part++)
        size += part_get(row, part).n;
    return size;
}

void *mu_store_row_copy(enum mu_store_row kind, const void *row)
{
    const struct part *part;
    char *copy, *at;

    if (row == NULL || (copy = malloc(row_size(kind, row))) == NULL)
        return NULL;
    memcpy(copy, row, kinds[kind].size);
    at = copy + kinds[kind].size;
    for (part = kinds[kind].parts; part->offset != SIZE_MAX; part++) {
        struct mu_bytes v = part_get(row, part);

        if (v.n != 0)
            memcpy(at, v.p, v.n);
        part_set(copy, part, at, v.n);
        at += v.n;
    }
    return copy;
}

/* Sealed secrets and what engines keep may be in it. */
void mu_store_row_free(enum mu_store_row kind, const void *copy)
{
    if (copy == NULL)
        return;
    explicit_bzero((void *)(uintptr_t)copy, row_size(kind, copy));
    free((void *)(uintptr_t)copy);
}
