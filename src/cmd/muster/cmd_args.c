/* Option table and its reader. */
#include "cmd/muster/cmd_args.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

enum kind { FLAG, COUNT, TEXT, PART, SAN };

struct option {
    const char *name; /* without dashes */
    char letter; /* 0: none */
    enum kind kind;
    unsigned groups;
    size_t offset; /* PART and SAN: not used */
    const char *extra; /* PART: attribute type; SAN: prefix */
    const char *value; /* placeholder */
    const char *help;
};

#define AT(field) offsetof(struct mu_cmd_args, field)

static const struct option options[] = {
    {"via", 0, TEXT, MU_ARGS_CA, AT(via), NULL, "PROTO", "protocol: scep (the default), est, cmp"},
    {"ca", 0, TEXT, MU_ARGS_CA, AT(ca), NULL, "CA",
        "a CA section of the configuration, or a trusted CA's name"},
    {"url", 0, TEXT, MU_ARGS_CA | MU_ARGS_URL, AT(url), NULL, "URL",
        "address of the CA, used as given"},
    {"label", 0, TEXT, MU_ARGS_CA | MU_ARGS_URL, AT(label), NULL, "WORD",
        "CA identifier (SCEP: message= of GetCACert), EST label, CMP profile"},
    {"pin", 0, TEXT, MU_ARGS_CA | MU_ARGS_URL, AT(pin), NULL, "SHA256",
        "fingerprint the CA must have; trusts it"},
    {"ca-cert", 0, TEXT, MU_ARGS_CA | MU_ARGS_URL, AT(ca_cert), NULL, "NAME",
        "only this CA (a name of 'ca list' or a file) vouches for server and certificates"},
    {"server-name", 0, TEXT, MU_ARGS_CA | MU_ARGS_URL, AT(server_name), NULL, "HOST",
        "TLS: the server's certificate is for this name"},
    {"tls-min", 0, TEXT, MU_ARGS_CA | MU_ARGS_URL, AT(tls_min), NULL, "VERSION",
        "1.2 (the default); 1.1 and 1.0 with --allow-legacy"},
    {"csrattrs", 0, TEXT, MU_ARGS_CA, AT(csrattrs), NULL, "WORD",
        "EST: use (the default) or ignore what the CA wants in a request"},
    {"renew-auth", 0, TEXT, MU_ARGS_CA, AT(renew_auth), NULL, "WORD",
        "EST: renew by certificate (the default) or password"},
    {"path", 0, TEXT, MU_ARGS_CA, AT(path), NULL, "PATH",
        "CMP: path of the service, default /app/cert/cmp2"},
    {"server-cert", 0, TEXT, MU_ARGS_CA, AT(server_cert), NULL, "NAME",
        "CMP: the answers are signed below this CA or by this certificate"},
    {"mac", 0, TEXT, MU_ARGS_CA, AT(mac), NULL, "WORD", "CMP: pbm (the default) or pbmac1"},
    {"mac-iterations", 0, TEXT, MU_ARGS_CA, AT(mac_iterations), NULL, "N",
        "CMP: of the key derived from the secret, 100 to 100000; default 10000"},
    {"pop", 0, TEXT, MU_ARGS_CA, AT(pop), NULL, "WORD",
        "CMP: show that the key is ours by signature (the default), or by opening the certificate: encrypted"},
    {"mac-owf", 0, TEXT, MU_ARGS_CA, AT(mac_owf), NULL, "NAME",
        "CMP: the MAC's one-way function (pbmac1: its PRF), sha256 (the default), sha384, sha512"},
    {"mac-hmac", 0, TEXT, MU_ARGS_CA, AT(mac_hmac), NULL, "NAME",
        "CMP: the MAC's HMAC, sha256 (the default), sha384, sha512; sha1 with allow-legacy"},
    {"no-confirm", 0, FLAG, MU_ARGS_CA, AT(no_confirm), NULL, NULL,
        "CMP: send no confirmation, for servers that fail on it"},
    {"ignore-key-usage", 0, FLAG, MU_ARGS_CA, AT(ignore_key_usage), NULL, NULL,
        "CMP: the server's certificate may lack digitalSignature"},
    {"trust-ca-pubs", 0, FLAG, MU_ARGS_CA, AT(trust_ca_pubs), NULL, NULL,
        "CMP: trust the root that comes with an answer under the secret's MAC"},
    {"rsa-pss", 0, FLAG, MU_ARGS_CA, AT(rsa_pss), NULL, NULL,
        "CMP: an RSA key signs messages by RSASSA-PSS"},
    {"ask-template", 0, FLAG, MU_ARGS_CA, AT(ask_template), NULL, NULL,
        "CMP: ask what the CA wants in a request (certReqTemplate); what is given here counts more"},
    {"implicit-confirm", 0, FLAG, MU_ARGS_CA, AT(implicit_confirm), NULL, NULL,
        "CMP: ask for a certificate that needs no confirmation"},
    {"cmp-request", 0, TEXT, MU_ARGS_CA, AT(cmp_request), NULL, "WORD",
        "CMP: ir (the default), cr or p10cr"},
    {"digest", 0, TEXT, MU_ARGS_CA, AT(digest), NULL, "NAME",
        "sha256, sha384, sha512; default: by the CA's capabilities"},
    {"cipher", 0, TEXT, MU_ARGS_CA, AT(cipher), NULL, "NAME",
        "aes128, aes192, aes256; default: by the CA's capabilities"},
    {"method", 0, TEXT, MU_ARGS_CA, AT(method), NULL, "WORD", "auto, get, post"},
    {"ra-cert", 0, TEXT, MU_ARGS_CA, AT(ra_cert), NULL, "FILE",
        "encrypt to this certificate, whatever the key usages say"},
    {"nonce-check", 0, TEXT, MU_ARGS_CA, AT(nonce_check), NULL, "WORD",
        "strict, or warn for servers that forget the nonce"},
    {"expect-standard", 0, FLAG, MU_ARGS_CA, AT(expect_standard), NULL, NULL,
        "end if SCEPStandard is missing in the capabilities"},
    {"compat", 0, TEXT, MU_ARGS_CA, AT(compat), NULL, "WORD",
        "iis: ask again with 3DES and SHA-1 (with --allow-legacy), forgive wrong key usages"},

    {"subject", 0, TEXT, MU_ARGS_SUBJECT, AT(subject), NULL, "DN", "'/CN=x/O=y' or 'CN=x,O=y'"},
    {"cn", 0, PART, MU_ARGS_SUBJECT, 0, "CN", "TEXT", "common name"},
    {"o", 0, PART, MU_ARGS_SUBJECT, 0, "O", "TEXT", "organization"},
    {"ou", 0, PART, MU_ARGS_SUBJECT, 0, "OU", "TEXT", "organizational unit, may be repeated"},
    {"l", 0, PART, MU_ARGS_SUBJECT, 0, "L", "TEXT", "locality"},
    {"st", 0, PART, MU_ARGS_SUBJECT, 0, "ST", "TEXT", "state or province"},
    {"c", 0, PART, MU_ARGS_SUBJECT, 0, "C", "XX", "country, two letters"},
    {"email-dn", 0, PART, MU_ARGS_SUBJECT, 0, "emailAddress", "MAIL",
        "e-mail address in the subject"},
    {"san", 0, SAN, MU_ARGS_SUBJECT, 0, "", "LIST",
        "alternative names with prefixes: DNS:a,IP:192.0.2.1"},
    {"dns", 0, SAN, MU_ARGS_SUBJECT, 0, "DNS", "NAME", "alternative name: host"},
    {"ip", 0, SAN, MU_ARGS_SUBJECT, 0, "IP", "ADDR", "alternative name: address"},
    {"email", 0, SAN, MU_ARGS_SUBJECT, 0, "email", "MAIL", "alternative name: e-mail"},
    {"uri", 0, SAN, MU_ARGS_SUBJECT, 0, "URI", "URI", "alternative name: URI"},
    {"rid", 0, SAN, MU_ARGS_SUBJECT, 0, "RID", "OID", "alternative name: registered id"},
    {"dirname", 0, SAN, MU_ARGS_SUBJECT, 0, "dirName", "DN", "alternative name: directory name"},
    {"othername", 0, SAN, MU_ARGS_SUBJECT, 0, "otherName", "OID;UTF8:V",
        "alternative name: any other kind"},
    {"template-name", 0, TEXT, MU_ARGS_SUBJECT, AT(template_name), NULL, "NAME",
        "certificate template to ask for"},
    {"key-usage", 0, TEXT, MU_ARGS_SUBJECT, AT(key_usage), NULL, "LIST",
        "digitalSignature, keyEncipherment, ..."},
    {"eku", 0, TEXT, MU_ARGS_SUBJECT, AT(eku), NULL, "LIST", "clientAuth, serverAuth, ..."},

    {"key", 0, TEXT, MU_ARGS_KEY, AT(key), NULL, "KEY",
        "rsa:2048 (SCEP) to rsa:4096, ec:P-256 (EST), P-384, P-521, or a pkcs11: URI"},
    {"key-file", 0, TEXT, MU_ARGS_KEY, AT(key_file), NULL, "FILE", "use this private key"},
    {"key-pass-file", 0, TEXT, MU_ARGS_KEY | MU_ARGS_AUTH | MU_ARGS_POLL | MU_ARGS_EXPORT, AT(key_pass_file), NULL, "FILE",
        "password of the private key, or the token's PIN"},
    {"reuse-key", 0, FLAG, MU_ARGS_KEY | MU_ARGS_REKEY, AT(reuse_key), NULL, NULL,
        "keep the key when renewing"},
    {"rekey", 0, FLAG, MU_ARGS_KEY | MU_ARGS_REKEY, AT(rekey), NULL, NULL,
        "make a new key when renewing"},

    {"server-key", 0, FLAG, MU_ARGS_ENROLL, AT(server_key), NULL, NULL,
        "EST: the server makes the key (serverkeygen)"},
    {"server-key-to", 0, TEXT, MU_ARGS_ENROLL, AT(server_key_to), NULL, "WHOM",
        "EST: encrypted inside TLS as well: certificate, or shared:ID"},
    {"shared-key-file", 0, TEXT, MU_ARGS_AUTH, AT(shared_key_file), NULL, "FILE",
        "AES key of shared:ID in hex: first line of FILE, '-' is stdin"},
    {"shared-key-fd", 0, TEXT, MU_ARGS_AUTH, AT(shared_key_fd), NULL, "N",
        "AES key of shared:ID in hex: from this open descriptor"},

    {"challenge-file", 0, TEXT, MU_ARGS_AUTH, AT(challenge_file), NULL, "FILE",
        "challenge password: first line of FILE, '-' is stdin"},
    {"challenge-fd", 0, TEXT, MU_ARGS_AUTH, AT(challenge_fd), NULL, "N",
        "challenge password: from this open descriptor"},
    {"no-challenge", 0, FLAG, MU_ARGS_AUTH, AT(no_challenge), NULL, NULL,
        "ask for none and send none"},

    {"ref", 0, TEXT, MU_ARGS_AUTH | MU_ARGS_SECRET, AT(ref), NULL, "REF",
        "CMP: reference that names the secret"},
    {"secret-file", 0, TEXT, MU_ARGS_AUTH | MU_ARGS_SECRET, AT(secret_file), NULL, "FILE",
        "the secret: first line of FILE, '-' is stdin"},
    {"secret-fd", 0, TEXT, MU_ARGS_AUTH | MU_ARGS_SECRET, AT(secret_fd), NULL, "N",
        "the secret: from this open descriptor"},
    {"user", 0, TEXT, MU_ARGS_AUTH, AT(user), NULL, "U", "EST: HTTP user"},
    {"password-file", 0, TEXT, MU_ARGS_AUTH, AT(password_file), NULL, "FILE",
        "its password: first line of FILE, '-' is stdin"},
    {"password-fd", 0, TEXT, MU_ARGS_AUTH, AT(password_fd), NULL, "N",
        "its password: from this open descriptor"},
    {"client-cert", 0, TEXT, MU_ARGS_AUTH | MU_ARGS_SECRET, AT(client_cert), NULL, "NAME",
        "EST shows, CMP signs with this: an entry here, or a file with its key inside or beside it"},
    {"srp-user", 0, TEXT, MU_ARGS_AUTH, AT(srp_user), NULL, "U",
        "EST: user of TLS-SRP (deprecated, TLS 1.2 only)"},
    {"srp-password-file", 0, TEXT, MU_ARGS_AUTH, AT(srp_password_file), NULL, "FILE",
        "its password: first line of FILE, '-' is stdin"},
    {"srp-password-fd", 0, TEXT, MU_ARGS_AUTH, AT(srp_password_fd), NULL, "N",
        "its password: from this open descriptor"},

    {"deploy", 0, TEXT, MU_ARGS_DEPLOY, AT(deploy), NULL, "RECIPE",
        "bring it to this service each time (by comma; see muster-hooks(7))"},
    {"success-script", 0, TEXT, MU_ARGS_DEPLOY, AT(success_script), NULL, "COMMAND",
        "shell command after each issue"},
    {"failure-script", 0, TEXT, MU_ARGS_DEPLOY, AT(failure_script), NULL, "COMMAND",
        "shell command after each failure"},
    {"verify", 0, TEXT, MU_ARGS_DEPLOY, AT(verify), NULL, "tls:HOST:PORT",
        "where the new certificate has to be seen"},
    {"verify", 0, FLAG, MU_ARGS_DEPLOY_NOW, AT(verify_only), NULL, NULL,
        "run nothing, look whether the service presents it"},

    {"replace", 0, FLAG, MU_ARGS_ENROLL, AT(replace), NULL, NULL,
        "new key and certificate for an existing name"},
    {"new", 0, FLAG, MU_ARGS_ENROLL, AT(fresh), NULL, NULL,
        "drop the pending request and begin anew"},
    {"no-wait", 0, FLAG, MU_ARGS_WAIT, AT(no_wait), NULL, NULL,
        "end with exit code 5 when the CA says PENDING"},
    {"wait", 0, FLAG, MU_ARGS_POLL, AT(wait), NULL, NULL, "go on asking until there is an answer"},
    {"await-result", 0, TEXT, MU_ARGS_WAIT, AT(await_result), NULL, "TIME",
        "pause between polls, default 60s"},
    {"max-await-result", 0, TEXT, MU_ARGS_WAIT, AT(max_await_result), NULL, "TIME",
        "stop polling after so long, default 60min"},

    {"reason", 0, TEXT, MU_ARGS_REVOKE, AT(reason), NULL, "WORD",
        "why: keyCompromise, superseded, cessationOfOperation, ..."},

    {"all", 0, FLAG, MU_ARGS_ALL, AT(all), NULL, NULL, "every certificate of the store"},
    {"force", 0, FLAG, MU_ARGS_RENEW, AT(force), NULL, NULL, "also if it is not due yet"},
    {"dry-run", 0, FLAG, MU_ARGS_RENEW, AT(dry_run), NULL, NULL, "say what would be done"},
    {"next-ca", 0, FLAG, MU_ARGS_NEXT, AT(next_ca), NULL, NULL,
        "of the CA's successor; it waits until the present one expires"},
    {"activate", 0, FLAG, MU_ARGS_INSTALL, AT(activate), NULL, NULL,
        "the certificate that waits becomes the present one"},
    {"output", 'o', TEXT, MU_ARGS_OUTPUT, AT(output), NULL, "FILE",
        "write here; ca fetch: into this directory"},
    {"as", 0, TEXT, MU_ARGS_AS, AT(as), NULL, "FORM", "text, pem or json"},
    {"name", 0, TEXT, MU_ARGS_TRUST, AT(name), NULL, "NAME", "name of the CA in the store"},
    {"sha256", 0, TEXT, MU_ARGS_TRUST, AT(sha256), NULL, "FP",
        "fingerprint it must have; asks nothing"},
    {"replace", 0, FLAG, MU_ARGS_TRUST, AT(replace), NULL, NULL,
        "another certificate under a name in use"},
    {"serial", 0, TEXT, MU_ARGS_SERIAL, AT(serial), NULL, "N",
        "serial number, decimal or hex with colons"},

    {"last", 0, FLAG, MU_ARGS_TRACE, AT(last), NULL, NULL, "the latest exchange only"},
    {"id", 0, TEXT, MU_ARGS_TRACE, AT(id), NULL, "TX", "exchanges of this transaction id"},
    {"follow", 'f', FLAG, MU_ARGS_LOG | MU_ARGS_TRACE, AT(follow), NULL, NULL, "go on with what happens from now on"},
    {"name", 0, TEXT, MU_ARGS_LOG, AT(name), NULL, "NAME", "only of this certificate"},
    {"action", 0, TEXT, MU_ARGS_LOG, AT(action), NULL, "WORD",
        "certificate-generate, certificate-warning, certificate-status, certificate-deploy"},
    {"subtype", 0, TEXT, MU_ARGS_LOG, AT(subtype), NULL, "WORD", "vpn or system"},
    {"since", 0, TEXT, MU_ARGS_LOG, AT(since), NULL, "TIME", "2025-11-20, 2025-11-20T17:40:05Z, or 1h, 30d"},
    {"watch", 0, FLAG, MU_ARGS_STATUS, AT(watch), NULL, NULL, "again every two seconds"},
    {"style", 0, TEXT, MU_ARGS_STATUS, AT(style), NULL, "WORD",
        "table (the default), or router: two lines for each"},
    {"warn", 0, TEXT, MU_ARGS_CHECK, AT(warn), NULL, "DAYS", "WARNING from so many days left on, default 14"},
    {"crit", 0, TEXT, MU_ARGS_CHECK, AT(crit), NULL, "DAYS", "CRITICAL from so many days left on, default 7"},
    {"name", 0, TEXT, MU_ARGS_ENTRY, AT(name), NULL, "NAME", "the certificate in question"},
    {"pem", 0, TEXT, MU_ARGS_EXPORT, AT(pem), NULL, "FILE", "certificate and chain, '-' is stdout"},
    {"bundle", 0, TEXT, MU_ARGS_EXPORT, AT(bundle), NULL, "FILE", "certificate, chain and private key, PEM"},
    {"p12", 0, TEXT, MU_ARGS_EXPORT, AT(p12), NULL, "FILE", "the same as PKCS #12"},
    {"password-file", 0, TEXT, MU_ARGS_EXPORT, AT(password_file), NULL, "FILE",
        "encrypts the private key in it: first line of FILE, '-' is stdin"},
    {"password-fd", 0, TEXT, MU_ARGS_EXPORT, AT(password_fd), NULL, "N",
        "encrypts the private key in it: from this open descriptor"},
    {"owner", 0, TEXT, MU_ARGS_PLACE, AT(owner), NULL, "USER", "owner of the file; default: as it is"},
    {"group", 0, TEXT, MU_ARGS_PLACE, AT(group), NULL, "GROUP", "group of the file; default: as it is"},
    {"mode", 0, TEXT, MU_ARGS_PLACE, AT(mode), NULL, "OCTAL", "mode of the file; default: as it is, a new one 0600"},
    {"keep", 0, FLAG, MU_ARGS_PLACE, AT(keep), NULL, NULL, "keep the present one for --back"},
    {"back", 0, FLAG, MU_ARGS_PLACE, AT(back), NULL, NULL, "the one that was kept takes its place again"},
    {"forget", 0, FLAG, MU_ARGS_PLACE, AT(forget), NULL, NULL, "take away the one that was kept"},

    {"origin", 0, FLAG, MU_ARGS_CONFIG, AT(origin), NULL, NULL, "with file and line, defaults too"},
    {"file", 0, TEXT, MU_ARGS_GIVEN, AT(file), NULL, "FILE", "the secret: first line of FILE, '-' is stdin"},
    {"fd", 0, TEXT, MU_ARGS_GIVEN, AT(fd), NULL, "N", "the secret: from this open descriptor"},

    {"verbose", 'v', COUNT, MU_ARGS_GLOBAL, AT(verbose), NULL, NULL,
        "say more; twice: the trace as well"},
    {"quiet", 'q', FLAG, MU_ARGS_GLOBAL, AT(quiet), NULL, NULL, "say nothing but errors"},
    {"json", 0, FLAG, MU_ARGS_GLOBAL, AT(json), NULL, NULL, "one JSON object on stdout"},
    {"no-color", 0, FLAG, MU_ARGS_GLOBAL, AT(no_color), NULL, NULL, "no color on a terminal"},
    {"no-input", 0, FLAG, MU_ARGS_GLOBAL, AT(no_input), NULL, NULL,
        "a question becomes an error that names the flag"},
    {"yes", 'y', FLAG, MU_ARGS_GLOBAL, AT(yes), NULL, NULL,
        "yes to what is asked, but for a CA met on the way"},
    {"config", 0, TEXT, MU_ARGS_GLOBAL, AT(config), NULL, "FILE",
        "configuration, default /etc/muster/muster.conf"},
    {"store", 0, TEXT, MU_ARGS_GLOBAL, AT(store), NULL, "DIR", "root of the store"},
    {"socket", 0, TEXT, MU_ARGS_GLOBAL, AT(socket), NULL, "PATH",
        "of the running agent, default /run/muster/control.sock"},
    {"timeout", 0, TEXT, MU_ARGS_GLOBAL, AT(timeout), NULL, "TIME",
        "for one exchange, default 30s"},
    {"source-ip", 0, TEXT, MU_ARGS_GLOBAL, AT(source_ip), NULL, "ADDR",
        "address of this host to connect from"},
    {"proxy", 0, TEXT, MU_ARGS_GLOBAL, AT(proxy), NULL, "HOST:PORT", "HTTP proxy"},
    {"allow-legacy", 0, FLAG, MU_ARGS_GLOBAL, AT(allow_legacy), NULL, NULL,
        "take DES, MD5, SHA-1 and short keys, with a warning"},
    {"demo", 0, FLAG, MU_ARGS_GLOBAL, AT(demo), NULL, NULL, "the CA of 'muster-ca demo' in ./demo"},
    {"debug", 0, TEXT, MU_ARGS_GLOBAL, AT(debug), NULL, "LIST", "trace lines on stderr: scep,est,tls,http"},
    {"trace", 'd', FLAG, MU_ARGS_GLOBAL, AT(debug_all), NULL, NULL, "all trace lines on stderr"},
    {"help", 'h', FLAG, MU_ARGS_GLOBAL, AT(help), NULL, NULL, "this text"},
    {"version", 0, FLAG, MU_ARGS_GLOBAL, AT(version), NULL, NULL,
        "version of muster and of its libraries"},
    {"licenses", 0, FLAG, MU_ARGS_GLOBAL, AT(licenses), NULL, NULL,
        "licenses of what the program loads"},
};

