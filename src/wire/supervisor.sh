# Runs one probe on a host and leaves nothing behind. The encoder puts assignments of: tag nonce name
# secs grace beat cap ecap size heavy tracer only become needs proc sys cursor script before this text,
# wraps both in one compound command, and drops comment lines and indentation; so no line here may
# depend on either. POSIX sh: dash, bash and busybox ash. A builtin costs nothing here and a fork 0.1 ms, so
# what could be `cat`, `date` or `grep` is a `read` wherever that is as good.
#
#   this shell ── watchers (stdin: a heartbeat or the end of the line; deadline)
#      └─ { { run | head; } 5>&1 | finish; } 4>&1 | gzip
#              └─ the probe, in a session of its own
#
# fd 3: the channel's stdin, opened by the encoder's first line. 4: into gzip. 5: the probe's stderr
# and run's report, to finish. 6: the channel's stderr.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin LC_ALL=C
export PATH LC_ALL
unset ENV BASH_ENV CDPATH GZIP POSIXLY_CORRECT GREP_OPTIONS
IFS='
 	'
umask 077
exec 6>&2 2>/dev/null
if [ "${#script}" -ne "$size" ]; then
echo "the script arrived garbled: ${#script} of $size bytes" >&6
exit 70
fi
ulimit -c 0
ulimit -f 131072
[ -n "$proc" ] || proc=${PROC:-/proc}
[ -n "$sys" ] || sys=${SYS:-/sys}
PROC=$proc SYS=$sys

