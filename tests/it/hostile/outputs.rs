//! What a hostile host answers through a server that is in order: everything that it may, and then some.

use std::io::{self, Write as _};
use std::sync::LazyLock;

use dropsonde::wire::served::Payload;
use flate2::Compression;
use flate2::write::GzEncoder;
use ring::rand::{SecureRandom as _, SystemRandom};

use super::plays::{EVIL, evil};
use crate::support::peer::{Command, Peer, msg, string};

/// The window that the client opens its channels with.
const WINDOW: usize = 256 << 10;

/// What a real host says behind its output.
const TRAILER: &str = "10.00 10.50 0 - 0m0.010000s 0m0.020000s c0ffee01 - 10.52 1795395068.5";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// A thousand bytes for each that is sent.
    Bomb,
    /// A stream that goes on for ever and has nothing in it.
    Hollow,
    /// A stream that goes on for ever and is what it seems.
    Endless,
    /// As much as the probe may say, which nothing makes smaller, and all of it in order.
    Largest,
    /// The chatter of a login that never ends.
    Chatter,
    NoStream,
    TwoStreams,
    /// As many series as a reading of that size holds, each with a label of its own.
    Series,
    /// Says all that it has to say in evil words: as output, and as a probe's.
    Evil,
    EvilFailure,
    /// Refuses to run it.
    EvilRefusal,
    EvilBoot,
    EvilLack,
}

/// Answers one command after another.
pub async fn perform(output: Output, peer: &mut Peer) -> io::Result<()> {
    loop {
        let command = peer.their_command().await?;
        answer(output, peer, &command).await?;
    }
}

async fn answer(output: Output, peer: &mut Peer, Command { channel, payload }: &Command) -> io::Result<()> {
    if matches!(output, Output::EvilRefusal | Output::EvilFailure) {
        let words = [EVIL, b" REFUSED ", EVIL].concat();
        peer.say(msg::EXTENDED_DATA, *channel, &[&[0, 0, 0, 1], &string(words)]).await?;
    }
    if output == Output::EvilRefusal {
        return peer.end(*channel, 126).await;
    }
    let mut window = WINDOW;
    let hello = format!("\ndropsonde/1 {} gzip\n", payload.tag);
    let mut say = async |bytes: &[u8]| peer.data_within(*channel, bytes, &mut window).await;
    if output == Output::Chatter {
        loop {
            say(&EVIL.repeat(100)).await?;
        }
    }
    // At once, as a real host does: what it says takes a while to be made.
    say(hello.as_bytes()).await?;
    if matches!(output, Output::Hollow | Output::Endless) {
        say(&HEAD).await?;
        let hollow = [0, 0, 0, 0xff, 0xff].repeat(4096);
        let piece = if output == Output::Hollow { hollow } else { stored(60_000) };
        loop {
            say(&piece).await?;
        }
    }
    say(&stream(output, payload)).await?;
    peer.end(*channel, 0).await
}

/// What is one stream and ends.
fn stream(output: Output, payload: &Payload) -> Vec<u8> {
    match output {
        Output::Bomb => BOMB.clone(),
        Output::Largest => packed(&[&NOISE[..], &trailer_of(payload, TRAILER)].concat(), Compression::none()),
        Output::NoStream => b"this is no stream".repeat(1000),
        Output::TwoStreams => [whole(payload, b"a 1\n", TRAILER), whole(payload, b"a 2\n", TRAILER)].concat(),
        Output::Series => whole(payload, &SERIES, TRAILER),
        Output::Evil => whole(payload, &words(&payload.name), TRAILER),
        Output::EvilBoot => whole(payload, b"a 1\n", &TRAILER.replace("c0ffee01", &evil().replace(' ', "_"))),
        Output::EvilLack => {
            whole(payload, b"a 1\n", &TRAILER.replace("c0ffee01 -", "c0ffee01 ,1=\u{1b}[31m"))
        }
        Output::EvilFailure => whole(payload, b"", &TRAILER.replace(" 0 - ", " 3 - ")),
        Output::EvilRefusal | Output::Chatter | Output::Hollow | Output::Endless => Vec::new(),
    }
}

static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| packed(&vec![0; 64 << 20], Compression::best()));
static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| noise(LARGEST));
static SERIES: LazyLock<Vec<u8>> = LazyLock::new(series);

/// What every gzip stream begins with.
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];

/// One block of noise that is not packed and not the last.
fn stored(length: u16) -> Vec<u8> {
    let noise = noise(usize::from(length));
    [&[0][..], &length.to_le_bytes(), &(!length).to_le_bytes(), &noise].concat()
}

/// What the tests' probes may print: 4 MiB.
const LARGEST: usize = (4 << 20) - 100;

fn noise(length: usize) -> Vec<u8> {
    let mut noise = vec![0; length];
    SystemRandom::new().fill(&mut noise).expect("randomness");
    noise
}

fn packed(bytes: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes).expect("into memory");
    encoder.finish().expect("into memory")
}

/// Output and trailer as the supervisor would have sent them.
fn whole(payload: &Payload, output: &[u8], trailer: &str) -> Vec<u8> {
    packed(&[output, &trailer_of(payload, trailer)].concat(), Compression::fast())
}

fn trailer_of(payload: &Payload, trailer: &str) -> Vec<u8> {
    format!("\ndropsonde/1 {} {trailer}\n", payload.nonce).into_bytes()
}

/// 4 MiB of series, most of them too many.
fn series() -> Vec<u8> {
    let label = "l".repeat(150);
    let mut text = String::new();
    let mut number = 0;
    while text.len() < LARGEST - 500 {
        text.push_str(&format!("hello_value{{a=\"{number}\",b=\"{number}{label}\"}} {number}\n"));
        number += 1;
    }
    text.into_bytes()
}

/// Evil words wherever the output of that probe has room for words.
fn words(probe: &str) -> Vec<u8> {
    let evil = evil();
    // Without what would end a label or a line in earnest.
    let inside: String = evil.chars().filter(|c| !"\"\\\n\r".contains(*c)).collect();
    let text = match probe {
        "hello" => format!(
            "# HELP hello_value {inside}\n# TYPE hello_value gauge\nhello_value{{evil=\"{inside}\",{inside}=\"x\"}} 1\n\
             hello_value{{evil=\"{inside}\"}} 1\n{inside} 5\n{evil}\nhello_value{{evil=\"b\"}} {inside}\n"
        ),
        "kernel_log" => format!(
            "@@@ now 4000.00 00000000-0000-4000-8000-000000000001\n@@@ first 0.000000\n\
             [ 1822.118201] INFO: task {inside}:312 blocked for more than 120 seconds.\n\
             [ 3011.900001] I/O error, dev {inside}, sector 2048 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2\n\
             [ 3012.000001] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [{inside}:1]\n{evil}\n"
        ),
        "host_context" => {
            format!("kernel {inside}\nboot_id {inside}\nnic {inside}\n{inside} {inside}\n{evil}\n")
        }
        _ => return EVIL.repeat(20),
    };
    text.into_bytes()
}
