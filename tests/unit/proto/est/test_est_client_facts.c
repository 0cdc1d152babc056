/* The trace of a first enrollment and of a renewal, line by line. */

#include <stdio.h>

#include "world.h"

/* E035..E079: the facts in the order of PRODUCT.md's trace, passwords never (E067). */
static void traces_first_enrollment(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    world_attrs(&w, WORLD_T1);
    world_extensions(&w, "DNS:firewall-portal1.local.ca,IP:172.18.60.184", 0);
    w.config.key_spec = (struct mu_pki_key_spec){MU_PKI_KEY_EC, 256};
    w.config.key_spec_is_choice = true;
    w.issue_subject = "CN=firewall-portal1";
    world_ok(world_run(&w, NULL));
    world_trace_has(&w.trace,
        "est start: enroll for 'est-test101'\n"
        "est trust: G_CA_Cert_1 for the server and for issued certificates\n"
        "est auth: HTTP user estuser, password *\n"
        "est ca: 1 certificate\n"
        "est ca: [1] version 3, serial 4096 (0x1000), issuer CN=estExampleCA, subject CN=estExampleCA\n"
        "est ca: [1] X509v3 Basic Constraints: critical, CA:TRUE\n"
        "est ca: [1] X509v3 Subject Key Identifier: \n"
        "est ca: saved for https://127.0.0.1:8443, source address none, CA identifier none\n"
        "est csrattrs: 57 bytes, " WORLD_T1 "\n"
        "est csrattrs: object 1.3.6.1.1.1.1.22 undefined\n"
        "est csrattrs: object 1.2.840.113549.1.9.1 emailAddress\n"
        "est csrattrs: object 1.3.132.0.34 secp384r1\n"
        "est csrattrs: object 2.16.840.1.101.3.4.2.2 sha384\n"
        "est request: server https://127.0.0.1:8443, CA identifier none, source address none\n"
        "est request: user estuser, password *, client certificate none, server certificate "
        "G_CA_Cert_1, SRP user none\n"
        "est request: key secp256r1, csrattrs used (secp384r1 suggested, secp256r1 was asked for)\n"
        "est request: subject CN=firewall-portal1,DC=local,DC=COM, SAN "
        "DNS:firewall-portal1.local.ca,IP:172.18.60.184\n"
        "est request: linked to TLS 0\n"
        "est request: CSR MI\n"
        "est reply: \n bytes, base64, 1 certificate\n"
        "est reply: MI\n"
        "est cert: version 3, serial 476824 (0x74698), issuer CN=estExampleCA, subject CN=firewall-portal1\n"
        "est cert: X509v3 Basic Constraints: CA:FALSE\n"
        "est cert: X509v3 Key Usage: Digital Signature\n"
        "est changed: DC=local removed, DC=COM removed, SAN removed");
    assert_false(world_traced(&w.trace, "estpwd"));
    assert_false(world_traced(&w.server_trace, "estpwd"));
    world_clear(&w);
}

/* E097..E106: renewal by certificate, no password, CSR of the current certificate. */
static void traces_renewal(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.client_cert = world_cert(&(struct world_cert){.subject = "CN=firewall-portal1",
        .issuer = "CN=estExampleCA", .key = KEY_EC, .issuer_key = KEY_EC_CA,
        .key_usage = MU_KU_DIGITAL_SIGNATURE});
    w.config.reenroll = true;
    w.config.user = NULL;
    w.config.password = NULL;
    w.config.client_cert = "est-test101";
    w.config.client_cert_lacks_eku = true;
    w.config.key = world_key(KEY_EC);
    world_ok(world_run(&w, NULL));
    assert_string_equal(w.last_authorization, "");
    assert_true(w.last_claim.is_renewal);
    assert_int_equal(w.last_claim.auth, MU_AUTH_CERT);
    assert_non_null(strstr(w.urls, "POST " WORLD_URL "/.well-known/est/simplereenroll\n"));
    assert_int_equal(w.keys, 0);
    world_trace_has(&w.trace,
        "est start: reenroll for 'est-test101'\n"
        "est request: settings taken from the store\n"
        "est auth: client certificate est-test101, tried\n"
        "est auth: warning: est-test101 may lack the key usage for TLS client authentication\n"
        "est auth: client certificate est-test101, used\n"
        "est csrattrs: none offered (HTTP 204)\n"
        "est request: CSR made from the current certificate, same key\n"
        "est request: CSR MI\n");
    world_clear(&w);
}
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(traces_first_enrollment),
        cmocka_unit_test(traces_renewal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
