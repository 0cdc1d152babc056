/* What an operator does with entries. */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"
#include "ca/ca_cmp.h"
#include "ca/ca_internal.h"
#include "ca/ca_seal.h"
#include "ca/ca_shared.h"

enum { PASSWORD_OCTETS = 16 };

/* 128 random bits in lower-case base32: nothing in it is mistaken for something else. */
static enum mu_code random_password(struct mu_ca *ca, struct mu_secret *out, struct mu_err *err)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint8_t random[PASSWORD_OCTETS] = {0};
    char text[(PASSWORD_OCTETS * 8 + 4) / 5];
    unsigned bits = 0, have = 0;
    size_t at = 0;
    enum mu_code rc = mu_env_random(ca->config.env, random, sizeof random, err);

    for (size_t i = 0; i < sizeof text; i++) {
        if (have < 5) {
            bits = bits << 8 | (at < sizeof random ? random[at] : 0);
            at++;
            have += 8;
        }
        have -= 5;
        text[i] = alphabet[bits >> have & 31];
    }
    if (rc == MU_OK)
        rc = mu_secret_set(out, mu_bytes(text, sizeof text), err);
    mu_bytes_wipe(random, sizeof random);
    mu_bytes_wipe(text, sizeof text);
    return rc;
}

/* The password given or a random one into made, and what is kept of it for the entry. */
static enum mu_code choose_password(struct mu_ca *ca, const char *name, unsigned protocols,
    const struct mu_secret *given, struct mu_secret *made, struct mu_ca_kept *kept,
    struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    if (protocols & MU_RECORD_ENTRY_KEY)
        return mu_ca_shared_keep(ca, name, given, made, kept, err);
    if (given == NULL) {
        if (made == NULL)
            return mu_err_set(
                err, MU_INPUT, MU_REASON_NONE, "nobody would learn the random password");
        rc = random_password(ca, made, err);
        given = made;
    } else if (given->n < 4) {
        return mu_err_set(
            err, MU_INPUT, MU_REASON_NONE, "the password is shorter than 4 characters");
    } else if (given->n > MU_LIMIT_CHALLENGE) {
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "the password is longer than %d characters (RFC 2985 5.4.1)", (int)MU_LIMIT_CHALLENGE);
    }
    return rc == MU_OK ? mu_ca_password_keep(ca, name, mu_secret_bytes(given), kept, err) : rc;
}

static enum mu_code check_names(
    struct mu_ca *ca, const char *profile, const char *name, struct mu_err *err)
{
    struct mu_ca_snapshot *s = mu_ca_snapshot_get(ca);
    enum mu_code rc = MU_OK;

    if (mu_ca_snapshot_profile(s, profile) == NULL)
        rc = mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "there is no profile '%.64s'", profile);
    else if (name != NULL && *name != '\0' && mu_ca_snapshot_find(s, name) == NULL)
        rc = mu_err_set(err, MU_NOT_FOUND, MU_REASON_NONE, "there is no CA '%.64s'", name);
    mu_ca_snapshot_free(s);
    return rc;
}

/* C004, D10: an entry for many devices is for CMP only, and only where the profile says so; each
 * device has a secret of its own that is derived from the entry's. */
static enum mu_code check_wildcard(
    struct mu_ca *ca, const struct mu_ca_entry_new *entry, struct mu_err *err)
{
    struct mu_ca_snapshot *s = mu_ca_snapshot_get(ca);
    const struct mu_enroll_profile *p = mu_ca_snapshot_profile(s, entry->profile);
    bool allowed = p != NULL && p->wildcard;
    enum mu_code rc = MU_OK;

    mu_ca_snapshot_free(s);
    if (entry->protocols != 1u << MU_PROTO_CMP) {
        rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "a wildcard entry is for CMP alone; other protocols know no reference");
        mu_err_next(err, "Add --protocol cmp.");
    } else if (!allowed) {
        rc = mu_err_set(err, MU_DENIED, MU_REASON_NONE,
            "wildcard entries are not supported for CMP unless the profile says so: each client "
            "has an entry of its own");
        mu_err_next(err,
            "Make one entry for each device, or set wildcard = yes in profile '%.64s'; then each "
            "device gets a password of its own by 'entry device'.",
            entry->profile);
    }
    return rc;
}

