/* What the programs load, and under which licenses (R094). Nothing is bundled. */
#include "cmd/muster/cmd_licenses.h"

#include <stdio.h>

int mu_cmd_licenses_print(void)
{
    static const struct {
        const char *name, *license, *what;
    } rows[] = {
        {"muster", "Apache-2.0", "this program"},
        {"OpenSSL (libcrypto, libssl)", "Apache-2.0", "keys, certificates, TLS"},
        {"libcurl", "curl", "HTTP client"},
        {"libevent", "BSD-3-Clause", "event loop, HTTP server"},
        {"jansson", "MIT", "JSON (muster-ca)"},
        {"SQLite", "public domain", "database (muster-ca)"},
        {"GNU C library", "LGPL-2.1-or-later", "C library"},
    };
    size_t i;

    for (i = 0; i < sizeof rows / sizeof rows[0]; i++)
        printf("%-28s %-18s %s\n", rows[i].name, rows[i].license, rows[i].what);
    puts("Libraries that these load in turn are listed by ldd; their licenses are in "
         "/usr/share/doc.");
    return 0;
}
