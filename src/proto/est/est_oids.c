/* OIDs of CSR attributes: see est_oids.h. */
#include "proto/est/est_oids.h"

#include "base/der.h"

/* clang-format off */
static const struct mu_est_oid known[] = {
    {"1.2.840.113549.1.1.1", "rsaEncryption", MU_PKI_KEY_RSA, 0, MU_PKI_DIGEST_NONE, false},
    {"1.2.840.10045.2.1", "id-ecPublicKey", MU_PKI_KEY_EC, 0, MU_PKI_DIGEST_NONE, false},
    {"1.2.840.10045.3.1.7", "prime256v1", MU_PKI_KEY_EC, 256, MU_PKI_DIGEST_NONE, false},
    {"1.3.132.0.34", "secp384r1", MU_PKI_KEY_EC, 384, MU_PKI_DIGEST_NONE, false},
    {"1.3.132.0.35", "secp521r1", MU_PKI_KEY_EC, 521, MU_PKI_DIGEST_NONE, false},
    {"1.3.101.112", "ED25519", MU_PKI_KEY_ED25519, 0, MU_PKI_DIGEST_NONE, false},
    {"1.3.101.113", "ED448", MU_PKI_KEY_ED448, 0, MU_PKI_DIGEST_NONE, false},
    {"1.2.840.113549.1.1.5", "sha1WithRSAEncryption", 0, 0, MU_PKI_SHA1, false},
    {"1.2.840.113549.1.1.11", "sha256WithRSAEncryption", 0, 0, MU_PKI_SHA256, false},
    {"1.2.840.113549.1.1.12", "sha384WithRSAEncryption", 0, 0, MU_PKI_SHA384, false},
    {"1.2.840.113549.1.1.13", "sha512WithRSAEncryption", 0, 0, MU_PKI_SHA512, false},
    {"1.2.840.10045.4.1", "ecdsa-with-SHA1", 0, 0, MU_PKI_SHA1, false},
    {"1.2.840.10045.4.3.2", "ecdsa-with-SHA256", 0, 0, MU_PKI_SHA256, false},
    {"1.2.840.10045.4.3.3", "ecdsa-with-SHA384", 0, 0, MU_PKI_SHA384, false},
    {"1.2.840.10045.4.3.4", "ecdsa-with-SHA512", 0, 0, MU_PKI_SHA512, false},
    {"2.16.840.1.101.3.4.2.1", "sha256", 0, 0, MU_PKI_DIGEST_NONE, false},
    {"2.16.840.1.101.3.4.2.2", "sha384", 0, 0, MU_PKI_DIGEST_NONE, false},
    {"2.16.840.1.101.3.4.2.3", "sha512", 0, 0, MU_PKI_DIGEST_NONE, false},
    {"1.3.14.3.2.26", "sha1", 0, 0, MU_PKI_DIGEST_NONE, false},
    {"1.2.840.113549.1.9.1", "emailAddress", 0, 0, MU_PKI_DIGEST_NONE, false},
    {"1.2.840.113549.1.9.7", "challengePassword", 0, 0, MU_PKI_DIGEST_NONE, false},
    {"1.2.840.113549.1.9.14", "Extension Request", 0, 0, MU_PKI_DIGEST_NONE, false},
    {"1.2.840.113549.1.9.15", "S/MIME Capabilities", 0, 0, MU_PKI_DIGEST_NONE, false},
    {"1.2.840.113549.1.9.16.2.37", "decryptKeyID", 0, 0, MU_PKI_DIGEST_NONE, false},
    {"1.2.840.113549.1.9.16.2.54", "asymmDecryptKeyID", 0, 0, MU_PKI_DIGEST_NONE, false},
    {"1.2.840.113549.1.9.16.2.61", "certificationRequestInfoTemplate", 0, 0, MU_PKI_DIGEST_NONE, false},
    {"1.2.840.113549.1.9.16.2.62", "extensionReqTemplate", 0, 0, MU_PKI_DIGEST_NONE, false},
    {"2.5.4.3", "commonName", 0, 0, MU_PKI_DIGEST_NONE, false},
    {"2.5.4.5", "serialNumber", 0, 0, MU_PKI_DIGEST_NONE, false},
    {"2.5.4.6", "countryName", 0, 0, MU_PKI_DIGEST_NONE, false},
    {"2.5.4.7", "localityName", 0, 0, MU_PKI_DIGEST_NONE, false},
    {"2.5.4.8", "stateOrProvinceName", 0, 0, MU_PKI_DIGEST_NONE, false},
    {"2.5.4.10", "organizationName", 0, 0, MU_PKI_DIGEST_NONE, false},
    {"2.5.4.11", "organizationalUnitName", 0, 0, MU_PKI_DIGEST_NONE, false},
    {"0.9.2342.19200300.100.1.25", "domainComponent", 0, 0, MU_PKI_DIGEST_NONE, false},
    {"1.3.6.1.5.5.7.7.36", "changeSubjectName", 0, 0, MU_PKI_DIGEST_NONE, false},
    {"2.5.29.14", "X509v3 Subject Key Identifier", 0, 0, MU_PKI_DIGEST_NONE, true},
    {"2.5.29.15", "X509v3 Key Usage", 0, 0, MU_PKI_DIGEST_NONE, true},
    {"2.5.29.17", "X509v3 Subject Alternative Name", 0, 0, MU_PKI_DIGEST_NONE, true},
    {"2.5.29.19", "X509v3 Basic Constraints", 0, 0, MU_PKI_DIGEST_NONE, true},
    {"2.5.29.37", "X509v3 Extended Key Usage", 0, 0, MU_PKI_DIGEST_NONE, true},
    {"1.3.6.1.4.1.311.20.2", "Microsoft certificate template", 0, 0, MU_PKI_DIGEST_NONE, true},
};
/* clang-format on */

const struct mu_est_oid *mu_est_oid_find(struct mu_bytes oid)
{
    size_t i;

    for (i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (mu_der_oid_is(oid, known[i].oid))
            return &known[i];
    }
    return NULL;
}

const char *mu_est_oid_signature(enum mu_pki_key_type key, enum mu_pki_digest digest)
{
    const char *word = key == MU_PKI_KEY_RSA ? "RSAEncryption" : "ecdsa-with";
    size_t i;

    if (digest == MU_PKI_DIGEST_NONE || (key != MU_PKI_KEY_RSA && key != MU_PKI_KEY_EC))
        return NULL;
    for (i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].digest == digest && strstr(known[i].name, word) != NULL)
            return known[i].oid;
    }
    return NULL;
}