enum { OPTION_N = sizeof options / sizeof options[0] };

static const struct {
    unsigned group;
    const char *title;
} titles[] = {
    {MU_ARGS_CA, "CA"},
    {MU_ARGS_URL, "CA"},
    {MU_ARGS_SUBJECT, "Subject"},
    {MU_ARGS_KEY, "Key"},
    {MU_ARGS_REKEY, "Key"},
    {MU_ARGS_AUTH, "Authentication"},
    {MU_ARGS_ENROLL, "Enrollment"},
    {MU_ARGS_WAIT, "Waiting"},
    {MU_ARGS_POLL, "Waiting"},
    {MU_ARGS_ALL, "Which"},
    {MU_ARGS_RENEW, "Renewal"},
    {MU_ARGS_NEXT, "Renewal"},
    {MU_ARGS_REVOKE, "Revocation"},
    {MU_ARGS_SECRET, "Authentication"},
    {MU_ARGS_INSTALL, "Renewal"},
    {MU_ARGS_TRACE, "Which"},
    {MU_ARGS_EXPORT, "Output"},
    {MU_ARGS_OUTPUT, "Output"},
    {MU_ARGS_AS, "Output"},
    {MU_ARGS_TRUST, "Trust"},
    {MU_ARGS_SERIAL, "Query"},
    {MU_ARGS_LOG, "Which"},
    {MU_ARGS_STATUS, "Output"},
    {MU_ARGS_CHECK, "Limits"},
    {MU_ARGS_ENTRY, "Which"},
    {MU_ARGS_PLACE, "File"},
    {MU_ARGS_CONFIG, "Output"},
    {MU_ARGS_GIVEN, "Secret"},
    {MU_ARGS_GLOBAL, "Global"},
};