# / belongs to root: a way to ask for our uid without running `id`.
root=
[ ! -O / ] || root=1
# Sudo's rules may lead to somebody else, and a login may run something else than it was asked to. Who
# has / in a container is not always known, so that is no proof.
if [ -n "$become" ] && [ -z "$root" ]; then
key= uid=
while [ "$key" != Uid: ] && read -r key _ uid _; do :; done </proc/self/status
case $uid in [1-9]*)
echo "dropsonde: not root but uid $uid${SUDO_USER+ by sudo}${DOAS_USER+ by doas}" >&6
exit 77
;; esac
fi
# stat PID: sets $pgrp and $born (clock ticks since boot), and fails for what is dead already. A
# command's name may hold anything, so fields count from its end.
stat() {
read -r line <"/proc/$1/stat" || return 1
set -- ${line##*") "}
[ "$1" != Z ] || return 1
pgrp=$3
shift 19
born=$1
}
stat self || { echo "there is no /proc, or it cannot be read" >&6; exit 70; }
birth=$born base=$$
# sshd gives each channel a group of its own, and we lead it; under sudo or a gate we do not.
leader=
[ "$pgrp" -ne $$ ] || leader=1

# tagged TAG PID...: sets $hits to those PIDs that carry TAG in their environment. One grep for all;
# its own environment is the proof that it can read NUL-separated text, which busybox's may not.
tagged() {
want=DROPSONDE_RUN=$1 hits=
shift
[ $# -gt 0 ] || return 1
if [ $# -gt 3 ]; then
files=
for pid; do files="$files /proc/$pid/environ"; done
found=$(DROPSONDE_RUN=${want#*=} exec grep -lszxF "$want" /proc/self/environ $files)
case $found in
/proc/self/environ*)
for file in $found; do
file=${file#/proc/}
case $file in self/*) ;; *) hits="$hits ${file%/*}" ;; esac
done
[ -n "$hits" ]
return
;;
esac
fi
# `read` leaves NULs out.
for pid; do
while IFS= read -r line || [ -n "$line" ]; do
case $line in *"$want"*) hits="$hits $pid"; break ;; esac
done <"/proc/$pid/environ"
done
[ -n "$hits" ]
}

# ours PID: whether it is one of the supervisor's. All of them hold the channel's stdin on fd 3, and
# the probe does not.
ours() {
[ "/proc/$1/fd/3" -ef /proc/self/fd/3 ]
}

# young: sets $pids, and $mates for those in our own group, to the processes that may be the probe's:
# no older than this shell, of our user, and not the supervisor's. What was there before us is never
# looked into: reading a big process's environ can hang. A pid that was not given out since we
# started spares a closer look.
young() {
pids= mates= near= many= count=0
set -- /proc/[0-9]*
read -r _ _ _ _ last </proc/loadavg
for dir; do
pid=${dir#/proc/}
if [ "$last" -ge "$base" ]; then
[ "$pid" -gt "$base" ] && [ "$pid" -le "$last" ] || continue
else
[ "$pid" -gt "$base" ] || [ "$pid" -le "$last" ] || continue
fi
near="$near $pid" count=$((count + 1))
done
if [ $count -gt 24 ] && [ "$last" -ge "$base" ]; then
many=1
sift
fi
for pid in $near; do
[ -n "$root" ] || [ -O "/proc/$pid" ] || continue
! ours "$pid" && stat "$pid" && [ "$born" -ge "$birth" ] || continue
case $pgrp in
$$) mates="$mates $pid" ;;
*) pids="$pids $pid" ;;
esac
done
}

# sift: leaves in $near what carries our tag or is in our group. A shell reads a file byte by byte;
# where much is started, or many of our hosts share one kernel, two greps are far cheaper.
sift() {
environs= stats=
for pid in $near; do
environs="$environs /proc/$pid/environ" stats="$stats /proc/$pid/stat"
done
found=$(DROPSONDE_RUN=$tag exec grep -lszxF "DROPSONDE_RUN=$tag" /proc/self/environ $environs)
case $found in
/proc/self/environ*) ;;
*) return ;;
esac
near=
for file in $found $(exec grep -lsE "[)] [^Z] [0-9]+ $$ " $stats); do
file=${file#/proc/}
file=${file%/*}
# Once each: what both greps name would be sent every signal twice.
case "$near self " in *" $file "*) ;; *) near="$near $file" ;; esac
done
}

# strike SIGNAL: sends it once to every process of the run, to whole groups where one leads its
# group. Where we lead ours, whoever else is in it is the probe's too, tag or no tag.
strike() {
young
if [ -z "$leader" ]; then
pids=$pids$mates mates=
fi
tagged "$tag" $pids || [ -n "$mates" ] || return 1
struck=' '
for pid in $hits; do
! kill -s "$1" -- "-$pid" || struck="$struck$pid "
done
for pid in $hits; do
pgrp=
stat "$pid"
case $struck in *" $pgrp "*) ;; *) kill -s "$1" "$pid" ;; esac
done
for pid in $mates; do kill -s "$1" "$pid"; done
hits=$hits$mates
}

# Kills until there is nothing left to kill; bounded, as a process in D state outlives any signal.
# A process in the middle of its exec shows no environment: what is young gets a second look.
purge() {
[ -z "$group" ] || echo 1 >"$group/cgroup.kill"
round=0 calm=
while [ $round -lt 20 ]; do
round=$((round + 1))
if strike KILL; then
calm=
[ $round -gt 3 ] || continue
else
[ -n "$pids$many" ] && [ -z "$calm" ] || break
calm=1
fi
sleep 0.1 || sleep 1
done
}

reap() {
if strike TERM; then
victims=$hits tick=0
while [ $tick -lt $((grace * 10)) ]; do
alive=
for pid in $victims; do ! kill -0 "$pid" || alive=1; done
[ -n "$alive" ] || break
sleep 0.1 || sleep 1
tick=$((tick + 1))
done
fi
purge
}

# Nobody is listening any more, or something untagged holds our pipes: end our own processes as well.
abandon() {
read -r self _ </proc/self/stat
for dir in /proc/[0-9]*; do
pid=${dir#/proc/}
[ "$pid" -eq "$self" ] || ! ours "$pid" || kill -s KILL "$pid"
done
}

drop_instance() {
[ -d "$1" ] || return
echo 0 >"$1/tracing_on"
echo 0 >"$1/events/enable"
rmdir "$1"
}

# Whether a tracer of ours is at work, be it in a container whose processes are not to be seen from here:
# it has had the lock on tracefs since before it made its instance.
traced() {
command -v flock >/dev/null && ! flock -n -s 9
} 9<"$tracefs"

# What a run of ours left whose supervisor was killed as well. A group that is in use cannot be
# removed; a tracing instance or a file can, so no process of its run may be alive. In /tmp anybody
# may give a file such a name: only ours are looked at.
sweep_stale() {
for dir in "$groups"/dropsonde.*; do
[ ! -d "$dir" ] || rmdir "$dir"
done
for dir in "$tracing"/dropsonde.*; do
[ -d "$dir" ] || continue
all=
for pid in /proc/[0-9]*; do all="$all ${pid#/proc/}"; done
tagged "${dir##*/dropsonde.}" $all || traced || drop_instance "$dir"
done
[ -n "$heavy" ] || return
for path in /dev/shm/dropsonde.*.* /tmp/dropsonde.*.*; do
[ -f "$path" ] && [ ! -L "$path" ] && [ -O "$path" ] || continue
owner=${path##*/dropsonde.}
all=
for pid in /proc/[0-9]*; do all="$all ${pid#/proc/}"; done
tagged "${owner%%.*}" $all || rm -f "$path"
done
}

# What this run has on the host beside processes. A folder with many files is slow to look through, so
# a cheap probe is not expected to have any.
clear() {
drop_instance "$tracing/$instance"
[ -z "$heavy" ] || for path in /dev/shm/"$instance".* /tmp/"$instance".*; do
[ ! -f "$path" ] || rm -f "$path"
done
# What was killed is in its group until it is dead, and perf takes seconds to give its buffers back.
tick=0
while [ -d "$group" ] && ! rmdir "$group" && [ $tick -lt 100 ]; do
sleep 0.1 || sleep 1
tick=$((tick + 1))
done
}

# A mount point is there without its tracefs as well, and a locked-down kernel lets nobody read it.
tracefs= blind=
for dir in /sys/kernel/debug/tracing /sys/kernel/tracing; do
[ ! -d "$dir/events" ] || ! read -r current <"$dir/current_tracer" || tracefs=$dir
done
if [ -z "$tracefs" ]; then
blind=none
[ -n "$root" ] || blind=root
fi

group= groups=/proc/none tracing=/proc/none
instance=dropsonde.$tag
if [ -n "$root" ]; then
for dir in /sys/fs/cgroup /sys/fs/cgroup/unified; do
[ ! -w "$dir/cgroup.procs" ] || [ ! -e "$dir/cgroup.controllers" ] || groups=$dir
done
[ -z "$tracefs" ] || [ ! -w "$tracefs/instances" ] || tracing=$tracefs/instances
sweep_stale
if [ -n "$heavy" ] && [ -d "$groups" ] && mkdir "$groups/$instance"; then
group=$groups/$instance
fi
fi

# Two tracers at once would each measure the other. The lock is on tracefs itself, which is the same
# in every container and for every collector, and the kernel lifts it when the last of us is dead:
# nothing is left to sweep. Where there is no `flock`, a run that has an instance is seen by that.
busy=
if [ -n "$tracer" ]; then
if command -v flock >/dev/null && [ -r "${tracefs:-/sys/kernel}" ]; then
exec 7<"${tracefs:-/sys/kernel}"
flock -n 7 || [ $? -ne 1 ] || busy=run
fi
for dir in "$tracing"/dropsonde.*; do
[ ! -d "$dir" ] || busy=run
done
if [ -n "$tracefs" ]; then
# Somebody else's: a tracer or an event that fills the global buffer.
read -r event <"$tracefs/set_event"
case $event in ''|*:mod:*) ;; *) busy=event:$event ;; esac
[ "$current" = nop ] || busy=tracer:$current
fi
fi

# lack INDEX [OBSERVED]: need number INDEX is not met; by number, as the collector knows the names.
# What was seen instead goes along as far as it is one plain word.
lack() {
missing=$missing,$1
seen=${2%%[!A-Za-z0-9._:+-]*}
case $seen in ?????????????????????????????????????????*) seen=${seen%"${seen#????????????????????????????????????????}"} ;; esac
[ -z "$seen" ] || missing=$missing=$seen
}

# below A B: whether version A is lower than B, field by field; a field that is not there is 0.
below() {
set -- "$1." "$2."
while [ -n "$1$2" ]; do
[ "0${1%%.*}" -le "0${2%%.*}" ] || return 1
[ "0${1%%.*}" -eq "0${2%%.*}" ] || return 0
set -- "${1#*.}" "${2#*.}"
done
return 1
}

# ask TOOL: sets $found to the version that TOOL gives itself, or to nothing. It carries the tag, so
# one that hangs is ended at the deadline as the probe would be.
ask() {
[ "$1" != "$asked" ] || return
asked=$1 found=
case $1 in
perf) set -- 'perf version ' perf --version ;;
bpftrace) set -- 'bpftrace v' bpftrace --version ;;
sysdig-libs) set -- '' sysdig --libs-version ;;
*) return ;;
esac
lead=$1
shift
said=$(DROPSONDE_RUN=$tag exec "$@" </dev/null 3<&- 4>&- 5>&- 6>&- 7<&-)
case $said in "$lead"[0-9]*) found=${said#"$lead"} ;; esac
found=${found%%[!0-9.]*}
}

