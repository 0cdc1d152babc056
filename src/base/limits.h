/* Every ceiling, with its reason. */
#ifndef MU_BASE_LIMITS_H
#define MU_BASE_LIMITS_H

enum {
    MU_BUF_DEFAULT_MAX = 1 << 20,       /* a buffer nobody gave a ceiling */
    MU_LIMIT_MESSAGE = 256 * 1024,      /* one protocol message; real ones are 2 to 20 KiB */
    MU_LIMIT_REPLY = 1 << 20,           /* an answer: a CRL in it may be long */
    MU_LIMIT_CRL = 64 << 20,            /* a CRL fetched by URL */
    MU_LIMIT_URL = 64 * 1024,           /* SCEP by GET: RSA-4096 with a chain is 12 KiB */
    MU_LIMIT_HEADERS = 80 * 1024,       /* request line and headers: the URL is in it */
    MU_LIMIT_DEPTH = 32,                /* nesting of ASN.1; CMS in CMS needs 16 */
    MU_LIMIT_CERTS = 32,                /* certificates in one message */
    MU_LIMIT_TRANSACTION_ID = 256,      /* the longest seen is 88 */
    MU_LIMIT_NONCE = 64,                /* 16 by the RFC; some send 20 or 32 */
    MU_LIMIT_CHALLENGE = 255,           /* RFC 2985 5.4.1 */
    MU_LIMIT_KEPT = 32 * 1024,          /* what an engine keeps of a transaction */
    MU_LIMIT_KEK_ID = 64,               /* name of a shared AES key */
    MU_LIMIT_KEK_TEXT = 128,            /* the key in hex; 64 digits, and colons between them */
    MU_LIMIT_NAME = 8 * 1024,           /* DER of a Name */
    MU_LIMIT_EXTENSIONS = 32 * 1024,    /* DER of requested extensions */
    MU_LIMIT_PBKDF2 = 1000000,          /* iterations accepted from a peer */
    MU_LIMIT_CMP_INFOS = 32,            /* generalInfo and controls of one CMP message; real ones have 1 to 3 */
    MU_LIMIT_CMP_NESTED = 64,           /* messages in one nested one */
    MU_LIMIT_CMP_KID = 256,             /* senderKID: a key identifier or a reference */
    MU_LIMIT_INI = 4 << 20,             /* one configuration file: 20,000 certificates of 200 octets */
    MU_LIMIT_CONFIG = 32 << 20,         /* all of them */
    MU_LIMIT_CONFIG_FILES = 20001,      /* muster.conf, and one for each certificate */
    MU_LIMIT_CONFIG_SECTIONS = 40000,   /* 20,000 certificates with a CA or a template each */
    MU_LIMIT_CONFIG_NOTES = 100,        /* faults told of one configuration; a person reads no more */
    MU_LIMIT_FILE = 4 << 20,            /* a key or certificate file */
};

#endif
