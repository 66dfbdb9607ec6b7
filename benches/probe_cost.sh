#!/bin/bash
# What each probe costs the host it runs on: CPU time, wall time, bytes, and how much slower two tasks that do
# nothing but wake each other become beside it.
#
#   cargo build --release && benches/probe_cost.sh [probe]...        (root; all probes by default)
#
# Each probe is sent as a sweep would send it (`sweep --dry-run` says the bytes) to a shell here, so that all of
# it is counted, supervisor and gzip too, and nothing of the collector or of sshd. RUNS runs each, the median
# counts. PROGRAM, RUNS, BUSY (stress-ng's arguments for the load) and TOML=1 (print [measured] sections, too)
# can be set in the environment. Nothing else should run on the machine.
set -euo pipefail

: "${RUNS:=3}" "${TOML:=}"
: "${BUSY:=--cpu 0 --cpu-load 50 --switch $(nproc)}"
here=$(cd "$(dirname "$0")/.." && pwd)
: "${PROGRAM:=$here/target/release/dropsonde}"

fail() { printf 'probe_cost.sh: %s\n' "$*" >&2; exit 1; }
[[ $RUNS =~ ^[1-9][0-9]*$ ]] || fail "RUNS=$RUNS is no number of runs"
[[ -x $PROGRAM ]] || fail "$PROGRAM is not there: cargo build --release"
[[ $EUID == 0 ]] || fail "root is needed: some probes trace the kernel"
for tool in jq stress-ng perf; do
  command -v "$tool" >/dev/null || fail "$tool is needed: apt-get install jq stress-ng linux-perf"
done

dir=$(mktemp -d "${TMPDIR:-/tmp}/dropsonde-cost.XXXXXX")
feeder= load=
clean() {
  for pid in $feeder $load; do kill "$pid" 2>/dev/null || true; done
  rm -rf "$dir"
}
trap clean EXIT

printf '[[hosts]]\nnames = "bench"\nreach = "local"\n' >"$dir/config.toml"
dropsonde() { "$PROGRAM" --config "$dir/config.toml" --state "$dir/state" "$@"; }

