//! What a hostile server does, by the state of the connection in which it does it. Each keeps to the
//! protocol up to that point.

use std::io;

use tokio::io::AsyncWriteExt as _;

use super::outputs::{self, Output};
use crate::support::peer::{EXCHANGES, HostKey, Peer, kexinit, kexinit_with, message, msg, string};

/// Everything that a terminal, a log or a page must not be given: sequences, a title, text that runs
/// backwards, a line of its own, NUL, markup, steps back, a link, a command to the terminal, text that is turned
/// around or not to be seen, and bytes that are no UTF-8.
pub const EVIL: &[u8] =
    b"\x1b[31mred\x1b]0;title\x07\xe2\x80\xaetxt.exe\xe2\x80\x8b\r\nok \0 <script>alert(1)</script>\"'&\x08\x08\
      \x1b]8;;http://x\x1b\\y\x1b_z\x1b\\\xc2\x9b2J\xe2\x81\xa6\xef\xbb\xbf\xf3\xa0\x81\x81\x9b2J\xff";

/// The same where only names may stand.
pub const EVIL_NAME: &[u8] = b"\x1b[31mred\x1b]0;txt.exe\x07<script>alert(1)</script>";

/// The same where only text may stand.
pub fn evil() -> String {
    String::from_utf8_lossy(EVIL).into_owned()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Play {
    Greeting(Greeting),
    Exchange(Exchange),
    Login(Login),
    Opening(Opening),
    Running(Running),
    Crowd(Crowd),
    /// A well-behaved server on a host that is not.
    Output(Output),
}

/// Once the versions are said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Greeting {
    /// A packet of 2 GiB, and as much of it as is taken.
    HugePacket,
    /// Packets of nothing, without end.
    EmptyPackets,
    /// Names of algorithms of 64 KiB.
    LongNames,
    EvilNames,
    EvilGoodbye,
}

/// While keys are exchanged, and right after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exchange {
    /// A field that is longer than its packet.
    ReplyOverflows,
    /// A point that gives away the secret.
    ZeroPoint,
    KeysAtOnce,
    /// RSA keys that take arithmetic out of its depth: a modulus that is even, one that is nothing, and one that
    /// would be reckoned with for hours.
    EvenModulus,
    NoModulus,
    HugeModulus,
    Debugs,
    /// Bytes that nobody encrypted.
    Unencrypted,
    WrongTag,
}

/// When the client wants to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    EvilBanners,
    Failures,
    EvilMethods,
    /// Four billion questions.
    Questions,
    Extensions,
    Successes,
    NoSuchMessages,
    EvilGoodbye,
}

/// When the client wants a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    EvilRefusal,
    /// A channel that takes packets of no byte.
    NoPacket,
    /// One that takes a byte at a time.
    TinyPackets,
    NoWindow,
    /// A window that is widened past what its number holds.
    WindowOverflows,
    AnotherChannel,
    GrantedTwice,
    /// Channels of the server's own, without end; the answers are not read.
    Channels,
    Globals,
    /// Channels of no kind: what refuses one is longer than what asks for it.
    Strange,
}

/// When a command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Running {
    PastTheWindow,
    StderrPastTheWindow,
    /// Output of no byte, without end.
    Nothing,
    AnotherChannel,
    AnotherStream,
    Requests,
    EvilSignal,
    Statuses,
    Ends,
    AfterTheEnd,
    Adjusts,
    Ignores,
    Rekeys,
    RekeysAndStops,
    EvilGoodbye,
}

/// When four commands run at once: everything that may lie about in a collector, of each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crowd {
    /// Chatter and complaints up to their limits, and then nothing.
    Fills,
    /// The same, and then packets of a stream that nobody knows, as large as they may be.
    FillsAndFloods,
    /// The same, and then half of such a packet.
    FillsAndHalts,
}

pub async fn perform(play: Play, peer: &mut Peer, key: &HostKey) -> io::Result<()> {
    match play {
        Play::Greeting(play) => {
            peer.greet().await?;
            greeting(play, peer).await
        }
        Play::Exchange(play) => exchange(play, peer, key).await,
        Play::Login(play) => {
            peer.up_to_login(key).await?;
            login(play, peer).await
        }
        Play::Opening(play) => {
            peer.let_in(key).await?;
            loop {
                opening(play, peer).await?;
            }
        }
        Play::Running(play) => {
            peer.let_in(key).await?;
            loop {
                let channel = peer.their_command().await?.channel;
                running(play, peer, channel).await?;
            }
        }
        Play::Crowd(play) => {
            peer.let_in(key).await?;
            crowd(play, peer).await
        }
        Play::Output(output) => {
            peer.let_in(key).await?;
            outputs::perform(output, peer).await
        }
    }?;
    peer.listen().await
}

