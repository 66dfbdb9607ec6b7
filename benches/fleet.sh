#!/bin/bash
# What a sweep costs the machine that collects: CPU and memory of the collector alone, sshd left out. Beside
# it, in the same run, what clush, parallel-ssh, pdsh, Ansible and plain ssh take for the same, as installed.
#
#   cargo build --release && benches/fleet.sh [hosts] [runs]      (root; by default 1000 hosts, 3 runs)
#
# One real sshd in a network namespace of its own, with nothing but lo: every address in 127.0.0.0/8 is a
# host. The machine does the hosts' work too, so wall time says nothing about the collector; CPU time
# does. PROGRAM and CONCURRENCY in the environment change what is measured.
set -euo pipefail

hosts=${1:-1000} runs=${2:-3} jump=127.2.0.1
: "${CONCURRENCY:=256}"
here=$(cd "$(dirname "$0")/.." && pwd)
: "${PROGRAM:=$here/target/release/dropsonde}"

fail() { printf 'fleet.sh: %s\n' "$*" >&2; exit 1; }
[[ $hosts =~ ^[1-9][0-9]*$ && $runs =~ ^[1-9][0-9]*$ ]] || fail "usage: fleet.sh [hosts] [runs]"
((hosts <= 250 || hosts % 250 == 0)) || fail "above 250 hosts, give a multiple of 250"
((hosts <= 50000)) || fail "at most 50000 hosts"
[[ -x $PROGRAM ]] || fail "$PROGRAM is not there: cargo build --release"
[[ $EUID == 0 ]] || fail "root is needed for a network namespace and an sshd"

# Everything below runs in the namespace; it goes with its last process.
if [[ -z ${FLEET_INSIDE:-} ]]; then
  FLEET_INSIDE=1 exec unshare --net -- "$0" "$hosts" "$runs"
fi
ip link set lo up

dir=$(mktemp -d "${TMPDIR:-/tmp}/dropsonde-fleet.XXXXXX")
sshd=
clean() {
  if [[ -n $sshd ]]; then kill "$sshd" 2>/dev/null || true; fi
  rm -rf "$dir"
}
trap clean EXIT

# sshd with defaults, but for a MaxStartups that lets a whole fleet in at once.
start_sshd() {
  mkdir -p /run/sshd
  ssh-keygen -q -t ed25519 -N '' -C '' -f "$dir/host_key"
  ssh-keygen -q -t ed25519 -N '' -C '' -f "$dir/user_key"
  cp "$dir/user_key.pub" "$dir/authorized_keys"
  cat >"$dir/sshd_config" <<END
ListenAddress 0.0.0.0:22
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
  /usr/sbin/sshd -D -f "$dir/sshd_config" -E "$dir/log" &
  sshd=$!
  local tries
  for ((tries = 0; tries < 200; tries++)); do
    if (exec 3<>/dev/tcp/127.0.0.1/22) 2>/dev/null; then return; fi
    sleep 0.05
  done
  fail "sshd does not listen: $(cat "$dir/log")"
}

# A /proc that stands still, of the size that a host with two CPUs and a hundred threads has: with the
# machine's own, each visit would read what all the others there are doing.
lay_out_proc() {
  (
    cd "$dir/proc"
    awk '/^@@@/ { if (seen++) exit; next }
      { at = index($0, ":"); file = substr($0, 1, at - 1); path = file
        if (!(file in known)) { known[file]; sub("/?[^/]*$", "", path); if (path != "") system("mkdir -p " path) }
        print substr($0, at + 1) >>file; close(file) }' "$here/tests/corpus/proc/vm_6_18/output"
    cp /proc/cpuinfo cpuinfo
    cp /proc/sys/kernel/{osrelease,version} sys/kernel/
  )
}