static const struct option *find_long(const char *name, size_t n, unsigned groups, bool *elsewhere)
{
    size_t i;

    *elsewhere = false;
    for (i = 0; i < OPTION_N; i++) {
        if (strlen(options[i].name) != n || memcmp(options[i].name, name, n) != 0)
            continue;
        if ((options[i].groups & groups) != 0)
            return &options[i];
        *elsewhere = true;
    }
    return NULL;
}

static const struct option *find_letter(char letter, unsigned groups)
{
    size_t i;

    for (i = 0; i < OPTION_N; i++) {
        if (options[i].letter == letter && (options[i].groups & groups) != 0)
            return &options[i];
    }
    return NULL;
}

static enum mu_code unknown(
    const char *name, size_t n, unsigned groups, bool elsewhere, struct mu_err *err)
{
    const char *words[OPTION_N + 1], *near;
    char text[64];
    size_t i, count = 0;
    enum mu_code rc;

    snprintf(text, sizeof text, "%.*s", (int)n, name);
    for (i = 0; i < OPTION_N; i++) {
        if ((options[i].groups & groups) != 0)
            words[count++] = options[i].name;
    }
    words[count] = NULL;
    near = mu_text_nearest(text, words);
    if (elsewhere)
        rc = mu_err_set(
            err, MU_INPUT, MU_REASON_NONE, "option --%s does not belong to this command", text);
    else
        rc = mu_err_set(err, MU_INPUT, MU_REASON_NONE, "unknown option --%s", text);
    if (near != NULL && !elsewhere)
        mu_err_next(err, "Did you mean --%s?", near);
    return rc;
}