# able NAME: whether we have that capability, or CAP_SYS_ADMIN (bit 21), which stands for each of
# these. In CapEff, CAP_BPF is bit 39, CAP_PERFMON 38 and CAP_SYSLOG 34.
able() {
while read -r key caps _; do
[ "$key" != CapEff: ] || break
done </proc/self/status
case $1:$caps in
*:*[2367abef]?????) return 0 ;;
bpf:*[89a-f]?????????|perfmon:*[4-7c-f]?????????|syslog:*[4-7c-f]????????) return 0 ;;
esac
return 1
}

# either COMMAND A|B: whether COMMAND holds of A or of B.
either() {
rest=$2'|'
while [ -n "$rest" ]; do
! "$1" "${rest%%"|"*}" || return 0
rest=${rest#*"|"}
done
return 1
}

present() {
command -v "$1" >/dev/null
}

readable() {
case $1 in
'$PROC'*) [ -r "$PROC${1#'$PROC'}" ] ;;
'$SYS'*) [ -r "$SYS${1#'$SYS'}" ] ;;
*) [ -r "$1" ] ;;
esac
}

# Sets $missing.
check() {
missing= index=0 asked=
for need in $needs; do
index=$((index + 1)) what=${need#*:}
case $need in
tool:*) either present "$what" || lack $index ;;
file:*) either readable "$what" || lack $index ;;
cap:*) able "$what" || lack $index ;;
'version:'*'<'*)
ask "${what%%<*}"
[ -n "$found" ] && below "$found" "${what#*<}" || lack $index "$found"
;;
'version:'*'>='*)
ask "${what%%>*}"
[ -n "$found" ] && ! below "$found" "${what#*=}" || lack $index "$found"
;;
event:*) [ -z "$blind" ] && [ -d "$tracefs/events/${what%%:*}/${what#*:}" ] || lack $index "$blind" ;;
tracefs:instances) [ -d "$tracing" ] || lack $index "$blind" ;;
'paranoid<='*)
level=
read -r level <"$PROC/sys/kernel/perf_event_paranoid"
# The first character is all that a shell gets that reads byte by byte.
[ "$level" != - ] || level=-1
[ -n "$level" ] && { [ "$level" -le "${need#*=}" ] || able perfmon; } || lack $index "$level"
;;
kernel-log)
level=
read -r level <"$PROC/sys/kernel/dmesg_restrict"
[ "$level" = 0 ] || able syslog || lack $index "$level"
;;
# A collector of another age may ask what this text cannot answer: that is not a yes.
*) lack $index ;;
esac
done
}