# Names are addresses: a node set for dropsonde, a list for the peers, a line each in known_hosts.
write_config() {
  local key n
  read -r key < <(cut -d' ' -f1,2 "$dir/host_key.pub")
  mkdir "$dir/probes.d" "$dir/proc"
  lay_out_proc
  for ((n = 0; n < hosts; n++)); do
    printf '127.1.%d.%d\n' $((n / 250)) $((n % 250 + 1))
  done >"$dir/names"
  { cat "$dir/names"; echo "$jump"; } | sed "s|\$| $key|" >"$dir/known_hosts"
  local set="127.1.0.[1-$hosts]"
  if ((hosts > 250)); then set="127.1.[0-$((hosts / 250 - 1))].[1-250]"; fi
  cat >"$dir/config.toml" <<END
[defaults]
user = "root"
identity_files = ["$dir/user_key"]
known_hosts = ["$dir/known_hosts"]
agent = false
proc_root = "$dir/proc"
[limits]
# One machine is all the hosts, so it answers late.
key_exchange_timeout = "5m"
auth_timeout = "5m"
channel_timeout = "5m"
first_byte_timeout = "5m"
idle_timeout = "5m"
visit_timeout = "10m"
[[hosts]]
names = "$set"
END
  { cat "$dir/config.toml"; printf 'jump = "root@%s"\n' "$jump"; } >"$dir/jump.toml"
  # The work that the clients in docs/performance.md were compared with.
  cat >"$dir/probes.d/three_files.toml" <<END
name = "three_files"
summary = "three files of /proc"
script = 'cat /proc/stat /proc/vmstat /proc/meminfo'
format = "text"
timeout = "3m"
END
}

