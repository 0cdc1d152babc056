/*
 * Where keys and certificates live on the client's disk (PRODUCT "Files"), and how they change:
 *
 *   certs/<name>/<serial>.key, <serial>.crt     one pair per issue, key 0600
 *   certs/<name>/.gen/<serial>/                 what leads there, and the chain
 *   certs/<name>/current -> .gen/<serial>       the one link whose rename switches everything
 *   certs/<name>/latest.key, latest.crt, ca.crt-N -> current/...
 *   ca/<name>.crt   crl/<name>.crl   state/<name>.*   secrets/<name>.*   (the last two 0700)
 *
 * Every file is written under a temporary name beside its place, synced, renamed, and the
 * directory synced; a kill at any instant leaves the old content or the new one. Failures are
 * M702 and leave nothing switched. Whoever changes an entry holds its lock. A reader that wants
 * key and certificate of one generation opens "current" once and reads the files in it.
 */
#ifndef MU_KEYSTORE_H
#define MU_KEYSTORE_H

#include "base/secret.h"
#include "pki/pki_cert.h"
#include "pki/pki_key.h"

enum {
    MU_KEYSTORE_NAME = 72,   /* room for an entry name (64) and a NUL */
    MU_KEYSTORE_STEM = 160,  /* room for a serial as file name, with "-2" behind it */
};

struct mu_keystore;

/* Opens the store below root and makes what is missing (root itself too, 0755; state and secrets
 * 0700). MU_NOT_FOUND if it is not there and create is false; M702, M704 otherwise. */
enum mu_code mu_keystore_open(const char *root, bool create, struct mu_keystore **out,
    struct mu_err *err) MU_CHECK;
void mu_keystore_free(struct mu_keystore *store);
const char *mu_keystore_root(const struct mu_keystore *store);

/* ---- locks ---- */
struct mu_keystore_lock;
/* The entry's lock, without waiting. Held by another: MU_BUSY, M707 with its process number.
 * Leftovers of a crash (temporary files of this entry) are removed on the way. */
enum mu_code mu_keystore_lock(struct mu_keystore *store, const char *name,
    struct mu_keystore_lock **out, struct mu_err *err) MU_CHECK;
void mu_keystore_unlock(struct mu_keystore_lock *lock);

/* ---- pairs ---- */
struct mu_keystore_pair {
    struct mu_bytes key_pem;         /* what <serial>.key gets, byte for byte; see mu_keystore_key_text */
    struct mu_pki_cert *cert;
    const struct mu_pki_certs *chain; /* issuer first; may be empty */
    bool later;                      /* it waits beside a current one: mu_keystore_activate */
    bool held;                       /* it waits whether there is a current one or not */
};
struct mu_keystore_saved {
    char stem[MU_KEYSTORE_STEM];     /* "4A96E1736D" or "4A96E1736D-2" */
    char replaced[MU_KEYSTORE_STEM]; /* stem that was current before, "" if none */
    unsigned chain_n;
    bool waits;                      /* saved, but not current */
};
/* Writes the pair under its serial and switches to it. Saving the same pair again does nothing
 * but make sure of it. The caller holds the lock. */
enum mu_code mu_keystore_save(struct mu_keystore *store, const char *name,
    const struct mu_keystore_pair *pair, struct mu_keystore_saved *saved, struct mu_err *err) MU_CHECK;

struct mu_keystore_entry {
    char stem[MU_KEYSTORE_STEM];
    struct mu_pki_cert *cert;
    struct mu_pki_certs chain;
    char *key_file, *cert_file; /* paths of the serial's files */
};
/* The current generation (certificate and chain; the key only as a path). MU_NOT_FOUND if the
 * entry has none. Its key is read with mu_keystore_key_read(out->key_file, ...). */
enum mu_code mu_keystore_load(struct mu_keystore *store, const char *name,
    struct mu_keystore_entry *out, struct mu_err *err) MU_CHECK;
/* An earlier generation by its stem. */
enum mu_code mu_keystore_load_serial(struct mu_keystore *store, const char *name, const char *stem,
    struct mu_keystore_entry *out, struct mu_err *err) MU_CHECK;
void mu_keystore_entry_clear(struct mu_keystore_entry *entry);
/* Stem of the current generation; false if there is none. */
bool mu_keystore_current(struct mu_keystore *store, const char *name, char stem[MU_KEYSTORE_STEM]);

/* What tells without decoding anything whether the current certificate is still the same. */
struct mu_keystore_stamp {
    char stem[MU_KEYSTORE_STEM];
    uint64_t inode, size;
    int64_t mtime_ns;
};
/* Of what latest.crt leads to; false if it leads nowhere. */
bool mu_keystore_stamp(
    struct mu_keystore *store, const char *name, struct mu_keystore_stamp *out);
