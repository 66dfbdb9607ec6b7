//! perf script's samples, each a header and a stack, folded: equal stacks counted once. It refuses to
//! look a symbol up: what perf could not name stays the object it lies in.

use std::collections::BTreeMap;

use crate::parse::sink::Sink;
use crate::parse::text::lossy;

/// The kernel stores at most 127 frames a sample unless it is told otherwise.
const MAX_FRAMES: usize = 512;
const MAX_NAME_CHARS: usize = 200;

/// Stacks by their text, `comm;outermost;…;innermost`, and how many samples had each. Frames of the
/// kernel end in `_[k]`; no name holds `;`, a line's end or a control character.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stacks {
    pub counts: BTreeMap<String, u64>,
    pub samples: u64,
    /// What could not be read.
    pub faults: Vec<String>,
}

impl Stacks {
    /// Takes out the samples of idle CPUs, and says how many there were.
    pub fn take_idle(&mut self) -> u64 {
        let before = self.samples;
        let samples = &mut self.samples;
        self.counts.retain(|stack, count| {
            let (comm, leaf) = (stack.split(';').next(), stack.rsplit(';').next());
            let idle = leaf.filter(|_| stack.contains(';')).is_none_or(is_idle_function);
            let keep = comm != Some(IDLE_TASK) || !idle;
            *samples -= if keep { 0 } else { *count };
            keep
        });
        before - self.samples
    }
}

const IDLE_TASK: &str = "swapper";

/// In one of the kernel's ways to idle; an interrupt on top of it is work.
fn is_idle_function(name: &str) -> bool {
    ["idle", "halt", "mwait"].iter().any(|word| name.contains(word))
}

/// Folds the output of perf script.
pub fn stacks(raw: &[u8]) -> Stacks {
    let mut sink = Sink::default();
    let mut stacks = Stacks::default();
    each_sample(raw, &mut sink, |sample| {
        stacks.samples += 1;
        *stacks.counts.entry(sample.folded()).or_default() += 1;
    });
    stacks.faults = sink.finish().faults.into_iter().map(|fault| fault.0).collect();
    stacks
}

/// One sample; the innermost frame comes first.
#[derive(Debug, Default)]
pub(super) struct Sampled {
    pub comm: String,
    pub frames: Vec<Frame>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub name: String,
    pub in_kernel: bool,
}

impl Sampled {
    pub(super) fn is_idle(&self) -> bool {
        self.comm == IDLE_TASK && self.frames.first().is_none_or(|leaf| is_idle_function(&leaf.name))
    }

    fn folded(&self) -> String {
        let mut text = self.comm.clone();
        for frame in self.frames.iter().rev() {
            text.push(';');
            text.push_str(&frame.name);
            if frame.in_kernel {
                text.push_str("_[k]");
            }
        }
        text
    }
}

/// Gives each sample to `take` as it ends. A stack stands below its header, indented, up to an empty line.
pub(super) fn each_sample(raw: &[u8], sink: &mut Sink, mut take: impl FnMut(&Sampled)) {
    let mut open = None::<Sampled>;
    let body = raw.strip_suffix(b"\n").unwrap_or(raw);
    for (number, line) in (1..).zip(body.split(|byte| *byte == b'\n')) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.trim_ascii().is_empty() || line.starts_with(b"#") {
            open.take().iter().for_each(&mut take);
            continue;
        }
        let text = lossy(line);
        match (&mut open, frame(&text)) {
            (Some(sample), Some(frame)) if sample.frames.len() < MAX_FRAMES => sample.frames.push(frame),
            (Some(_), Some(_)) => {}
            (_, None) => match comm(&text) {
                Some(comm) => {
                    let comm = clean(comm);
                    open.replace(Sampled { comm, frames: Vec::new() }).iter().for_each(&mut take);
                }
                None => sink.fault(|| unread(number, line)),
            },
            (None, Some(_)) => sink.fault(|| unread(number, line)),
        }
    }
    open.iter().for_each(take);
}

fn unread(number: usize, line: &[u8]) -> String {
    let what = crate::parse::text::excerpt(line);
    format!("line {number}: expected a sample of perf script or a frame of one, found {what}")
}

/// `\tffffffff821f236b name+0xb (object)`.
fn frame(line: &str) -> Option<Frame> {
    let text = line.strip_prefix(['\t', ' '])?.trim();
    let (address, rest) = text.split_once(' ')?;
    if address.len() > 16 || !address.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut words = rest.split_whitespace();
    if words.next().is_some_and(is_id) && words.next().is_some_and(|word| is_cpu(word) || is_time(word)) {
        // The header of a sample whose command looks like an address.
        return None;
    }
    let (symbol, object) = symbol_and_object(rest);
    let symbol = match symbol.rsplit_once("+0x") {
        Some((name, offset)) if offset.bytes().all(|byte| byte.is_ascii_hexdigit()) => name,
        _ => symbol,
    };
    let kernel = |object: &str| {
        object.starts_with("[kernel")
            || object.starts_with("[guest.kernel")
            || object.ends_with(".ko")
            || object.contains(".ko.")
            || object.contains("/vmlinux")
    };
    // A module is called [name]; what else stands in brackets belongs to a process.
    let process = ["[unknown]", "[vdso]", "[vdso32]", "[vsyscall]", "[stack]", "[heap]", "[anon"];
    let module =
        |object: &str| object.starts_with('[') && !process.iter().any(|name| object.starts_with(name));
    let in_kernel = object.is_some_and(|object| kernel(object) || module(object));
    let name = match (symbol, object) {
        ("[unknown]", Some("[unknown]") | None) => "[unknown]".to_owned(),
        ("[unknown]", Some(object)) => {
            let file = object.rsplit('/').next().unwrap_or(object);
            format!("[{}]", file.trim_matches(['[', ']']))
        }
        (symbol, _) => symbol.to_owned(),
    };
    Some(Frame { name: clean(&name), in_kernel })
}