async fn greeting(play: Greeting, peer: &mut Peer) -> io::Result<()> {
    match play {
        Greeting::HugePacket => {
            peer.socket.write_all(&[0x7f, 0xff, 0xff, 0xff]).await?;
            loop {
                peer.socket.write_all(&[9; 16 << 10]).await?;
            }
        }
        Greeting::EmptyPackets => loop {
            peer.socket.write_all(&[0; 16 << 10]).await?;
        },
        Greeting::LongNames => {
            let names = [b'x'; 64 << 10];
            peer.send(&kexinit(&names)).await
        }
        Greeting::EvilNames => peer.send(&kexinit(EVIL_NAME)).await,
        Greeting::EvilGoodbye => peer.send(&goodbye()).await,
    }
}

fn goodbye() -> Vec<u8> {
    message(msg::DISCONNECT, &[&[0, 0, 0, 11], &string(evil()), &string("")])
}

async fn exchange(play: Exchange, peer: &mut Peer, key: &HostKey) -> io::Result<()> {
    peer.greet().await?;
    if matches!(play, Exchange::Unencrypted | Exchange::WrongTag) {
        peer.exchange_keys(key).await?;
        let mut packet = peer.packet(&message(msg::IGNORE, &[&string([0; 100])]));
        match play {
            Exchange::WrongTag => *packet.last_mut().expect("a tag") ^= 1,
            _ => packet = vec![0xa5; 64 << 10],
        }
        return peer.socket.write_all(&packet).await;
    }
    let modulus = match play {
        Exchange::EvenModulus => Some([&[0, 0x80][..], &[0x42; 255]].concat()),
        Exchange::NoModulus => Some(Vec::new()),
        Exchange::HugeModulus => Some([&[0][..], &[0xff; 30_000]].concat()),
        _ => None,
    };
    if let Some(modulus) = modulus {
        peer.send(&kexinit_with(EXCHANGES, b"rsa-sha2-256")).await?;
        peer.their_init().await?;
        let exponent = match play {
            Exchange::HugeModulus => [0x7f; 30_000].to_vec(),
            _ => vec![1, 0, 1],
        };
        let signature = [string("rsa-sha2-256"), string(vec![1; modulus.len().max(256)])].concat();
        let key = [string("ssh-rsa"), string(exponent), string(modulus)].concat();
        let parts: [&[u8]; 3] = [&string(key), &string([9; 32]), &string(signature)];
        return peer.send(&message(msg::ECDH_REPLY, &parts)).await;
    }
    peer.send(&kexinit(EXCHANGES)).await?;
    peer.their_init().await?;
    match play {
        Exchange::ReplyOverflows => peer.send(&message(msg::ECDH_REPLY, &[&[0xff; 64]])).await,
        Exchange::ZeroPoint => {
            let signature = [string("ssh-ed25519"), string([1; 64])].concat();
            let key = [string("ssh-ed25519"), string([2; 32])].concat();
            let parts: [&[u8]; 3] = [&string(key), &string([0; 32]), &string(signature)];
            peer.send(&message(msg::ECDH_REPLY, &parts)).await
        }
        Exchange::KeysAtOnce => peer.send(&[msg::NEWKEYS]).await,
        _ => peer.flood(&message(msg::DEBUG, &[&[1], &string([b'x'; 1024]), &string("")])).await,
    }
}

async fn login(play: Login, peer: &mut Peer) -> io::Result<()> {
    let failure = |methods: &[u8]| message(msg::USERAUTH_FAILURE, &[&string(methods), &[0]]);
    match play {
        Login::EvilBanners => {
            let banner = evil().repeat(10);
            peer.flood(&message(msg::USERAUTH_BANNER, &[&string(banner), &string("")])).await
        }
        Login::Failures => peer.flood(&failure(b"publickey")).await,
        Login::EvilMethods => peer.send(&failure(EVIL_NAME)).await,
        Login::Questions => {
            let none = string("");
            let parts: [&[u8]; 5] = [&none, &none, &none, &[0xff; 4], &[0; 64]];
            peer.send(&message(msg::USERAUTH_INFO_REQUEST, &parts)).await
        }
        Login::Extensions => {
            peer.send(&message(msg::EXT_INFO, &[&[0xff; 4], &string("a"), &string("b")])).await
        }
        Login::Successes => peer.flood(&[msg::USERAUTH_SUCCESS]).await,
        Login::NoSuchMessages => peer.flood(&message(199, &[EVIL])).await,
        Login::EvilGoodbye => peer.send(&goodbye()).await,
    }
}

