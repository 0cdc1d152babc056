/*
 * sscep's words: operations, option letters, configuration keys and exit codes, each in one table.
 * Usage text, option reader, configuration file and manual are all made of them.
 */
#ifndef MU_SSCEP_OPTIONS_H
#define MU_SSCEP_OPTIONS_H

#include "base/ini.h"
#include "proto/scep/scep_client.h"

enum mu_sscep_op {
    MU_SSCEP_NONE = 0,
    MU_SSCEP_GETCA = 1 << 0,
    MU_SSCEP_ENROLL = 1 << 1,
    MU_SSCEP_GETCERT = 1 << 2,
    MU_SSCEP_GETCRL = 1 << 3,
    MU_SSCEP_GETCAPS = 1 << 4,
    MU_SSCEP_ALL = 0x1f,
};

/* The exit codes of the sscep documentation. */
enum mu_sscep_exit {
    MU_SSCEP_EXIT_OK = 0,
    MU_SSCEP_EXIT_USAGE = 1,
    MU_SSCEP_EXIT_FAILURE = 2,
    MU_SSCEP_EXIT_PENDING = 3,
    MU_SSCEP_EXIT_BAD_ALG = 70,
    MU_SSCEP_EXIT_BAD_MESSAGE_CHECK = 71,
    MU_SSCEP_EXIT_BAD_REQUEST = 72,
    MU_SSCEP_EXIT_BAD_TIME = 73,
    MU_SSCEP_EXIT_BAD_CERT_ID = 74,
    MU_SSCEP_EXIT_TIMEOUT = 89,
    MU_SSCEP_EXIT_SELF_SIGNED = 91,
    MU_SSCEP_EXIT_FILE = 93,
    MU_SSCEP_EXIT_NETWORK = 95,
    MU_SSCEP_EXIT_PKCS7 = 97,
    MU_SSCEP_EXIT_NO_STATUS = 99,
};

/* What was going on when it failed; narrows the exit code. */
enum mu_sscep_phase {
    MU_SSCEP_PHASE_OPTIONS,
    MU_SSCEP_PHASE_FILES,
    MU_SSCEP_PHASE_SELF_SIGNED,
    MU_SSCEP_PHASE_EXCHANGE,
};

/* As text they come in, from the line or the file; borrowed. NULL: not given. */
struct mu_sscep_text {
    const char *url, *proxy, *engine, *config, *ca_file, *cipher, *digest;
    const char *ca_identifier, *fingerprint;
    const char *key_file, *request_file, *sign_key_file, *sign_cert_file, *cert_file;
    const char *encrypt_file, *self_signed_file, *poll_interval, *poll_time, *poll_count;
    const char *serial, *write_file; /* write_file: -w */
    const char *write_cert_file, *write_crl_file; /* configuration only: GetCertFile, GetCrlFile */
    bool verbose, debug, resume, allow_legacy, help;
};

struct mu_sscep_options {
    enum mu_sscep_op op;
    struct mu_sscep_text text;
    enum mu_pki_cipher cipher; /* NONE: by capabilities */
    enum mu_pki_digest digest; /* NONE: by capabilities */
    enum mu_pki_digest fingerprint; /* SHA-256 unless asked */
    int64_t poll_interval_s, poll_time_s, poll_count;
};

/* MU_SSCEP_NONE if the word is none. */
enum mu_sscep_op mu_sscep_options_op(const char *word);
const char *mu_sscep_options_op_name(enum mu_sscep_op op);

/* Reads the options behind the operation. Strings are borrowed from argv. */
enum mu_code mu_sscep_options_parse(
    struct mu_sscep_text *text, int argc, char *const *argv, struct mu_err *err) MU_CHECK;
/* Fills in from a configuration file what the line left out; strings are borrowed from ini. Keys
 * nobody knows are named in *unknown, one a line, and do nothing else. */
enum mu_code mu_sscep_options_config(struct mu_sscep_text *text, const struct mu_ini *ini,
    struct mu_buf *unknown, struct mu_err *err) MU_CHECK;
/* Turns the words into values and checks that what op needs is there. *exit_code gets what a
 * refusal means to the caller: 1, or 93 for -K without -O. */
enum mu_code mu_sscep_options_check(enum mu_sscep_op op, const struct mu_sscep_text *text,
    struct mu_sscep_options *out, int *exit_code, struct mu_err *err) MU_CHECK;

bool mu_sscep_options_usage(struct mu_buf *out);
/* One line per setting in use, for -v. */
bool mu_sscep_options_settings(const struct mu_sscep_options *options, struct mu_buf *out);

/* Exit code for an error; fail_info is that of the CA's answer, -1 if there was none. */
int mu_sscep_options_exit(const struct mu_err *err, enum mu_sscep_phase phase, int fail_info);

#endif
