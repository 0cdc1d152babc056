# What the recipes share; sourced, never run. POSIX sh with 'muster place' for everything that is written:
# beside the target, synced, renamed, never through a link out of the target's directory.
#
# A recipe sets its defaults (CERT_FILE, KEY_FILE, KEY_OWNER, KEY_GROUP, KEY_MODE, TEST, ACT and the like), calls
# mu_begin, puts its files and calls mu_finish. Where it ends early, by a failure or a signal, the old files come
# back. What can be set is told in muster-hooks(7).
# shellcheck shell=sh disable=SC2034

set -eu
umask 077
recipe=${0##*/}
MUSTER=${MUSTER:-muster}
MU_CONF=${MUSTER_RECIPE_CONF:-/etc/muster/recipes}
MU_SYSTEMD=${MU_SYSTEMD:-/run/systemd/system} # there where systemd runs
mu_placed='' # "old:PATH" or "new:PATH", one a line, the last one first
mu_said=''
nl='
'

# 'deploy = nginx key-mode=0640' comes as an argument; kept until the other settings are read.
mu_args=''
for mu_arg; do
  case $mu_arg in
    [a-z]*=*) mu_args="$mu_args$mu_arg$nl" ;;
    *) echo "$recipe: '$mu_arg' is not of the form key=value" >&2; exit 1 ;;
  esac
done

say() {
  printf '%s: %s\n' "$recipe" "$*"
}

die() {
  printf '%s: %s\n' "$recipe" "$*" >&2
  exit 1
}

mu_is_test() {
  [ "${MUSTER_EVENT:-}" = test ]
}

# Settings are shell text that runs as us: only from files that nobody else can write.
mu_read_conf() {
  [ -e "$1" ] || return 0
  [ -n "$(find "$1" -prune -type f ! -perm -020 ! -perm -002 \( -user 0 -o -user "$(id -u)" \))" ] ||
    die "$1 must belong to root and be writable by nobody else"
  # shellcheck disable=SC1090
  . "$1"
}

# key-mode=0640 becomes KEY_MODE=0640; only what the recipe has a default for is a setting.
mu_set() {
  mu_var=$(printf '%s' "${1%%=*}" | tr 'a-z-' 'A-Z_')
  case $mu_var in
    PATH | IFS | ENV | MU_* | MUSTER* | *[!A-Z0-9_]*) die "'${1%%=*}' is no setting of this recipe" ;;
  esac
  eval "[ -n \"\${$mu_var+set}\" ]" || die "'${1%%=*}' is no setting of this recipe"
  mu_value=${1#*=}
  eval "$mu_var=\$mu_value"
}

mu_read_args() {
  while IFS= read -r mu_line; do
    if [ -n "$mu_line" ]; then mu_set "$mu_line"; fi
  done <<END
$mu_args
END
}

# Reads the settings over the defaults: key-owner and so on of muster.conf, RECIPE.conf, RECIPE.d/NAME.conf, the
# words behind the recipe's name in muster.conf.
mu_begin() {
  case ${MUSTER_NAME:-} in
    '' | .* | -* | *[!A-Za-z0-9._-]*) die "MUSTER_NAME is not set: a recipe is run by muster as a hook" ;;
  esac
  [ -n "${MUSTER_CERT:-}" ] || die "there is no certificate to deploy"
  KEY_OWNER=${MUSTER_KEY_OWNER:-${KEY_OWNER:-}}
  KEY_GROUP=${MUSTER_KEY_GROUP:-${KEY_GROUP:-}}
  KEY_MODE=${MUSTER_KEY_MODE:-${KEY_MODE:-0600}}
  CERT_MODE=${CERT_MODE:-0644}
  mu_read_conf "$MU_CONF/$recipe.conf"
  mu_read_conf "$MU_CONF/$recipe.d/$MUSTER_NAME.conf"
  mu_read_args
  trap mu_end EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

# The old files come back unless mu_finish has been reached.
mu_end() {
  status=$?
  trap - EXIT
  if [ -n "$mu_placed" ]; then
    mu_back
    mu_said="${mu_said:-ended with $status}; the old files are back"
  fi
  [ -z "$mu_said" ] || printf '%s: %s\n' "$recipe" "$mu_said" >&2
  exit "$status"
}

mu_each_placed() { # COMMAND, called with old|new and the path
  printf '%s' "$mu_placed" | while IFS= read -r mu_line; do
    "$1" "${mu_line%%:*}" "${mu_line#*:}" </dev/null || :
  done
}

mu_back_one() {
  if [ "$1" = old ]; then "$MUSTER" place "$2" --back; else rm -f "$2"; fi
}

mu_forget_one() {
  "$MUSTER" place "$2" --forget
}

mu_back() {
  mu_each_placed mu_back_one
  mu_placed=''
}

# TARGET MODE FILE...: joins the files into the target.
mu_put() {
  mu_prepare "$1" || return 0
  mu_write "$@"
  mu_note "$1"
}

