#!/bin/sh
# For cron, where no musterd runs and no timer:
#   5 0 * * * root /opt/scepClient/bin/check-cert.sh
# Looks at every certificate and renews what is due. Nothing due: silent, exit 0. Renewed: exit 0. Cron gives no
# PATH that would do, so this is it. Safe beside musterd, the timer and people: they share locks.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
exec "${MUSTER:-muster}" renew --all --quiet --no-input