static enum mu_code check_entry_name(
    struct mu_ca *ca, const struct mu_ca_entry_new *entry, struct mu_err *err)
{
    char plain[72];

    snprintf(plain, sizeof plain, "%.70s", entry->name);
    for (char *p = plain; (p = strchr(p, '*')) != NULL;)
        *p = 'x';
    if (!mu_text_is_entry_name(plain))
        return mu_err_set(err, MU_INPUT, MU_M(706),
            "that is no name for an entry: letters, digits, '.', '_', '-'");
    return strchr(entry->name, '*') != NULL ? check_wildcard(ca, entry, err) : MU_OK;
}

enum mu_code mu_ca_entry_new(struct mu_ca *ca, const struct mu_ca_entry_new *entry,
    struct mu_secret *password, struct mu_err *err)
{
    struct mu_ca_kept kept = {0};
    struct mu_record_entry row = {.name = entry->name,
        .protocols = entry->protocols,
        .profile = entry->profile,
        .ca = entry->ca,
        .created_s = mu_env_now(ca->config.env),
        .expires_s = entry->expires_s,
        .max_uses = entry->max_uses != 0 ? entry->max_uses
            : entry->reusable            ? 0
                                         : 1,
        .comments = entry->comments};
    struct mu_store_change change = {.entry = &row, .entry_put = MU_STORE_CREATE};
    enum mu_code rc;

    if ((rc = check_entry_name(ca, entry, err)) != MU_OK
        || (rc = check_names(ca, entry->profile, entry->ca, err)) != MU_OK
        || (rc = choose_password(
                ca, entry->name, entry->protocols, entry->password, password, &kept, err))
            != MU_OK)
        return rc;
    mu_ca_kept_put(&kept, &row);
    rc = mu_ca_change(
        ca, &change, false, "entry", entry->operator, err, "Entry '%s' made", entry->name);
    if (rc == MU_DENIED)
        rc = mu_err_set(err, MU_DENIED, MU_REASON_NONE,
            "there is an entry '%s' already, or another one has this password", entry->name);
    return rc;
}

struct device {
    struct mu_ca *ca;
    const char *reference;
    struct mu_secret *out;
    bool found;
    enum mu_code rc;
    struct mu_err err;
};

static bool derive_device(void *cookie, const struct mu_record_entry *row)
{
    struct device *d = cookie;
    struct mu_secret master = {0};

    d->found = true;
    d->rc = mu_ca_unseal(d->ca, MU_CA_SEAL_ENTRY, row->name, row->sealed, &master, &d->err);
    if (d->rc == MU_OK)
        d->rc = mu_ca_cmp_who_derive(mu_secret_bytes(&master), d->reference, d->out, &d->err);
    mu_secret_clear(&master);
    return false;
}

enum mu_code mu_ca_entry_device(struct mu_ca *ca, const char *name, const char *reference,
    struct mu_secret *password, struct mu_err *err)
{
    const struct mu_store_filter filter = {.name = name, .limit = 1};
    struct device d = {.ca = ca, .reference = reference, .out = password};
    enum mu_code rc;

    if (strchr(name, '*') == NULL)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "'%.64s' is no wildcard entry: its password is that of its one device", name);
    if (!mu_text_is_entry_name(reference) || !mu_ca_cmp_who_fits(name, reference))
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "the reference does not fit the wildcard entry '%.64s'", name);
    if ((rc = mu_ca_entries_each(ca, &filter, derive_device, &d, err)) != MU_OK)
        return rc;
    if (!d.found)
        return mu_err_set(
            err, MU_NOT_FOUND, MU_REASON_NONE, "there is no entry '%.64s'", name);
    if (d.rc != MU_OK && err != NULL)
        *err = d.err;
    return d.rc;
}