bool mu_keystore_stamp_equal(
    const struct mu_keystore_stamp *a, const struct mu_keystore_stamp *b);

/* Stem of the pair that waits; false if there is none. Saved later, it takes the place of one that
 * waited before. */
bool mu_keystore_next(struct mu_keystore *store, const char *name, char stem[MU_KEYSTORE_STEM]);
/* Switches to the pair that waits. MU_NOT_FOUND if there is none. The caller holds the lock. */
enum mu_code mu_keystore_activate(struct mu_keystore *store, const char *name,
    struct mu_keystore_saved *saved, struct mu_err *err) MU_CHECK;

/* What waits does so no longer; its files stay. None waits: success. */
enum mu_code mu_keystore_next_drop(struct mu_keystore *store, const char *name, struct mu_err *err)
    MU_CHECK;
/* The same, and its files go with it, the private key too, unless they are those of the present pair. */
enum mu_code mu_keystore_next_remove(struct mu_keystore *store, const char *name, struct mu_err *err)
    MU_CHECK;

/* Pairs and small files of an entry, but no secrets. Settings go first, then nobody asks for it any more; the pairs
 * are out of reach in one rename, and what a kill leaves behind that is removed when it is called again. The caller
 * holds the lock. Nothing there: success. */
enum mu_code mu_keystore_entry_remove(struct mu_keystore *store, const char *name, struct mu_err *err) MU_CHECK;

/* Lists of names, sorted; each is called once. */
typedef void mu_keystore_each_call(void *cookie, const char *name);
/* Entries: all with certificates, settings or a pending request. */
enum mu_code mu_keystore_each(struct mu_keystore *store, mu_keystore_each_call *call, void *cookie,
    struct mu_err *err) MU_CHECK;
/* Stems of all pairs of an entry. */
enum mu_code mu_keystore_each_serial(struct mu_keystore *store, const char *name,
    mu_keystore_each_call *call, void *cookie, struct mu_err *err) MU_CHECK;
/* Path below the root of one of the entry's files ("latest.crt"), for telling people. */
enum mu_code mu_keystore_path(const struct mu_keystore *store, const char *name, const char *file,
    struct mu_buf *out, struct mu_err *err) MU_CHECK;

/* ---- small files of an entry: state/<name>.<kind>, secrets/<name>.<kind>, all 0600 ---- */
enum mu_keystore_area { MU_KEYSTORE_STATE, MU_KEYSTORE_SECRETS };
/* kind: letters, digits and dashes ("conf", "pending", "key", "challenge"). */
enum mu_code mu_keystore_put(struct mu_keystore *store, enum mu_keystore_area area, const char *name,
    const char *kind, struct mu_bytes content, struct mu_err *err) MU_CHECK;
/* The same, but its name is durable only with the next mu_keystore_put or _remove of that area: where
 * one follows at once, or the old content serves as well. */
enum mu_code mu_keystore_put_unsynced(struct mu_keystore *store, enum mu_keystore_area area,
    const char *name, const char *kind, struct mu_bytes content, struct mu_err *err) MU_CHECK;
/* MU_NOT_FOUND if there is none. out should be secret for secrets and keys. */
enum mu_code mu_keystore_get(struct mu_keystore *store, enum mu_keystore_area area, const char *name,
    const char *kind, struct mu_buf *out, struct mu_err *err) MU_CHECK;
bool mu_keystore_has(struct mu_keystore *store, enum mu_keystore_area area, const char *name,
    const char *kind);
/* Makes the names of that area durable. */
enum mu_code mu_keystore_sync(
    struct mu_keystore *store, enum mu_keystore_area area, struct mu_err *err) MU_CHECK;
/* Removing what is not there is success. */
enum mu_code mu_keystore_remove(struct mu_keystore *store, enum mu_keystore_area area,
    const char *name, const char *kind, struct mu_err *err) MU_CHECK;
/* Kinds that are there for a name, for 'secret list'. */
enum mu_code mu_keystore_each_kind(struct mu_keystore *store, enum mu_keystore_area area,
    const char *name, mu_keystore_each_call *call, void *cookie, struct mu_err *err) MU_CHECK;

/* All small files of an area, by name; also of names that are no entries. */
typedef void mu_keystore_each_small_call(void *cookie, const char *name, const char *kind);
enum mu_code mu_keystore_each_small(struct mu_keystore *store, enum mu_keystore_area area,
    mu_keystore_each_small_call *call, void *cookie, struct mu_err *err) MU_CHECK;