static enum mu_code add_part(struct mu_pki_name_part *list, size_t *n, const struct option *o,
    const char *value, struct mu_err *err)
{
    if (*n == MU_ARGS_MAX_LIST)
        return mu_err_set(
            err, MU_INPUT, MU_REASON_NONE, "--%s: more than %d values", o->name, MU_ARGS_MAX_LIST);
    list[*n].type = o->extra;
    list[(*n)++].value = value;
    return MU_OK;
}

static enum mu_code take(
    struct mu_cmd_args *args, const struct option *o, const char *value, struct mu_err *err)
{
    void *at = (char *)args + o->offset;

    switch (o->kind) {
    case FLAG:
        *(bool *)at = true;
        return MU_OK;
    case COUNT:
        (*(int *)at)++;
        return MU_OK;
    case PART:
        return add_part(args->parts, &args->part_n, o, value, err);
    case SAN:
        return add_part(args->san, &args->san_n, o, value, err);
    default:
        *(const char **)at = value;
        return MU_OK;
    }
}

static bool has_value(const struct option *o)
{
    return o->kind != FLAG && o->kind != COUNT;
}

static enum mu_code long_option(struct mu_cmd_args *args, unsigned groups, int argc,
    char *const *argv, int *at, struct mu_err *err)
{
    const char *name = argv[*at] + 2;
    const char *equal = strchr(name, '=');
    size_t n = equal != NULL ? (size_t)(equal - name) : strlen(name);
    const char *value = NULL;
    bool elsewhere;
    const struct option *o = find_long(name, n, groups, &elsewhere);

    if (o == NULL)
        return unknown(name, n, groups, elsewhere, err);
    if (!has_value(o)) {
        if (equal != NULL)
            return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "--%s takes no value", o->name);
    } else if (equal != NULL) {
        value = equal + 1;
    } else if (*at + 1 < argc) {
        value = argv[++*at];
    } else {
        return mu_err_set(
            err, MU_INPUT, MU_REASON_NONE, "--%s needs a value: %s", o->name, o->value);
    }
    return take(args, o, value, err);
}