/* One entry read, changed by call, written. */
struct entry_change {
    struct mu_ca *ca;
    void (*call)(struct mu_record_entry *row, const void *cookie);
    const void *cookie;
    bool reset;
    const char *operator, * what;
    bool found;
    enum mu_code rc;
    struct mu_err err;
};

static bool change_entry(void *cookie, const struct mu_record_entry *found)
{
    struct entry_change *e = cookie;
    struct mu_record_entry row = *found;
    struct mu_store_change change = {
        .entry = &row, .entry_put = MU_STORE_REPLACE, .entry_reset_uses = e->reset};

    e->found = true;
    if (e->call != NULL)
        e->call(&row, e->cookie);
    e->rc = mu_ca_change(
        e->ca, &change, false, "entry", e->operator, & e->err, "Entry '%s' %s", row.name, e->what);
    if (e->rc == MU_DENIED)
        mu_err_set(&e->err, MU_DENIED, MU_REASON_NONE,
            "entry '%s' could not be changed: another one has this password", row.name);
    return false;
}

static enum mu_code entry_change(struct entry_change *e, const char *name, struct mu_err *err)
{
    const struct mu_store_filter filter = {.name = name, .limit = 1};
    enum mu_code rc = mu_ca_entries_each(e->ca, &filter, change_entry, e, err);

    if (rc != MU_OK)
        return rc;
    if (!e->found)
        return mu_err_set(
            err, MU_NOT_FOUND, MU_REFUSE_ENTRY_UNKNOWN, "there is no entry '%.64s'", name);
    if (e->rc != MU_OK && err != NULL)
        *err = e->err;
    return e->rc;
}

static void put_password(struct mu_record_entry *row, const void *kept)
{
    mu_ca_kept_put(kept, row);
}

static bool take_protocols(void *cookie, const struct mu_record_entry *row)
{
    *(unsigned *)cookie = row->protocols;
    return false;
}

enum mu_code mu_ca_entry_passwd(struct mu_ca *ca, const char *name, const struct mu_secret *given,
    struct mu_secret *password, const char *operator, struct mu_err * err)
{
    const struct mu_store_filter filter = {.name = name, .limit = 1};
    struct mu_ca_kept kept = {0};
    struct entry_change e = {.ca = ca,
        .call = put_password,
        .cookie = &kept,
        .reset = true,
        .operator= operator,
        .what = "has a new password" };
    unsigned protocols = 0;
    enum mu_code rc = mu_ca_entries_each(ca, &filter, take_protocols, &protocols, err);

    if (rc == MU_OK)
        rc = choose_password(ca, name, protocols, given, password, &kept, err);
    return rc != MU_OK ? rc : entry_change(&e, name, err);
}

enum mu_code mu_ca_entry_reset(
    struct mu_ca *ca, const char *name, const char *operator, struct mu_err * err)
{
    struct entry_change e = {.ca = ca, .reset = true, .operator= operator, .what = "reset" };

    return entry_change(&e, name, err);
}

static void put_disabled(struct mu_record_entry *row, const void *disabled)
{
    row->disabled = *(const bool *)disabled;
}

enum mu_code mu_ca_entry_disable(
    struct mu_ca *ca, const char *name, bool disabled, const char *operator, struct mu_err * err)
{
    struct entry_change e = {.ca = ca,
        .call = put_disabled,
        .cookie = &disabled,
        .operator= operator,
        .what = disabled ? "disabled" : "enabled" };

    return entry_change(&e, name, err);
}

enum mu_code mu_ca_entry_remove(
    struct mu_ca *ca, const char *name, const char *operator, struct mu_err * err)
{
    const struct mu_record_entry row = {.name = name};
    struct mu_store_change change = {.entry = &row, .entry_put = MU_STORE_REMOVE};
    enum mu_code rc =
        mu_ca_change(ca, &change, false, "entry", operator, err, "Entry '%.64s' removed", name);

    return rc != MU_DENIED
        ? rc
        : mu_err_set(err, MU_NOT_FOUND, MU_REFUSE_ENTRY_UNKNOWN, "there is no entry '%.64s'", name);
}