# The three parts of it, for a file that comes out of a pipe. False: nothing is to be written.
mu_prepare() {
  if mu_is_test; then
    say "would write $1"
    return 1
  fi
  case $1 in /*) ;; *) die "'$1' is no whole path" ;; esac
  mu_state=new
  if [ -e "$1" ]; then mu_state=old; fi
  [ -d "${1%/*}" ] || (umask 022 && mkdir -p "${1%/*}") || die "cannot make ${1%/*}"
}

mu_write() {
  mu_target=$1 mu_mode=$2
  shift 2
  "$MUSTER" place --keep --mode "$mu_mode" ${KEY_OWNER:+--owner "$KEY_OWNER"} ${KEY_GROUP:+--group "$KEY_GROUP"} \
    "$mu_target" "$@" || die "cannot write $mu_target"
}

# The line is for muster too: the first of them names the file that the service shows (M902).
mu_note() {
  say "wrote $1"
  mu_placed="$mu_state:$1$nl$mu_placed"
}

# Each does nothing where its target is not set.
mu_put_cert() { [ -z "${1:-}" ] || mu_put "$1" "$CERT_MODE" "$MUSTER_CERT"; }
# shellcheck disable=SC2086
mu_put_fullchain() { [ -z "${1:-}" ] || mu_put "$1" "$CERT_MODE" "$MUSTER_CERT" ${MUSTER_CHAIN:-}; }
mu_put_key() {
  [ -n "${1:-}" ] || return 0
  mu_need_key
  mu_put "$1" "$KEY_MODE" "$MUSTER_KEY"
}
# shellcheck disable=SC2086
mu_put_combined() {
  [ -n "${1:-}" ] || return 0
  mu_need_key
  mu_put "$1" "$KEY_MODE" "$MUSTER_CERT" ${MUSTER_CHAIN:-} "$MUSTER_KEY"
}
# shellcheck disable=SC2086
mu_put_chain() {
  [ -n "${1:-}" ] || return 0
  if [ -n "${MUSTER_CHAIN:-}" ]; then mu_put "$1" "$CERT_MODE" $MUSTER_CHAIN; fi
}

mu_need_key() {
  [ -n "${MUSTER_KEY:-}" ] || die "there is no private key to deploy"
}

# Runs TEXT; its output is shown, and where it fails mu_said has the line that tells why.
mu_run() { # WHAT TEXT
  mu_code=0
  mu_out=$(eval "$2" 2>&1) || mu_code=$?
  [ -z "$mu_out" ] || printf '%s\n' "$mu_out" | tail -n 30
  [ "$mu_code" -eq 0 ] && return 0
  mu_why=$(printf '%s\n' "$mu_out" | sed -n '/[Ee]rror:\|emerg\|ALERT\|[Ff]ailed\|[Uu]nable/{p;q;}')
  [ -n "$mu_why" ] || mu_why=$(printf '%s\n' "$mu_out" | tail -n 1)
  mu_said="$1 ended with $mu_code${mu_why:+: $mu_why}"
  return "$mu_code"
}

mu_sleeps() {
  say "$1 does not run; it will read the new files when it starts"
}

# Does the script say 3, not running? One that does not know 'status' says something else.
mu_script_sleeps() {
  mu_code=0
  "/etc/init.d/$1" status >/dev/null 2>&1 </dev/null || mu_code=$?
  [ "$mu_code" -eq 3 ]
}

# ACTION SERVICE [COMMAND...]: by systemd or its script where the service runs by it, else by the command.
mu_service() {
  mu_action=$1 mu_unit=$2
  shift 2
  if [ -d "$MU_SYSTEMD" ] && command -v systemctl >/dev/null; then
    if systemctl -q is-active "$mu_unit"; then systemctl "$mu_action" "$mu_unit"; else mu_sleeps "$mu_unit"; fi
  elif [ -x "/etc/init.d/$mu_unit" ]; then
    if mu_script_sleeps "$mu_unit"; then mu_sleeps "$mu_unit"; else "/etc/init.d/$mu_unit" "$mu_action"; fi
  elif [ $# -gt 0 ]; then
    "$@"
  else
    echo "nobody here knows how to $mu_action $mu_unit: set ACT in $MU_CONF/$recipe.conf" >&2
    return 1
  fi
}

# A service that only a restart brings to the new certificate; the line is M905 for the one who reads the log.
mu_restart_needed() {
  printf 'M905: %s does not re-read certificates on reload; it is restarted\n' "$1"
}

# TEST, then ACT; one that fails brings the old files back. RESTARTS=yes: ACT once more then, as it may have
# ended a service.
mu_finish() {
  if [ -n "${TEST:-}" ]; then
    mu_run "the test '$TEST'" "$TEST" || exit 1
  fi
  if mu_is_test; then
    [ -z "${ACT:-}" ] || say "would run: $ACT"
    return 0
  fi
  if [ -n "${ACT:-}" ] && ! mu_run "'$ACT'" "$ACT"; then
    mu_back
    if [ "${RESTARTS:-no}" = yes ]; then
      (eval "$ACT") || :
    fi
    mu_said="$mu_said; the old files are back"
    exit 1
  fi
  mu_each_placed mu_forget_one
  mu_placed=''
  if [ -n "${RESTARTS_WHAT:-}" ]; then mu_restart_needed "$RESTARTS_WHAT"; fi
}