# Runs a command and writes to $dir/measured: CPU in microseconds, elapsed in microseconds, and the
# largest resident and anonymous memory in kB. In a subshell, whose only child is that command: its
# `times` are then the command's, with those of what it waited for. Waiting is read's: no process.
measure() (
  exec 9<>"$dir/never"
  began=${EPOCHREALTIME/./} peak=0 anon=0
  "$@" >"$dir/out" 2>"$dir/err" &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    if status=$(<"/proc/$pid/status") 2>/dev/null; then
      [[ $status =~ VmHWM:[[:space:]]*([0-9]+) ]] && peak=${BASH_REMATCH[1]}
      [[ $status =~ RssAnon:[[:space:]]*([0-9]+) ]] && ((BASH_REMATCH[1] > anon)) && anon=${BASH_REMATCH[1]}
    fi
    read -r -t 0.05 -u 9 || true
  done
  exit_status=0
  wait "$pid" || exit_status=$?
  ended=${EPOCHREALTIME/./}
  if ((exit_status)); then
    printf 'fleet.sh: exit status %d:\n' "$exit_status" >&2
    tail -n 20 "$dir/out" "$dir/err" >&2
    exit 1
  fi
  times >"$dir/times"
  cpu=0
  for time in $(tail -n 1 "$dir/times"); do
    [[ $time =~ ^([0-9]+)m([0-9]+)\.([0-9]+)s$ ]]
    cpu=$((cpu + (BASH_REMATCH[1] * 60 + 10#${BASH_REMATCH[2]}) * 1000000 + 10#${BASH_REMATCH[3]} * 1000))
  done
  printf '%d %d %d %d\n' "$cpu" $((ended - began)) "$peak" "$anon" >"$dir/measured"
)

median() { sort -n | sed -n "$(((runs + 1) / 2))p"; }

# report NAME HOSTS COMMAND...: medians over the runs, as a row.
report() {
  local name=$1 of=$2 run cpu elapsed peak anon
  shift 2
  rm -f "$dir"/column.*
  for ((run = 0; run < runs; run++)); do
    rm -rf "$dir/state"
    measure "$@"
    read -r cpu elapsed peak anon <"$dir/measured"
    echo "$cpu" >>"$dir/column.cpu"
    echo "$elapsed" >>"$dir/column.elapsed"
    echo "$peak" >>"$dir/column.peak"
    echo "$anon" >>"$dir/column.anon"
  done
  awk -v name="$name" -v hosts="$of" -v cpu="$(median <"$dir/column.cpu")" \
    -v elapsed="$(median <"$dir/column.elapsed")" -v peak="$(median <"$dir/column.peak")" \
    -v anon="$(median <"$dir/column.anon")" -v in_flight="$in_flight" 'BEGIN {
      # A peer itself is no measure of the processes that it starts.
      memory = name ~ /^dropsonde/ ? sprintf("%.1f | %.1f", anon / 1024, peak / 1024) : "– | –"
      printf "| %s | %d | %d | %.2f | %s | %.1f |\n", name, hosts, in_flight, \
        cpu / hosts / 1000, memory, elapsed / 1e6 }'
}

# sweep NAME SELECTOR HOSTS IN-FLIGHT OPTION...
sweep() {
  local what=$1 selector=$2 of=$3 in_flight=$4
  shift 4
  report "$what" "$of" "$PROGRAM" --config "$dir/${PROGRAM_CONFIG:-config.toml}" --state "$dir/state" --quiet \
    --set "limits.concurrency=$in_flight" sweep -H "$selector" "$@"
}

start_sshd
write_config
mkfifo "$dir/never"
few=$((hosts < 100 ? hosts : 100)) some=$((hosts < 250 ? hosts : 250))
some_names="127.1.0.[1-$some]"
printf 'medians of %s\n\n' "$runs"
printf '| client | hosts | in flight | ms CPU per host | MiB anonymous | MiB resident | s elapsed |\n'
printf '| --- | --- | --- | --- | --- | --- | --- |\n'
sweep 'dropsonde sweep, three files' "127.1.0.[1-$few]" "$few" "$CONCURRENCY" --probe three_files
sweep 'dropsonde sweep, three files' '*' "$hosts" "$CONCURRENCY" --probe three_files
# The shipped probes have deadlines of their own, so no more of them at once than one machine can answer.
sweep 'dropsonde sweep, proc + host_context + kernel_log' "$some_names" "$some" 32 \
  --probe proc --probe host_context --probe kernel_log
# Through one jump host, which is the same sshd.
in_flight=64
PROGRAM_CONFIG=jump.toml sweep 'dropsonde sweep through a jump host, three files' "127.1.0.[1-$few]" "$few" 64 \
  --probe three_files

# What most people have: a process of OpenSSH for each host, 64 at a time, with the same key, the same key
# exchange and the same check of the host's key, and what each host said in a file of its own.
head -n "$few" "$dir/names" >"$dir/few"
mkdir "$dir/files"
files='cat /proc/stat /proc/vmstat /proc/meminfo'
ssh_options="-F /dev/null -o BatchMode=yes -o IdentitiesOnly=yes -o ControlMaster=no -i $dir/user_key"
ssh_options+=" -o KexAlgorithms=curve25519-sha256 -o UserKnownHostsFile=$dir/known_hosts"
# ssh starts another ssh for the way to a jump host, and gives it none of its own options. What that one takes
# is not counted where ssh does not wait for it.
through="-o 'ProxyCommand=ssh $ssh_options -W %h:%p root@$jump'"

# peer NAME COMMAND...: a row for it, if it is installed, that counts only when all hosts answered.
peer() {
  local name=$1
  shift
  if ! command -v "$1" >/dev/null; then
    printf '| %s: %s is not installed | | | | | |\n' "$name" "$1"
    return
  fi
  report "$name, three files" "$few" env -C "$dir" "$@"
  local whole
  whole=$(awk '/MemTotal/ { lines++ } END { print lines + 0 }' "$dir"/files/*)
  ((whole == few)) || fail "$name brought $whole of $few answers"
  rm -rf "${dir:?}/files" && mkdir "$dir/files"
}

under_xargs="exec ssh \$0 root@\$1 '$files' >files/\$1"
peer 'OpenSSH under xargs' xargs -a few -P 64 -I '{}' sh -c "${under_xargs/\$0/$ssh_options}" sh '{}'
peer 'OpenSSH under xargs through a jump host' \
  xargs -a few -P 64 -I '{}' sh -c "${under_xargs/\$0/$ssh_options $through}" sh '{}'
peer 'clush' clush -q -l root -f 64 -o "$ssh_options" --outdir=files -w "127.1.0.[1-$few]" "$files"
peer 'parallel-ssh' parallel-ssh -h few -l root -p 64 -t 600 -o files -x "$ssh_options" "$files"
export PDSH_SSH_ARGS_APPEND=$ssh_options
peer 'pdsh' sh -c 'exec pdsh -R ssh -l root -f 64 -w "^few" "$1" >files/all' sh "$files"
ANSIBLE_SSH_ARGS="$ssh_options" ANSIBLE_HOME="$dir/ansible" ANSIBLE_LOCAL_TEMP="$dir/ansible" \
  peer 'Ansible, module raw' ansible all -i few -u root -f 64 -m raw -a "$files" -t files
