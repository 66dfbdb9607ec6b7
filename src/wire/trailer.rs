//! The line behind a probe's output that says it is whole, and what the host's clocks said.

use std::time::Duration;

use super::Nonce;
use super::lack::{self, Lack};
use crate::model::{HostClock, HostTime};

/// What a trailer may take; one is about 230 bytes, and one that finds every need of every probe missing
/// some 2,000.
pub(super) const MAX_TRAILER: usize = 8192;

/// What the supervisor reports.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trailer {
    /// `None` where the host cannot tell the time.
    pub clock: Option<HostClock>,
    /// How long the script ran, on the host's own uptime clock.
    pub elapsed_s: f64,
    /// `None` when the script was not started.
    pub exit: Option<i32>,
    pub cpu: Option<Duration>,
    /// The needs that are not met.
    pub missing: Vec<Lack>,
    /// Who traces the host already, where that kept a tracer from being started.
    pub busy: Option<String>,
}

impl Trailer {
    /// Splits `output` into what the probe wrote and the trailer that ends it. Only the run's own
    /// nonce makes a line a trailer.
    pub fn split(output: &[u8], nonce: Nonce) -> Option<(usize, Self)> {
        let head = format!("\ndropsonde/1 {nonce} ");
        let tail_start = output.len().saturating_sub(MAX_TRAILER);
        let tail = output.get(tail_start..)?;
        let at = tail.windows(head.len()).rposition(|window| window == head.as_bytes())?;
        let line = std::str::from_utf8(tail.get(at + head.len()..)?).ok()?.strip_suffix('\n')?;
        Some((tail_start + at, Self::read(line)?))
    }

    fn read(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split(' ').collect();
        let [began, ended, status, usec, user, system, boot_id, missing, at, wall] = fields[..] else {
            return None;
        };
        let (began, ended, at) = (seconds(began)?, seconds(ended)?, seconds(at)?);
        is_boot_id(boot_id).then_some(())?;
        // One look at the wall clock gives both: a second `date` would cost the host another fork.
        let clock = |wall_ns: i64| {
            let wall_at = |uptime_s: f64| {
                HostTime::from_unix_ns(wall_ns.saturating_sub(((at - uptime_s) * 1e9) as i64))
            };
            HostClock {
                boot_id: boot_id.to_owned(),
                start: wall_at(began),
                end: wall_at(ended),
                uptime_start_s: began,
                uptime_end_s: ended,
            }
        };
        let clock = if wall == "-" { None } else { Some(clock(wall_clock_ns(wall)?)) };
        let times = || minutes(user)?.checked_add(minutes(system)?);
        let cpu = usec.parse().ok().map(Duration::from_micros).or_else(times);
        let (missing, busy) = lack::read(missing)?;
        let exit = if status == "-" { None } else { Some(status.parse().ok()?) };
        Some(Self { clock, elapsed_s: ended - began, exit, cpu, missing, busy })
    }
}

/// A number of seconds as `/proc/uptime` writes it: no sign, no exponent, nothing infinite.
fn seconds(text: &str) -> Option<f64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if plain && text.len() <= 20 { text.parse().ok() } else { None }
}