if (($# > 0)); then probes=("$@"); else mapfile -t probes < <(dropsonde probes list --json | jq -r '.probes[].name'); fi

median() { sort -n | awk '{ all[NR] = $1 } END { print NR % 2 ? all[(NR + 1) / 2] : (all[NR / 2] + all[NR / 2 + 1]) / 2 }'; }

# send PROBE: one run. Leaves its output in $dir/out and prints "wall total": seconds, the second of CPU.
send() {
  rm -f "$dir/in"
  mkfifo "$dir/in"
  # The end of stdin would tell the supervisor that nobody listens; a byte now and then, that somebody does.
  { cat "$dir/stdin"; while sleep 2 && printf '\n'; do :; done; } >"$dir/in" 2>/dev/null &
  feeder=$!
  local TIMEFORMAT='%R %U %S' times
  times=$({ time sh -s <"$dir/in" >"$dir/out" 2>"$dir/err"; } 2>&1) || true
  kill "$feeder" 2>/dev/null || true
  wait "$feeder" 2>/dev/null || true
  feeder=
  awk '{ printf "%s %.3f\n", $1, $2 + $3 }' <<<"$times"
}

# The fields of the trailer in $dir/out: status, the script's CPU in seconds as the reading has it, what is missing.
trailer() {
  # An empty line and the supervisor's own come first, not compressed.
  tail -n +3 "$dir/out" | zcat 2>/dev/null | tail -n 1 | awk '{
    split($7, user, /[ms]/); split($8, sys, /[ms]/)
    cpu = $6 == "-" ? user[1] * 60 + user[2] + sys[1] * 60 + sys[2] : $6 / 1e6
    printf "%s %.3f %s\n", $5, cpu, $10
  }'
}

pipe_us() { perf bench -f simple sched pipe -l "$1" 2>/dev/null | awk '{ print $1 * 1e6 / '"$1"' }'; }

# How long `sched pipe` takes alone and, in turns, beside the probe; the ratio of the medians.
slowdown() {
  local loops=60000 alone=() beside=()
  for ((i = 0; i < RUNS; i++)); do
    alone+=("$(pipe_us $loops)")
    send_in_background
    # What starts a tracer is no part of what it measures; a glance is over by then.
    [[ $window == null ]] || sleep 0.4
    beside+=("$(pipe_us $loops)")
    wait "$sender" || true
  done
  awk -v a="$(printf '%s\n' "${alone[@]}" | median)" -v b="$(printf '%s\n' "${beside[@]}" | median)" \
    'BEGIN { printf "%.2f", b / a }'
}
send_in_background() {
  send >/dev/null &
  sender=$!
}

printf '%-24s %-12s %9s %9s %9s %9s %9s %9s %s\n' \
  PROBE OUTCOME 'IDLE ms' 'SCRIPT ms' 'SUPERV ms' 'LOADED ms' 'WALL s' WIRE SLOWDOWN
toml= cheap=()
for probe in "${probes[@]}"; do
  dropsonde sweep --probe "$probe" -H bench --dry-run --json | jq -j '.hosts[0].probes[0].stdin' >"$dir/stdin"
  window=$(dropsonde probes show "$probe" --json | jq -r .window_s)
  idle=() script=() wall=() loaded=()
  for ((i = 0; i < RUNS; i++)); do
    read -r took cpu <<<"$(send)"
    read -r status own missing <<<"$(trailer)" || true
    idle+=("$cpu") script+=("${own:-0}") wall+=("$took")
  done
  case ${status:-none}-${missing:--} in
  0--) outcome=ok ;;
  69-- | *-,*) outcome=unsupported ;;
  *) outcome="failed:${status:-no trailer}" ;;
  esac
  wire=$(stat -c %s "$dir/out")
  if [[ $outcome != ok ]]; then
    printf '%-24s %-12s %s\n' "$probe" "$outcome" "$(head -n 1 "$dir/err")${missing:+ missing $missing}"
    continue
  fi
  slow=$(slowdown)
  # shellcheck disable=SC2086 # several arguments
  stress-ng $BUSY --timeout 600 --quiet >/dev/null 2>&1 &
  load=$!
  sleep 1
  for ((i = 0; i < RUNS; i++)); do
    read -r _ cpu <<<"$(send)"
    loaded+=("$cpu")
  done
  kill "$load"
  wait "$load" 2>/dev/null || true
  load=
  idle=$(printf '%s\n' "${idle[@]}" | median) script=$(printf '%s\n' "${script[@]}" | median)
  loaded=$(printf '%s\n' "${loaded[@]}" | median) wall=$(printf '%s\n' "${wall[@]}" | median)
  awk -v p="$probe" -v i="$idle" -v s="$script" -v l="$loaded" -v w="$wall" -v b="$wire" -v x="$slow" 'BEGIN {
    printf "%-24s %-12s %9d %9d %9d %9d %9.2f %9d %.2fx\n", p, "ok", i * 1000, s * 1000, (i - s) * 1000, l * 1000, w, b, x
  }'
  toml+=$(awk -v p="$probe" -v i="$idle" -v l="$loaded" -v w="$wall" -v b="$wire" -v x="$slow" \
    -v on="$(nproc) CPUs, Linux $(uname -r | cut -d. -f1,2)" 'BEGIN {
    printf "# probes.d/%s.toml\n[measured]\non = \"%s\"\ncpu_idle = \"%dms\"\ncpu_loaded = \"%dms\"\nwall = \"%dms\"\nwire = \"%dB\"\nslowdown = %.2f\n", p, on, i * 1000, l * 1000, w * 1000, b, (x < 1 ? 1 : x)
  }')$'\n\n'
  [[ $(dropsonde probes show "$probe" --json | jq -r .cost) != cheap ]] || cheap+=("$idle")
done
# What a day of hourly sweeps of the cheap ones takes, as a share of one CPU.
((${#cheap[@]} == 0)) || printf '%s\n' "${cheap[@]}" | awk '
  { sum += $1 }
  END { printf "\n%d cheap probes, %d ms a sweep: %.4f%% of one CPU when hourly\n", NR, sum * 1000, sum / 36 }'
[[ -z $TOML ]] || printf '\n%s' "$toml"