async fn opening(play: Opening, peer: &mut Peer) -> io::Result<()> {
    let channel = peer.their_channel().await?;
    match play {
        Opening::EvilRefusal => {
            let parts: [&[u8]; 3] = [&[0, 0, 0, 1], &string(evil()), &string("")];
            peer.say(msg::OPEN_FAILURE, channel, &parts).await
        }
        Opening::NoPacket => peer.grant(channel, 1 << 20, 0).await,
        Opening::TinyPackets => peer.grant(channel, 1 << 20, 1).await,
        Opening::NoWindow => peer.grant(channel, 0, 0).await,
        Opening::WindowOverflows => {
            peer.grant(channel, u32::MAX, u32::MAX).await?;
            for _ in 0..1_000 {
                peer.say(msg::WINDOW_ADJUST, channel, &[&[0xff; 4]]).await?;
            }
            Ok(())
        }
        Opening::AnotherChannel => peer.grant(channel + 77, 1 << 20, 32 << 10).await,
        Opening::GrantedTwice => {
            peer.grant(channel, 1 << 20, 32 << 10).await?;
            peer.grant(channel, 1 << 20, 32 << 10).await
        }
        Opening::Channels => {
            let kinds = ["session", "x11", "forwarded-tcpip", "auth-agent@openssh.com", "\x1b[31m"];
            for number in 0_u32.. {
                let kind = kinds[number as usize % kinds.len()];
                let origin = [string("a"), vec![0, 0, 0, 1]].concat();
                let tail = match kind {
                    "x11" => origin,
                    "forwarded-tcpip" => origin.repeat(2),
                    _ => Vec::new(),
                };
                let (number, window) = (number.to_be_bytes(), [0xff; 4]);
                let parts: [&[u8]; 5] = [&string(kind), &number, &window, &window, &tail];
                peer.send(&message(msg::CHANNEL_OPEN, &parts)).await?;
            }
            Ok(())
        }
        Opening::Strange => {
            let (number, window) = ([0; 4], [0xff; 4]);
            peer.flood(&message(msg::CHANNEL_OPEN, &[&string("x"), &number, &window, &window])).await
        }
        Opening::Globals => peer.flood(&message(msg::GLOBAL_REQUEST, &[&string(evil()), &[1]])).await,
    }
}

async fn running(play: Running, peer: &mut Peer, channel: u32) -> io::Result<()> {
    let number = channel.to_be_bytes();
    let about = |kind: u8, rest: &[u8]| message(kind, &[&number, rest]);
    let data = string([b'x'; 16 << 10]);
    let stream = |number: u32| about(msg::EXTENDED_DATA, &[&number.to_be_bytes(), &data[..]].concat());
    let request = |name: &str, rest: &[u8]| about(msg::CHANNEL_REQUEST, &[&string(name), rest].concat());
    match play {
        Running::PastTheWindow => peer.flood(&about(msg::DATA, &data)).await,
        Running::StderrPastTheWindow => peer.flood(&stream(1)).await,
        Running::Nothing => peer.flood(&about(msg::DATA, &string(""))).await,
        Running::AnotherChannel => peer.flood(&message(msg::DATA, &[&[0xee; 4], &data])).await,
        Running::AnotherStream => peer.flood(&stream(7)).await,
        Running::Requests => peer.flood(&request(&evil(), &[1])).await,
        Running::EvilSignal => {
            let evil = string(evil());
            peer.send(&request("exit-signal", &[&[0], &evil[..], &[1], &evil, &evil].concat())).await?;
            peer.say(msg::CLOSE, channel, &[]).await
        }
        Running::Statuses => peer.flood(&request("exit-status", &[0, 0, 0, 0, 9])).await,
        Running::Ends => peer.flood(&about(msg::EOF, &[])).await,
        Running::AfterTheEnd => {
            peer.end(channel, 0).await?;
            peer.flood(&about(msg::DATA, &data)).await
        }
        Running::Adjusts => peer.flood(&about(msg::WINDOW_ADJUST, &[0xff; 4])).await,
        Running::Ignores => peer.flood(&message(msg::IGNORE, &[&data])).await,
        Running::Rekeys => peer.flood(&kexinit(EXCHANGES)).await,
        Running::RekeysAndStops => peer.send(&kexinit(EXCHANGES)).await,
        Running::EvilGoodbye => peer.send(&goodbye()).await,
    }
}

/// Commands that a visit runs side by side.
const SIDE_BY_SIDE: usize = 4;

async fn crowd(play: Crowd, peer: &mut Peer) -> io::Result<()> {
    let mut channels = Vec::new();
    while channels.len() < SIDE_BY_SIDE {
        let channel = peer.their_channel().await?;
        peer.grant(channel, 1 << 20, 32 << 10).await?;
        peer.say(msg::CHANNEL_SUCCESS, channel, &[]).await?;
        channels.push(channel);
    }
    for channel in &channels {
        peer.data(*channel, &[b'x'; 60 << 10]).await?;
        peer.say(msg::EXTENDED_DATA, *channel, &[&[0, 0, 0, 1], &string([b'x'; 32 << 10])]).await?;
    }
    let large = |channel: &u32| {
        message(msg::EXTENDED_DATA, &[&channel.to_be_bytes(), &[0, 0, 0, 7], &string(vec![b'x'; 250 << 10])])
    };
    match play {
        Crowd::Fills => Ok(()),
        Crowd::FillsAndHalts => {
            let packet = peer.packet(&large(&channels[0]));
            peer.socket.write_all(&packet[..packet.len() - 1]).await
        }
        Crowd::FillsAndFloods => loop {
            for channel in &channels {
                peer.send(&large(channel)).await?;
            }
        },
    }
}