/* ---- CA certificates that are trusted ---- */
/* Adds one CA certificate as ca/<name>.crt. name NULL: CA_Cert_1, CA_Cert_2, ... The same certificate
 * again is success and gives its present name. A name that is taken by another certificate is
 * M211 unless replace. */
enum mu_code mu_keystore_ca_add(struct mu_keystore *store, const char *name, struct mu_pki_cert *cert,
    bool replace, char used[MU_KEYSTORE_NAME], struct mu_err *err) MU_CHECK;
/* "G_" in front means the same one. Unknown: MU_NOT_FOUND, M210 with the known names. */
enum mu_code mu_keystore_ca_get(struct mu_keystore *store, const char *name, struct mu_pki_cert **out,
    struct mu_err *err) MU_CHECK;
enum mu_code mu_keystore_ca_remove(struct mu_keystore *store, const char *name, struct mu_err *err)
    MU_CHECK;
typedef void mu_keystore_ca_call(void *cookie, const char *name, struct mu_pki_cert *cert);
enum mu_code mu_keystore_ca_each(struct mu_keystore *store, mu_keystore_ca_call *call, void *cookie,
    struct mu_err *err) MU_CHECK;
/* All of them, or those of a list of names and files separated by commas or blanks (NULL: all). */
enum mu_code mu_keystore_ca_load(struct mu_keystore *store, const char *names,
    struct mu_pki_certs *out, struct mu_err *err) MU_CHECK;
/* Where a CA certificate was learned from: a line per server, beside it in ca/<name>.from. A line that
 * is there already is not added again. None: the user brought it. */
enum mu_code mu_keystore_ca_from_put(struct mu_keystore *store, const char *name, const char *line,
    struct mu_err *err) MU_CHECK;
bool mu_keystore_ca_from_get(struct mu_keystore *store, const char *name, struct mu_buf *lines);
/* Name under which this certificate is trusted; false if it is not. */
bool mu_keystore_ca_name(struct mu_keystore *store, const struct mu_pki_cert *cert,
    char name[MU_KEYSTORE_NAME]);

/* ---- CRLs: crl/<name>.crl, DER ---- */
enum mu_code mu_keystore_crl_put(struct mu_keystore *store, const char *name, struct mu_bytes der,
    struct mu_buf *path, struct mu_err *err) MU_CHECK;

/* ---- files anywhere ---- */
enum mu_keystore_file {
    MU_KEYSTORE_PUBLIC, /* any mode */
    MU_KEYSTORE_SECRET, /* readable by others: refused, M701; one final line end is taken off */
};
/* Appends a regular file (or pipe) of at most MU_LIMIT_FILE octets. Not there: MU_NOT_FOUND. Not
 * readable: M704 with the directory that stopped it. "-" is stdin. out should be secret for
 * secrets and keys. */
enum mu_code mu_keystore_file_read(const char *path, enum mu_keystore_file kind, struct mu_buf *out,
    struct mu_err *err) MU_CHECK;
/* Is this file readable by others than its owner? Then warning (may be NULL) gets M701. For keys
 * that people keep themselves: they are read, but somebody should hear of it. */
bool mu_keystore_file_is_open(const char *path, struct mu_err *warning);
/* Writes beside path, syncs, renames, syncs the directory. mode 0: 0644. A link at path is
 * replaced, not followed. */
enum mu_code mu_keystore_file_write(const char *path, unsigned mode, struct mu_bytes content,
    struct mu_err *err) MU_CHECK;
/* Certificates of a file: PEM, DER or PKCS#7. */
enum mu_code mu_keystore_certs_read(const char *path, struct mu_pki_certs *out, struct mu_err *err)
    MU_CHECK;

/* A key of a file, or a "pkcs11:" URI; a file may also hold nothing but such a URI. password may be
 * NULL. M703 if it does not fit. */
enum mu_code mu_keystore_key_read(const char *path_or_uri, const struct mu_secret *password,
    struct mu_pki_key **out, struct mu_err *err) MU_CHECK;
/* The text that a key file gets: PKCS#8 PEM (encrypted if there is a password); for a key in a
 * token its URI. out should be secret. */
enum mu_code mu_keystore_key_text(const struct mu_pki_key *key, const char *uri,
    const struct mu_secret *password, struct mu_buf *out, struct mu_err *err) MU_CHECK;
/* The other way round. */
enum mu_code mu_keystore_key_parse(struct mu_bytes text, const struct mu_secret *password,
    struct mu_pki_key **out, struct mu_err *err) MU_CHECK;

#endif