static enum mu_code short_options(struct mu_cmd_args *args, unsigned groups, int argc,
    char *const *argv, int *at, struct mu_err *err)
{
    const char *p;
    enum mu_code rc;

    for (p = argv[*at] + 1; *p != '\0'; p++) {
        const struct option *o = find_letter(*p, groups);
        const char *value = NULL;

        if (o == NULL)
            return mu_err_set(err, MU_INPUT, MU_REASON_NONE, "unknown option -%c",
                *p >= ' ' && *p <= '~' ? *p : '?');
        if (has_value(o)) {
            value = p[1] != '\0' ? p + 1 : *at + 1 < argc ? argv[++*at] : NULL;
            if (value == NULL)
                return mu_err_set(
                    err, MU_INPUT, MU_REASON_NONE, "-%c needs a value: %s", *p, o->value);
        }
        if ((rc = take(args, o, value, err)) != MU_OK)
            return rc;
        if (value != NULL)
            break;
    }
    return MU_OK;
}

enum mu_code mu_cmd_args_parse(struct mu_cmd_args *args, unsigned groups, int argc,
    char *const *argv, int *at, bool stop_at_word, struct mu_err *err)
{
    bool only_words = false;
    enum mu_code rc;

    for (; *at < argc; ++*at) {
        const char *word = argv[*at];

        if (!only_words && strcmp(word, "--") == 0) {
            only_words = true;
        } else if (!only_words && word[0] == '-' && word[1] == '-') {
            if ((rc = long_option(args, groups, argc, argv, at, err)) != MU_OK)
                return rc;
        } else if (!only_words && word[0] == '-' && word[1] != '\0') {
            if ((rc = short_options(args, groups, argc, argv, at, err)) != MU_OK)
                return rc;
        } else if (stop_at_word) {
            return MU_OK;
        } else if (args->word_n == MU_ARGS_MAX_WORDS) {
            return mu_err_set(
                err, MU_INPUT, MU_REASON_NONE, "more than %d names", MU_ARGS_MAX_WORDS);
        } else {
            args->words[args->word_n++] = word;
        }
    }
    return MU_OK;
}

