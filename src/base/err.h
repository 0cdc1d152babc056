/*
 * How things fail. A fallible function returns a mu_code, which steers the caller, and fills a
 * mu_err, which people read: what happened (written once, by the function that found it, with the
 * clause), the likely cause and the next step. The reason names a row of the table in
 * err_table.c: an M-number of the error catalog, or a refusal of the responder.
 */
#ifndef MU_BASE_ERR_H
#define MU_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>

#define MU_CHECK __attribute__((warn_unused_result))

enum mu_code {
    MU_OK = 0,
    MU_INPUT,       /* the bytes or words given are wrong */
    MU_AUTH,        /* signature, MAC, nonce, chain or pin does not hold */
    MU_DENIED,      /* understood and refused, by the other side or by policy */
    MU_NOT_FOUND,
    MU_BUSY,        /* later: rate limit, lock, overload */
    MU_PENDING,     /* a person has to decide */
    MU_UNSUPPORTED, /* known, but not available here */
    MU_NETWORK,
    MU_STORAGE,
    MU_MEMORY,      /* out of memory or a ceiling reached */
    MU_INTERNAL,    /* a library failed where it should not */
};

/* 100..999 are the M-numbers of the catalog; 1000.. are the responder's refusals. */
enum mu_reason {
    MU_REASON_NONE = 0,
    MU_REFUSE_FIRST = 1000,
    MU_REFUSE_MALFORMED = MU_REFUSE_FIRST, /* cannot be parsed */
    MU_REFUSE_SIGNATURE,                   /* message signature or decryption wrong */
    MU_REFUSE_ALGORITHM,                   /* weak or unknown algorithm */
    MU_REFUSE_POP,                         /* CSR signature wrong */
    MU_REFUSE_SIGNER_KEY,                  /* self-signed signer's key is not the CSR's */
    MU_REFUSE_ENTRY_UNKNOWN,               /* 'Enrollment not found.' */
    MU_REFUSE_ENTRY_DISABLED,
    MU_REFUSE_PASSWORD,                    /* wrong */
    MU_REFUSE_PASSWORD_USED,
    MU_REFUSE_PASSWORD_EXPIRED,
    MU_REFUSE_PASSWORD_MISSING,
    MU_REFUSE_NAME,
    MU_REFUSE_SAN,
    MU_REFUSE_KEY_WEAK,
    MU_REFUSE_KEY_SEEN,                    /* under another name */
    MU_REFUSE_RENEWAL_EARLY,
    MU_REFUSE_RENEWAL_LATE,
    MU_REFUSE_SUBJECT_DIFFERS,
    MU_REFUSE_SIGNER_REVOKED,
    MU_REFUSE_SIGNER_UNTRUSTED,
    MU_REFUSE_ALIVE,                       /* too many live certificates of this subject */
    MU_REFUSE_RATE,
    MU_REFUSE_QUEUE_FULL,
    MU_REFUSE_REPLAY,
    MU_REFUSE_CLOCK,
    MU_REFUSE_OPERATOR,                    /* operator's words */
    MU_REFUSE_NO_SUCH_REQUEST,
    MU_REFUSE_NO_SUCH_CERT,
    MU_REFUSE_NO_CRL,
    MU_REFUSE_UNDELIVERABLE,               /* reply could not be enveloped to the signer */
    MU_REFUSE_SERVICE_OFF,
    MU_REFUSE_UNSUPPORTED,
    MU_REFUSE_INTERNAL,
    MU_REFUSE_VERSION,                     /* protocol version not spoken here */
    MU_REFUSE_SENDER_NONCE,                /* too short or missing */
    MU_REFUSE_RECIPIENT_NONCE,             /* not the one we sent */
    MU_REFUSE_PROTECTION_KIND,             /* MAC where a signature is due, or none at all */
    MU_REFUSE_TRANSACTION,                 /* transaction id in use */
    MU_REFUSE_STATE,                       /* message not expected now */
    MU_REFUSE_NOT_ENTITLED,                /* known, and may not do this */
    MU_REFUSE_CONFIRMED,                   /* already */
    MU_REFUSE_REVOKED,                     /* already */
    MU_REFUSE_CERT_ID,                     /* names another certificate than it has to */
    MU_REFUSE_LINK,                        /* proof of possession not linked to this TLS session (EST) */
    MU_REFUSE_LAST,
};

#define MU_M(n) ((enum mu_reason)(n))

struct mu_err {
    enum mu_code code;
    enum mu_reason reason;
    char what[512];
    char likely[384]; /* empty: the table's words for the reason */
    char next[384];   /* likewise */
    char said[256];   /* the other side's own words, escaped; empty: it gave none */
};

/* Sets all of it and returns code, so that 'return mu_err_set(...)' reads well. err may be NULL.
 * what is UTF-8 without control characters; escape remote text with mu_text_escape first. */
enum mu_code mu_err_set(struct mu_err *err, enum mu_code code, enum mu_reason reason,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Puts context in front of what happened: "entry 'x': <what>". Returns err->code, and
 * MU_INTERNAL if err is NULL: who has the code at hand should return that. */
enum mu_code mu_err_context(struct mu_err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Narrow the reason, or fill in cause and next step, keeping the sentence. */
void mu_err_narrow(struct mu_err *err, enum mu_reason reason);
void mu_err_likely(struct mu_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void mu_err_next(struct mu_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* What the other side said of it, already escaped; NULL: nothing. For 'reason' in events and --json. */
void mu_err_said(struct mu_err *err, const char *words);
void mu_err_clear(struct mu_err *err);

/* One row per reason. Numbers that do not apply are -1. */
struct mu_err_row {
    enum mu_reason reason;
    const char *what;   /* the catalog's sentence; for a refusal, the sentence sent to the peer */
    const char *likely;
    const char *next;
    int exit_code;      /* of muster, PRODUCT 'Exit codes' */
    int http_status;    /* for EST */
    int scep_fail_info; /* RFC 8894 table 5 */
    int cmp_fail_bit;   /* RFC 9810 5.2.3 */
};

/* NULL if there is no such row. */
const struct mu_err_row *mu_err_row(enum mu_reason reason);
/* The i-th row of the table, NULL behind the last: for manuals and tests. */
const struct mu_err_row *mu_err_row_at(size_t i);
/* What to print: the err's own words, else the table's, never NULL. */
const char *mu_err_likely_text(const struct mu_err *err);
const char *mu_err_next_text(const struct mu_err *err);
/* Exit code of muster for this error (by reason, else by code). */
int mu_err_exit_code(const struct mu_err *err);
/* "M312", or "" if the reason is none of the catalog; buf has at least 8 octets. */
const char *mu_err_code_text(const struct mu_err *err, char buf[8]);

#endif