# The probe itself: nothing of ours in its environment but the tag, nothing open but its own three.
probe() {
trap - PIPE HUP INT TERM ALRM USR1 USR2
# An empty group is what another run takes for a leftover.
[ -z "$group" ] || echo 0 >"$group/cgroup.procs" || { mkdir "$group" && echo 0 >"$group/cgroup.procs"; }
DROPSONDE_RUN=$tag DROPSONDE_INSTANCE=$instance DROPSONDE_CURSOR=$cursor
export DROPSONDE_RUN DROPSONDE_INSTANCE DROPSONDE_CURSOR PROC SYS
set -- /bin/sh -c "$script" "$name"
[ -z "$apart" ] || set -- setsid "$@"
# Only where it is worth two or three execs: a cheap probe takes less time than they do. A container
# may forbid ionice, which is no reason not to run.
if [ -n "$heavy" ]; then
read -r self _ </proc/self/stat
! command -v ionice >/dev/null || ionice -c 3 -p "$self" >/dev/null 2>&1
! command -v nice >/dev/null || set -- nice -n 10 "$@"
fi
exec "$@" 2>&5 3<&- 4>&- 5>&- 6>&- 7<&-
}

# Looks what is missing; if nothing is, waits for the probe and kills what it left; reports to finish.
run() {
status=
read -r began _ </proc/uptime
check
[ -n "$missing" ] || [ -z "$busy" ] || lack 0 "$busy"
if [ -z "$missing$only" ]; then
[ -z "$needs" ] || read -r began _ </proc/uptime
probe </dev/null &
base=$!
wait "$base"
status=$?
purge
# What is told to end at the deadline may say that all is well. That it was told is seen by the time it
# took, so that is counted from where the deadline is: a script may have begun seconds later.
now
[ "$now" -lt "$end" ] || began=$start
fi
read -r ended _ </proc/uptime
usec=
[ -z "$group" ] || read -r _ usec <"$group/cpu.stat"
{
printf '\n%s %s %s %s %s %s\n' "$nonce" "$began" "$ended" "${status:--}" "${usec:--}" "${missing:--}"
times
} >&5
}