static void help_line(const struct option *o, struct mu_buf *out)
{
    char left[48];
    int n = 0;

    if (o->letter != 0)
        n = snprintf(left, sizeof left, "-%c, ", o->letter);
    snprintf(left + n, sizeof left - (size_t)n, "--%s%s%s", o->name, o->value != NULL ? " " : "",
        o->value != NULL ? o->value : "");
    mu_buf_putf(out, "  %-26s %s\n", left, o->help);
}

bool mu_cmd_args_help(unsigned groups, struct mu_buf *out)
{
    const char *last = "";
    unsigned done = 0;
    size_t t, i;

    for (t = 0; t < sizeof titles / sizeof titles[0]; t++) {
        if ((titles[t].group & groups) == 0)
            continue;
        if (strcmp(last, titles[t].title) != 0)
            mu_buf_putf(out, "\n%s\n", titles[t].title);
        last = titles[t].title;
        for (i = 0; i < OPTION_N; i++) {
            if ((options[i].groups & titles[t].group) != 0 && (options[i].groups & done) == 0)
                help_line(&options[i], out);
        }
        done |= titles[t].group;
    }
    return !out->failed;
}

const char *mu_cmd_args_at(size_t i, unsigned *groups)
{
    if (i >= OPTION_N)
        return NULL;
    *groups = options[i].groups;
    return options[i].name;
}

