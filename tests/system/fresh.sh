#!/bin/bash
# A machine of its own for one script: namespaces for mounts, network and processes, and layers of memory over /etc, /usr,
# /var, /run and the repository, so that what the script installs and starts is gone with it.
#   fresh.sh REPOSITORY COMMAND...   runs COMMAND in a copy of the repository
set -eu
if [ "${FRESH:-}" != inside ]; then
  FRESH=inside exec unshare --mount --net --pid --fork --mount-proc --kill-child "$0" "$@"
fi
repository=$1
shift
ip link set lo up
mount --make-rprivate /
mount -t tmpfs layers /mnt
mkdir -p /mnt/copy
git -c safe.directory='*' -C "$repository" ls-files -z --cached --others --exclude-standard | tar -C "$repository" --null -T - -cf - | tar -C /mnt/copy -xf -
for d in etc usr var; do
  mkdir -p "/mnt/$d/up" "/mnt/$d/work"
  mount -t overlay "$d" -o "lowerdir=/$d,upperdir=/mnt/$d/up,workdir=/mnt/$d/work" "/$d"
done
mount -t tmpfs run /run
cd /mnt/copy
unset MUSTER_STORE MUSTER_BUILD MUSTER_RELEASE ASAN_OPTIONS LSAN_OPTIONS UBSAN_OPTIONS
exec "$@"