/// `symbol (object)`. Either may hold ` (`; a path or a name in brackets is the object's beginning.
fn symbol_and_object(text: &str) -> (&str, Option<&str>) {
    let Some(inner) = text.strip_suffix(')') else { return (text, None) };
    let path = [" (/", " (["].iter().filter_map(|open| inner.rfind(open)).max();
    match path.or_else(|| inner.rfind(" (")) {
        Some(at) => (&inner[..at], Some(&inner[at + 2..])),
        None => (text, None),
    }
}

/// The command of `comm  tid [cpu] time: event:` in any of the forms that perf's fields make of it: what
/// stands before a thread's number that `[cpu]` or a time follows.
fn comm(line: &str) -> Option<&str> {
    let mut at = 0;
    let mut first = None;
    while let Some(gap) = line[at..].find(' ').map(|gap| at + gap) {
        let rest = line[gap..].trim_start();
        let mut words = rest.split_whitespace();
        let is_id = words.next().is_some_and(is_id) && gap > 0;
        if is_id {
            if words.next().is_none_or(|next| is_cpu(next) || is_time(next)) {
                return Some(line[..gap].trim());
            }
            first = first.or(Some(&line[..gap]));
        }
        at = line.len() - rest.len();
    }
    first.map(str::trim)
}

/// `123` or `123/456`.
fn is_id(word: &str) -> bool {
    word.split('/').count() <= 2
        && word.split('/').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

fn is_cpu(word: &str) -> bool {
    word.strip_prefix('[').and_then(|word| word.strip_suffix(']')).is_some_and(is_id)
}

fn is_time(word: &str) -> bool {
    word.strip_suffix(':').is_some_and(|word| crate::parse::text::decimal(word.as_bytes()).is_some())
}

/// A name that can stand in a folded line.
fn clean(name: &str) -> String {
    let safe = |c: char| match c {
        ';' => ':',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    let name: String = name.trim().chars().take(MAX_NAME_CHARS).map(safe).collect();
    if name.is_empty() { "(no name)".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(raw: &str) -> Vec<String> {
        let stacks = stacks(raw.as_bytes());
        assert_eq!(stacks.faults, Vec::<String>::new());
        assert_eq!(stacks.samples, stacks.counts.values().sum::<u64>());
        stacks.counts.into_iter().map(|(stack, count)| format!("{stack} {count}")).collect()
    }

    #[test]
    fn equal_stacks_are_one() {
        let sample = "app 12 [000] 1.500000: cycles: \n\
            \tffffffff8100 do_it+0xb ([kernel.kallsyms])\n\
            \tffffffffc000 send ([virtio_net])\n\
            \t       5d0 <a::B as c::D>::f (x; y)+0x1f (/usr/bin/app (deleted))\n\
            \t       100 [unknown] (/usr/lib/libx.so.1)\n\
            \t         2 [unknown] ([unknown])\n\n";
        let expected = "app;[unknown];[libx.so.1];<a::B as c::D>::f (x: y);send_[k];do_it_[k] 2";
        assert_eq!(folded(&sample.repeat(2)), [expected]);
    }

    #[test]
    fn a_command_is_what_stands_before_its_thread() {
        let check = |header: &str, expected: &str| assert_eq!(comm(header), Some(expected), "{header}");
        check("swapper     0 [000]  1011.703176:   10101010 cpu-clock:pppH: ", "swapper");
        check("Web 12 x  345/346 [001] 7.0: cycles: ", "Web 12 x");
        check("a 9 10  345 7.000001: 1 cycles:", "a 9 10");
        check("kworker/0:1-ev 11 ", "kworker/0:1-ev");
        check("app 12 cycles:", "app");
        assert_eq!(comm("nothing here"), None);
    }

    #[test]
    fn hostile_names_stay_one_frame_of_one_line() {
        let raw = "a;b\u{1}</svg> 1 [000] 1.0: e: \n\t1 x;y\u{1b}[31m (/p)\n";
        assert_eq!(folded(raw), ["a:b\u{fffd}</svg>;x:y\u{fffd}[31m 1"]);
    }

    #[test]
    fn idle_samples_can_be_left_out() {
        let raw = "swapper 0 [0] 1.0: e: \n\tf1 default_idle ([kernel.kallsyms])\n\n\
                   swapper 0 [0] 1.0: e: \n\tf1 net_rx_action ([kernel.kallsyms])\n\tf2 default_idle ([kernel.kallsyms])\n\n\
                   idle_app 1 [0] 1.0: e: \n\t1 idle (/bin/idle_app)\n";
        let mut stacks = stacks(raw.as_bytes());
        assert_eq!((stacks.take_idle(), stacks.samples), (1, 2));
        let left: Vec<_> = stacks.counts.keys().map(String::as_str).collect();
        assert_eq!(left, ["idle_app;idle", "swapper;default_idle_[k];net_rx_action_[k]"]);
    }

    #[test]
    fn samples_without_stacks_count_too_and_the_rest_is_a_fault() {
        assert_eq!(folded("a 1 [0] 1.0: e: \na 1 [0] 2.0: e: \n"), ["a 2"]);
        let found = stacks(b"\tffff x (y)\nnonsense\n");
        assert_eq!((found.samples, found.faults.len()), (0, 2));
        assert!(found.faults[0].starts_with("line 1: expected a sample of perf script"));
    }
}