const char *mu_cmd_args_value(const char *word, unsigned groups)
{
    const struct option *o;
    bool elsewhere;

    if (word[0] == '-' && word[1] == '-')
        o = find_long(word + 2, strlen(word + 2), groups, &elsewhere);
    else
        o = word[0] == '-' && word[1] != '\0' && word[2] == '\0' ? find_letter(word[1], groups) : NULL;
    return o != NULL && has_value(o) ? o->value : NULL;
}

bool mu_cmd_args_san(const struct mu_cmd_args *args, struct mu_buf *out)
{
    size_t i;

    for (i = 0; i < args->san_n; i++) {
        mu_buf_put_str(out, i > 0 ? "," : "");
        mu_buf_put_str(out, args->san[i].type);
        mu_buf_put_str(out, args->san[i].type[0] != '\0' ? ":" : "");
        mu_buf_put_str(out, args->san[i].value);
    }
    return !out->failed;
}

enum mu_code mu_cmd_args_subject(
    const struct mu_cmd_args *args, struct mu_buf *out, struct mu_err *err)
{
    static const char *const order[] = {"C", "ST", "L", "O", "OU", "CN", "emailAddress"};
    const char *p;
    size_t o, i;

    if (args->subject != NULL && args->part_n > 0)
        return mu_err_set(err, MU_INPUT, MU_REASON_NONE,
            "--subject is a whole name: not together with --%s", args->parts[0].type);
    if (args->subject != NULL)
        mu_buf_put_str(out, args->subject);
    for (o = 0; o < sizeof order / sizeof order[0]; o++) {
        for (i = 0; i < args->part_n; i++) {
            if (strcmp(args->parts[i].type, order[o]) != 0)
                continue;
            mu_buf_putf(out, "/%s=", order[o]);
            for (p = args->parts[i].value; *p != '\0'; p++) {
                if (*p == '/' || *p == '\\' || *p == '+')
                    mu_buf_put_byte(out, '\\');
                mu_buf_put_byte(out, (uint8_t)*p);
            }
        }
    }
    return mu_buf_check(out, "subject", err);
}
