#!/bin/bash
# The daemon at work for as long as you like, much faster than anybody would have it: schedules every few
# seconds, hosts that hang, refuse and come back, people who sweep beside it, prunes and backups.
#
#   cargo build --release && benches/soak.sh [minutes] [hosts]      (root; by default 60 minutes, 12 hosts)
#
# It prints what the daemon holds as time goes by (memory, descriptors, threads), and at the end whether every
# tick is in the book and everything in the archive. Exit status 1 when something is missing, or when memory or
# descriptors have grown by more than a fifth since the first tenth of the time. PROGRAM in the environment is
# another build, DIR a folder for its state.
set -euo pipefail

minutes=${1:-60} hosts=${2:-12}
here=$(cd "$(dirname "$0")/.." && pwd)
: "${PROGRAM:=$here/target/release/dropsonde}" "${DIR:=${TMPDIR:-/tmp}}"

fail() { printf 'soak.sh: %s\n' "$*" >&2; exit 1; }
[[ $minutes =~ ^[1-9][0-9]*$ && $hosts =~ ^[1-9][0-9]*$ ]] || fail "usage: soak.sh [minutes] [hosts]"
((hosts >= 2 && hosts <= 250)) || fail "between 2 and 250 hosts"
[[ -x $PROGRAM ]] || fail "$PROGRAM is not there: cargo build --release"
[[ $EUID == 0 ]] || fail "root is needed for a network namespace and an sshd"

# Everything below runs in the namespace; it goes with its last process.
if [[ -z ${SOAK_INSIDE:-} ]]; then
  SOAK_INSIDE=1 exec unshare --net -- "$0" "$minutes" "$hosts"
fi
ip link set lo up

dir=$(mktemp -d "$DIR/dropsonde-soak.XXXXXX")
steady='' flapping='' daemon='' others=''
clean() {
  local pid
  for pid in $others $daemon $steady $flapping; do
    kill -CONT "$pid" 2>/dev/null || true
    kill "$pid" 2>/dev/null || true
  done
  rm -rf "$dir"
}
trap clean EXIT

mkdir -p /run/sshd "$dir/probes.d"
for key in host_key user_key; do ssh-keygen -q -t ed25519 -N '' -C '' -f "$dir/$key"; done
cp "$dir/user_key.pub" "$dir/authorized_keys"

# start_sshd PORT: half the hosts are behind one that is always there, half behind one that is not.
start_sshd() {
  cat >"$dir/sshd_config.$1" <<END
ListenAddress 0.0.0.0:$1
HostKey $dir/host_key
AuthorizedKeysFile $dir/authorized_keys
PidFile none
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
UseDNS no
SetEnv SHLVL=1
MaxStartups 10000
LogLevel ERROR
END
  /usr/sbin/sshd -D -f "$dir/sshd_config.$1" -E "$dir/log.$1" &
  local sshd=$! tries
  for ((tries = 0; tries < 200; tries++)); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then break; fi
    sleep 0.05
  done
  started=$sshd
}
start_sshd 22; steady=$started
start_sshd 23; flapping=$started

half=$((hosts / 2))
key=$(cut -d' ' -f1,2 "$dir/host_key.pub")
printf '127.* %s\n[127.*]:23 %s\n' "$key" "$key" >"$dir/known_hosts"
cat >"$dir/probes.d/noise.toml" <<'END'
name = "noise"
summary = "some text, another each time"
script = "head -c 2000 /dev/urandom | od -An -v -tx1"
format = "text"
END
cat >"$dir/config.toml" <<END
[defaults]
user = "root"
identity_files = ["$dir/user_key"]
known_hosts = ["$dir/known_hosts"]
agent = false
[limits]
connect_timeout = "2s"
key_exchange_timeout = "2s"
idle_timeout = "3s"
heartbeat_interval = "1s"
heartbeat_limit = "4s"
visit_timeout = "30s"
[retention]
reserve = "4MiB"
low_space = "0B"
[[hosts]]
names = "127.0.1.[1-$half]"
[[hosts]]
names = "127.0.2.[1-$((hosts - half))]"
port = 23
END
# Three that come often, and one that is too slow for its own rhythm now and then.
while read -r name cron probes; do
  printf '[[schedule]]\nname = "%s"\ncron = "%s"\nprobes = [%s]\n' "$name" "*/$cron * * * * *" "$probes" \
    >>"$dir/config.toml"
done <<'END'
threes 3 "noise"
fives 5 "host_context","noise"
tens 10 "proc"
END

run() { "$PROGRAM" --config "$dir/config.toml" --state "$dir/state" "$@"; }

"$PROGRAM" --config "$dir/config.toml" --state "$dir/state" daemon 2>"$dir/daemon.log" &
daemon=$!