/// A UUID, and nothing on a host that has none. What is told apart by it are boots of one host.
fn is_boot_id(text: &str) -> bool {
    text.len() <= 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// `0m0.012s`, as `times` prints it.
fn minutes(text: &str) -> Option<Duration> {
    let (minutes, rest) = text.strip_suffix('s')?.split_once('m')?;
    let total_s = seconds(minutes)? * 60.0 + seconds(rest)?;
    Duration::try_from_secs_f64(total_s).ok()
}

/// `1795394390.580952820`; busybox's date has no nanoseconds and leaves `%N` as it is.
fn wall_clock_ns(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.')?;
    let whole: i64 = whole.parse().ok()?;
    let digits = if fraction == "%N" { "" } else { fraction };
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanoseconds: i64 = format!("{digits:0<9}").get(..9)?.parse().ok()?;
    whole.checked_mul(1_000_000_000)?.checked_add(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "3282.02 3285.07 137 - 0m0.010000s 0m0.020000s c0ffee01 ,1,3=4 3285.08 1795395068.5";

    fn with(nonce: Nonce, line: &str) -> Vec<u8> {
        format!("output without an end\ndropsonde/1 {nonce} {line}\n").into_bytes()
    }

    #[test]
    fn a_trailer_gives_both_clocks_the_status_and_the_missing_needs() {
        let nonce = Nonce::new([7; 16]);
        let (at, trailer) = Trailer::split(&with(nonce, LINE), nonce).expect("a trailer");
        assert_eq!(at, "output without an end".len());
        assert_eq!(trailer.exit, Some(137));
        assert_eq!(trailer.cpu, Some(Duration::from_millis(30)));
        assert_eq!(trailer.missing.iter().map(|lack| lack.need).collect::<Vec<_>>(), [0, 2]);
        let clock = trailer.clock.unwrap();
        assert_eq!(clock.end.unix_ns() / 1_000_000, 1_795_395_068_490);
        assert_eq!(clock.start.unix_ns() / 1_000_000, 1_795_395_065_440);
        let busybox = LINE.replace("068.5", "068.%N").replace(" - ", " 4521 ");
        let (_, trailer) = Trailer::split(&with(nonce, &busybox), nonce).expect("a trailer");
        assert_eq!(trailer.clock.unwrap().end.unix_s(), 1_795_395_067);
        assert_eq!(trailer.cpu, Some(Duration::from_micros(4_521)));
        let timeless = LINE.replace("1795395068.5", "-");
        let (_, trailer) = Trailer::split(&with(nonce, &timeless), nonce).expect("a trailer");
        assert_eq!((trailer.clock, trailer.exit), (None, Some(137)));
    }

    /// A host may say any number; none of them may be more than the types here can add up.
    #[test]
    fn numbers_beyond_all_measure_are_no_trailer_or_are_cut() {
        let nonce = Nonce::new([7; 16]);
        let read = |line: &str| Trailer::split(&with(nonce, line), nonce).map(|(_, trailer)| trailer);
        let (most, age) = ("300000000000000000m0.000000s", "99999999999999999999");
        let cpu = LINE.replace("0m0.010000s", most).replace("0m0.020000s", most);
        assert!(read(&cpu).is_some_and(|trailer| trailer.cpu.is_none()));
        let usec = LINE.replace(" - ", " 18446744073709551615 ");
        assert!(read(&usec).is_some_and(|trailer| trailer.cpu.is_some()));
        for (at, wall) in
            [(age, "-5.0"), (age, "9223372036.0"), ("0", "-9223372036.0"), ("0", "9223372036.0")]
        {
            let line = LINE.replace("3285.08", at).replace("1795395068.5", wall);
            assert!(read(&line).is_some_and(|trailer| trailer.clock.is_some()), "{line}");
            let line = line.replace("3282.02", age).replace("3285.07", age);
            assert!(read(&line).is_some_and(|trailer| trailer.clock.is_some()), "{line}");
        }
    }

    #[test]
    fn what_is_not_exactly_a_trailer_is_none() {
        let nonce = Nonce::new([7; 16]);
        let refuse = |bytes: &[u8]| assert_eq!(Trailer::split(bytes, nonce), None);
        refuse(b"");
        refuse(&with(Nonce::new([8; 16]), LINE));
        refuse(&with(nonce, "1 2 3"));
        refuse(&with(nonce, &LINE.replace("3282.02", "inf")));
        refuse(&with(nonce, &LINE.replace("137", "x")));
        refuse(&with(nonce, &LINE.replace("c0ffee01", "\u{1b}[31m")));
        refuse(&with(nonce, &LINE.replace("c0ffee01", &"f".repeat(37))));
        refuse(&[with(nonce, LINE), b"more\n".to_vec()].concat());
    }
}