# Passes the probe's stderr on, up to a limit, and closes with the trailer. `head` keeps fd 5 open
# while it lives, so the end of this input means that all output is in gzip's pipe before the trailer.
# Before the probe's first word stands a line of ours: what a login shell or sudo said is not the probe's.
finish() {
ulimit -v 262144
report= left=$ecap blank= first=1
while IFS= read -r line || [ -n "$line" ]; do
case $line in
"$nonce "*)
report=${line#* }
read -r _
read -r cpu
;;
'')
# The report starts with a newline, in case the probe's last line has none: not to be passed on.
[ -z "$blank" ] || [ -n "$first" ] || [ $left -le 0 ] || printf '\n' >&6
left=$((left - 1)) blank=1
;;
*)
[ -z "$first" ] || printf '\ndropsonde/1 %s\n' "$tag" >&6
first=
[ -z "$blank" ] || [ $left -le 0 ] || printf '\n' >&6
left=$((left - ${#line} - 1)) blank=
[ $left -lt 0 ] || printf '%s\n' "$line" >&6
;;
esac
done
[ -n "$report" ] || return
read -r boot </proc/sys/kernel/random/boot_id
read -r at _ </proc/uptime
printf '\ndropsonde/1 %s %s %s %s %s %s ' "$nonce" "${report% *}" "$cpu" "$boot" "${report##* }" "$at"
[ -z "$EPOCHREALTIME" ] || { printf '%s\n' "$EPOCHREALTIME"; return; }
! command -v date >/dev/null || exec date +%s.%N
echo -
}

output() {
if command -v head >/dev/null; then
{ { run | head -c "$cap" >&4; } 5>&1 | finish >&4; } 4>&1
else
{ { run >&4; } 5>&1 | finish >&4; } 4>&1
fi
}

apart=
if [ -n "$heavy" ] || [ -z "$leader" ]; then
! command -v setsid >/dev/null || apart=1
fi

# What the watchers tell this shell. TERM follows when they are there: what was just forked still has our
# traps, and a watcher that met its end in that moment would live on, and this shell wait for it.
# They say USR2: who was started by nohup, or behind an `&`, can hear neither HUP nor INT.
gone= late=
trap 'gone=1' HUP INT USR2
trap 'late=1' ALRM

# Times are whole seconds of uptime: `read -t` and `sleep` take no less everywhere.
now() {
read -r since _ </proc/uptime
now=${since%%.*}
}

# notify SIGNAL: tells this shell. If it was killed itself, its work is done here.
notify() {
kill -s "$1" $$ && return
reap
clear
abandon
exit
}

# overdue: at the deadline the run is told once, and some seconds later it is given up.
overdue() {
[ "$now" -ge "$end" ] || return 1
notify "$notice"
notice=USR2 end=$((now + grace + 5))
}

# Where `read` has a timeout, one process sees to both.
watch() {
now
notice=ALRM heard=$now
while :; do
wait=$((end - now))
[ "$wait" -le $((heard + beat - now)) ] || wait=$((heard + beat - now))
[ "$wait" -gt 0 ] || wait=1
if IFS= read -r -t "$wait" line <&3; then
now
heard=$now
overdue
else
now
overdue || { notify USR2; exit; }
fi
done
}

# Elsewhere (dash) one waits for bytes and one for time. A heartbeat costs a signal, not a fork.
listen() {
while IFS= read -r line <&3; do kill -s USR1 "$clock"; done
notify USR2
}

tick() {
heard=1 idle=0
trap 'heard=1' USR1
# A sleep that was just forked has this trap, too: it must die of what cannot be caught.
trap 'kill -s KILL $!; exit' TERM
notice=ALRM half=$(((beat + 1) / 2))
while :; do
wait=$((end - now))
[ "$wait" -le "$half" ] || wait=$half
[ "$wait" -gt 0 ] || wait=1
sleep "$wait" 7<&- &
nap=$! slept=
while kill -0 "$nap"; do wait "$nap"; slept=$?; done
# Where nothing may be started no time passes here, and nothing is there to be ended.
[ "$slept" != 126 ] || return
now
overdue
idle=$((idle + wait))
[ -z "$heard" ] || idle=0
heard=
[ $idle -lt "$beat" ] || notify USR2
done
}

pack=raw
! command -v gzip >/dev/null || pack=gzip
printf '\ndropsonde/1 %s %s\n' "$tag" "$pack"
# `now` is rounded down, so a second is added.
now
end=$((now + secs + 1)) start=$since
IFS= read -r -t 1 line </dev/null
if [ $? -lt 2 ]; then
watch >/dev/null 6>&- &
watchers=$!
else
trap '' USR1
tick >/dev/null 6>&- &
clock=$!
trap - USR1
listen >/dev/null 6>&- &
watchers="$clock $!"
fi
trap 'gone=1' TERM
case $pack in
gzip) output | gzip -1 & ;;
*) output & ;;
esac
pipe=$!

ended=
while :; do
# What was said before this waits would not wake it.
[ -n "$gone" ] || { wait "$pipe"; ended=$?; }
if [ -n "$gone" ]; then
reap
abandon
break
fi
[ -n "$late" ] || break
late=
reap
done
# gzip was there a moment ago: sudo's NOEXEC and the like let nothing be started.
[ "$ended" != 126 ] || echo "dropsonde: nothing can be started" >&6
kill $watchers
wait
clear