# Hosts that hang for a while, then refuse for a while, then are there.
(
  while sleep $((RANDOM % 12 + 4)); do
    kill -STOP "$flapping"; sleep $((RANDOM % 8 + 1)); kill -CONT "$flapping"
  done
) &
others=$!
# People, prunes and backups.
(
  n=0
  while sleep $((RANDOM % 20 + 10)); do
    # Readings that a schedule has just claimed are skipped: 3 or 4, and anything else is a failure.
    status=0
    run sweep --probe noise -H '127.0.1.*' --json >/dev/null 2>>"$dir/others.log" || status=$?
    [[ $status =~ ^[034]$ ]] || echo "sweep: status $status" >>"$dir/failed"
    ((n += 1))
    if ((n % 10 == 0)); then
      run prune --set retention.raw=5m --set retention.samples=20m >/dev/null 2>>"$dir/others.log" || echo prune >>"$dir/failed"
    fi
    if ((n % 25 == 0)); then
      run backup "$dir/backup" >/dev/null 2>>"$dir/others.log" || echo backup >>"$dir/failed"
      rm -rf "$dir/backup"
    fi
  done
) &
others="$others $!"

sample() {
  local rss threads
  rss=$(awk '/^VmRSS/ { print $2 }' "/proc/$daemon/status")
  threads=$(awk '/^Threads/ { print $2 }' "/proc/$daemon/status")
  fds=$(ls "/proc/$daemon/fd" | wc -l)
  printf '%8d %10d %6d %8d %8d %8d\n' "$1" "$rss" "$fds" "$threads" \
    "$(grep -c ' of [a-z]*: [0-9]*/' "$dir/daemon.log" || true)" "$(cat "$dir"/state/ticks*.jsonl 2>/dev/null | wc -l)"
}

printf '%8s %10s %6s %8s %8s %8s\n' second rss_kib fds threads sweeps ticks
begin=$SECONDS
while ((SECONDS - begin < minutes * 60)); do
  sleep $((minutes > 5 ? 30 : 5))
  [[ -d /proc/$daemon ]] || fail "the daemon ended: $(tail -5 "$dir/daemon.log")"
  sample $((SECONDS - begin)) | tee -a "$dir/samples"
done

kill "${others##* }" "${others%% *}" 2>/dev/null || true
kill -CONT "$flapping"
kill -TERM "$daemon"
wait "$daemon" || fail "the daemon did not end well: $(tail -5 "$dir/daemon.log")"
daemon=

# Each schedule is due every so many seconds of the day: what stands in the book must follow in that rhythm.
{ cat "$dir/state/ticks.1.jsonl" 2>/dev/null || true; cat "$dir/state/ticks.jsonl"; } | /usr/bin/python3 -c '
import json, sys
step = {"threes": 3, "fives": 5, "tens": 10}
last, count, gaps, fates = {}, 0, 0, {}
for line in sys.stdin:
    tick = json.loads(line)
    name, due = tick["schedule"], tick["due_ns"] // 10**9
    (fate, detail), = tick["fate"].items()
    count += 1
    fates[fate] = fates.get(fate, 0) + 1
    if name in last and due != last[name] + step[name]:
        gaps += 1
        print("gap: %s: %d after %d" % (name, due, last[name]))
    last[name] = detail.get("last_ns", tick["due_ns"]) // 10**9
print("ticks: %d, %s; not in the book: %d" % (count, ", ".join("%s %d" % it for it in sorted(fates.items())), gaps))
for name in set(step) - set(last):
    print("no tick at all: %s" % name)
sys.exit(gaps > 0 or set(last) != set(step))
' || bad=1
grep -c ERROR "$dir/daemon.log" | sed 's/^/errors in the log: /' || true
grep ERROR "$dir/daemon.log" | sed 's/^[^ ]* //' | sort | uniq -c | sort -rn | head -5 || true
[[ ! -s $dir/failed ]] || { echo "failed beside it: $(sort "$dir/failed" | uniq -c)"; tail -3 "$dir/others.log"; bad=1; }
run query "SELECT outcome, count(*) AS readings FROM v_reading GROUP BY outcome ORDER BY readings DESC"
run check --deep || bad=1
# The first tenth is for getting warm.
awk '{ rss[NR] = $2; fds[NR] = $3 }
  END {
    warm = int(NR / 10) + 1
    printf "memory %d -> %d KiB, descriptors %d -> %d\n", rss[warm], rss[NR], fds[warm], fds[NR]
    exit rss[NR] > 1.2 * rss[warm] + 2048 || fds[NR] > 1.2 * fds[warm] + 8
  }' "$dir/samples" || bad=1
[[ -z ${bad:-} ]] || { cp "$dir/daemon.log" "$dir/samples" "$DIR" || true; fail "see above"; }
echo good
