/* Words of the records: states, revocation reasons, who signed a transaction. */
#include "enroll/enroll_record.h"

#include <stdlib.h>

#include "base/text.h"
#include "pki/pki_alg.h"

static const char *const state_names[] = {"pending", "issued", "rejected"};

/* RFC 5280 5.3.1; 7 is unused there. */
static const char *const reason_names[] = {
    "unspecified",
    "keyCompromise",
    "cACompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "certificateHold",
    NULL,
    NULL,
    "privilegeWithdrawn",
    "aACompromise",
};
enum { REASON_N = sizeof reason_names / sizeof reason_names[0] };

const char *mu_enroll_record_state_name(enum mu_record_state state)
{
    return (size_t)state < 3 ? state_names[state] : "";
}

bool mu_enroll_record_state_parse(const char *word, enum mu_record_state *out)
{
    for (int i = 0; i < 3; i++) {
        if (mu_text_equal_nocase(word, state_names[i])) {
            *out = (enum mu_record_state)i;
            return true;
        }
    }
    return false;
}

const char *mu_enroll_record_reason_name(int reason)
{
    if (reason < 0 || reason >= REASON_N || reason_names[reason] == NULL)
        return "unknown";
    return reason_names[reason];
}

enum mu_code mu_enroll_record_reason_parse(const char *word, int *out, struct mu_err *err)
{
    char shown[80];
    int64_t number;

    for (int i = 0; i < REASON_N; i++) {
        if (reason_names[i] != NULL && mu_text_equal_nocase(word, reason_names[i])) {
            *out = i;
            return MU_OK;
        }
    }
    if (mu_text_int(word, 0, REASON_N - 1, &number, NULL) == MU_OK
        && reason_names[number] != NULL) {
        *out = (int)number;
        return MU_OK;
    }
    return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
        "'%s' is no reason to revoke for: unspecified, keyCompromise, cACompromise, "
        "affiliationChanged, superseded, cessationOfOperation, certificateHold, "
        "privilegeWithdrawn, aACompromise",
        mu_text_escape_to(shown, sizeof shown, mu_bytes_str(word)));
}

bool mu_enroll_record_signer(const struct mu_pki_cert *signer, bool is_ours, uint8_t out[32])
{
    uint8_t digest[64];

    if (is_ours) {
        memcpy(out, signer->sha256, 32);
        return true;
    }
    if (mu_pki_digest(MU_PKI_SHA256, signer->spki, digest) != 32)
        return false;
    memcpy(out, digest, 32);
    return true;
}

struct mu_bytes mu_enroll_record_serial(struct mu_bytes serial)
{
    while (serial.n > 1 && serial.p[0] == 0) {
        serial.p++;
        serial.n--;
    }
    return serial;
}
