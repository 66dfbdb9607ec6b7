//! An SSH server of which every byte is a test's own: what a library's server cannot be made to send. It
//! knows one key exchange (curve25519-sha256), one host key (ed25519), one cipher (aes256-gcm), lets
//! everybody in, and keeps to the protocol as long as its test does.

use std::io;

use data_encoding::BASE64;
use dropsonde::wire::served::{Payload, Refused};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const VERSION: &[u8] = b"SSH-2.0-peer";

pub mod msg {
    pub const DISCONNECT: u8 = 1;
    pub const IGNORE: u8 = 2;
    pub const DEBUG: u8 = 4;
    pub const SERVICE_ACCEPT: u8 = 6;
    pub const EXT_INFO: u8 = 7;
    pub const KEXINIT: u8 = 20;
    pub const NEWKEYS: u8 = 21;
    pub const ECDH_INIT: u8 = 30;
    pub const ECDH_REPLY: u8 = 31;
    pub const USERAUTH_REQUEST: u8 = 50;
    pub const USERAUTH_FAILURE: u8 = 51;
    pub const USERAUTH_SUCCESS: u8 = 52;
    pub const USERAUTH_BANNER: u8 = 53;
    pub const USERAUTH_INFO_REQUEST: u8 = 60;
    pub const GLOBAL_REQUEST: u8 = 80;
    pub const CHANNEL_OPEN: u8 = 90;
    pub const OPEN_CONFIRMATION: u8 = 91;
    pub const OPEN_FAILURE: u8 = 92;
    pub const WINDOW_ADJUST: u8 = 93;
    pub const DATA: u8 = 94;
    pub const EXTENDED_DATA: u8 = 95;
    pub const EOF: u8 = 96;
    pub const CLOSE: u8 = 97;
    pub const CHANNEL_REQUEST: u8 = 98;
    pub const CHANNEL_SUCCESS: u8 = 99;
}

/// A host key, known to whoever is to believe it.
pub struct HostKey(Ed25519KeyPair);

impl HostKey {
    pub fn new() -> Self {
        let mut seed = [0; 32];
        SystemRandom::new().fill(&mut seed).expect("randomness");
        Self(Ed25519KeyPair::from_seed_unchecked(&seed).expect("a key"))
    }

    fn blob(&self) -> Vec<u8> {
        [string(b"ssh-ed25519"), string(self.0.public_key().as_ref())].concat()
    }

    /// For known_hosts.
    pub fn line(&self, port: u16) -> String {
        format!("[127.0.0.1]:{port} ssh-ed25519 {}\n", BASE64.encode(&self.blob()))
    }
}

/// Length and bytes.
pub fn string(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [&u32::try_from(bytes.len()).expect("short").to_be_bytes(), bytes].concat()
}

/// A message out of its parts.
pub fn message(number: u8, parts: &[&[u8]]) -> Vec<u8> {
    [&[number], parts.concat().as_slice()].concat()
}

/// An offer with that list of key exchanges.
pub fn kexinit(exchanges: &[u8]) -> Vec<u8> {
    kexinit_with(exchanges, b"ssh-ed25519")
}

/// The same, and with those types of host keys.
pub fn kexinit_with(exchanges: &[u8], host_keys: &[u8]) -> Vec<u8> {
    let (cipher, mac) = (b"aes256-gcm@openssh.com".as_slice(), b"hmac-sha2-256-etm@openssh.com".as_slice());
    let lists =
        [exchanges, host_keys, cipher, cipher, mac, mac, b"none", b"none", b"", b""].map(string).concat();
    message(msg::KEXINIT, &[&[7; 16], &lists, &[0; 5]])
}

pub const EXCHANGES: &[u8] = b"curve25519-sha256,kex-strict-s-v00@openssh.com";

/// One direction's key and its count.
struct Cipher {
    key: LessSafeKey,
    nonce: [u8; 12],
}

impl Cipher {
    fn new(key: &[u8], nonce: &[u8]) -> Self {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("32 bytes"));
        Self { key, nonce: nonce.try_into().expect("12 bytes") }
    }

    fn next_nonce(&mut self) -> Nonce {
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        let count = u64::from_be_bytes(self.nonce[4..].try_into().expect("8 bytes")).wrapping_add(1);
        self.nonce[4..].copy_from_slice(&count.to_be_bytes());
        nonce
    }
}

/// One connection.
pub struct Peer {
    pub socket: TcpStream,
    sealing: Option<Cipher>,
    opening: Option<Cipher>,
    client_version: Vec<u8>,
}

/// A command that was asked for.
pub struct Command {
    /// The client's number of the channel.
    pub channel: u32,
    pub payload: Payload,
}

impl Peer {
    pub fn new(socket: TcpStream) -> Self {
        Self { socket, sealing: None, opening: None, client_version: Vec::new() }
    }

    /// The versions of both sides.
    pub async fn greet(&mut self) -> io::Result<()> {
        self.socket.write_all(&[VERSION, b"\r\n"].concat()).await?;
        loop {
            match self.socket.read_u8().await? {
                b'\n' => return Ok(()),
                b'\r' => {}
                byte => self.client_version.push(byte),
            }
        }
    }

    /// A whole key exchange; everything after it is encrypted.
    pub async fn exchange_keys(&mut self, key: &HostKey) -> io::Result<()> {
        let offer = kexinit(EXCHANGES);
        self.send(&offer).await?;
        let (theirs, init) = self.their_init().await?;
        let (reply, keys) = self.answer_init(key, (&theirs, &offer), &init);
        self.send(&reply).await?;
        self.send(&[msg::NEWKEYS]).await?;
        let (sealing, opening) = keys;
        self.sealing = Some(sealing);
        while self.receive().await? != [msg::NEWKEYS] {}
        self.opening = Some(opening);
        Ok(())
    }

    /// The client's offer, and its half of the exchange.
    pub async fn their_init(&mut self) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let theirs = self.receive().await?;
        let init = self.receive_kind(msg::ECDH_INIT).await?;
        Ok((theirs, init[5..].to_vec()))
    }

    fn answer_init(
        &self,
        key: &HostKey,
        (theirs, ours): (&[u8], &[u8]),
        init: &[u8],
    ) -> (Vec<u8>, (Cipher, Cipher)) {
        let random = SystemRandom::new();
        let private = EphemeralPrivateKey::generate(&X25519, &random).expect("a key");
        let public = private.compute_public_key().expect("its public half");
        let shared = agree_ephemeral(private, &UnparsedPublicKey::new(&X25519, init), mpint);
        let shared = shared.expect("a shared secret");
        let hashed = [
            string(&self.client_version),
            string(VERSION),
            string(theirs),
            string(ours),
            string(key.blob()),
            string(init),
            string(public.as_ref()),
            shared.clone(),
        ];
        let hash = digest(&SHA256, &hashed.concat());
        let signature = [string(b"ssh-ed25519"), string(key.0.sign(hash.as_ref()))].concat();
        let reply =
            message(msg::ECDH_REPLY, &[&string(key.blob()), &string(public.as_ref()), &string(signature)]);
        let derive = |letter: u8| {
            let text = [&shared, hash.as_ref(), &[letter], hash.as_ref()].concat();
            digest(&SHA256, &text).as_ref().to_vec()
        };
        let sealing = Cipher::new(&derive(b'D'), &derive(b'B')[..12]);
        let opening = Cipher::new(&derive(b'C'), &derive(b'A')[..12]);
        (reply, (sealing, opening))
    }

    /// Greets, exchanges keys, and has the client ask for somebody's login.
    pub async fn up_to_login(&mut self, key: &HostKey) -> io::Result<()> {
        self.greet().await?;
        self.exchange_keys(key).await?;
        self.receive_kind(5).await?;
        self.send(&message(msg::SERVICE_ACCEPT, &[&string(b"ssh-userauth")])).await?;
        self.receive_kind(msg::USERAUTH_REQUEST).await?;
        Ok(())
    }

    /// The same, and lets it in.
    pub async fn let_in(&mut self, key: &HostKey) -> io::Result<()> {
        self.up_to_login(key).await?;
        self.send(&[msg::USERAUTH_SUCCESS]).await
    }

    /// Waits for the client to ask for a channel: its number of it.
    pub async fn their_channel(&mut self) -> io::Result<u32> {
        let open = self.receive_kind(msg::CHANNEL_OPEN).await?;
        Ok(number_at(&open, 5 + b"session".len()))
    }

    /// Grants it, under the same number.
    pub async fn grant(&mut self, channel: u32, window: u32, packet: u32) -> io::Result<()> {
        let [channel, window, packet] = [channel, window, packet].map(u32::to_be_bytes);
        self.send(&message(msg::OPEN_CONFIRMATION, &[&channel, &channel, &window, &packet])).await
    }

    /// Grants a channel, agrees to run the command, and reads what is to be run.
    pub async fn their_command(&mut self) -> io::Result<Command> {
        let channel = self.their_channel().await?;
        self.grant(channel, 1 << 20, 32 << 10).await?;
        let mut stdin = Vec::new();
        loop {
            let packet = self.receive().await?;
            match packet[0] {
                msg::CHANNEL_REQUEST => self.say(msg::CHANNEL_SUCCESS, channel, &[]).await?,
                msg::DATA => stdin.extend_from_slice(&packet[9..]),
                _ => {}
            }
            match Payload::read(&stdin) {
                Ok(payload) => return Ok(Command { channel, payload }),
                Err(Refused::Partial) => {}
                Err(refused) => return Err(io::Error::other(refused)),
            }
        }
    }

    /// A message about a channel.
    pub async fn say(&mut self, number: u8, channel: u32, parts: &[&[u8]]) -> io::Result<()> {
        let channel = channel.to_be_bytes();
        let parts: Vec<&[u8]> = [&[&channel[..]], parts].concat();
        self.send(&message(number, &parts)).await
    }

    /// Output, in pieces, with no regard to the client's window.
    pub async fn data(&mut self, channel: u32, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(32 << 10) {
            self.say(msg::DATA, channel, &[&string(piece)]).await?;
        }
        Ok(())
    }

    /// Output with regard to it, as an honest server has; what the client says beside it is passed over.
    pub async fn data_within(&mut self, channel: u32, bytes: &[u8], window: &mut usize) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            while *window == 0 {
                let packet = self.receive_kind(msg::WINDOW_ADJUST).await?;
                *window += number_at(&packet, 5) as usize;
            }
            let (piece, more) = rest.split_at(rest.len().min(*window).min(32 << 10));
            self.data(channel, piece).await?;
            (*window, rest) = (*window - piece.len(), more);
        }
        Ok(())
    }

    /// An exit status and the end of the channel.
    pub async fn end(&mut self, channel: u32, status: u32) -> io::Result<()> {
        let status = status.to_be_bytes();
        self.say(msg::CHANNEL_REQUEST, channel, &[&string(b"exit-status"), &[0], &status]).await?;
        self.say(msg::EOF, channel, &[]).await?;
        self.say(msg::CLOSE, channel, &[]).await
    }

    /// Says the same for as long as somebody takes it, and listens to nothing.
    pub async fn flood(&mut self, payload: &[u8]) -> io::Result<()> {
        loop {
            // Many in one write: a flood of small ones would else be no more than a trickle.
            let count = (64 << 10) / (payload.len() + 64) + 1;
            let packets: Vec<u8> = (0..count).flat_map(|_| self.packet(payload)).collect();
            self.socket.write_all(&packets).await?;
        }
    }

    /// Reads and forgets until the client has gone.
    pub async fn listen(&mut self) -> io::Result<()> {
        let mut bytes = [0; 4096];
        while self.socket.read(&mut bytes).await? > 0 {}
        Ok(())
    }

    pub async fn send(&mut self, payload: &[u8]) -> io::Result<()> {
        let packet = self.packet(payload);
        self.socket.write_all(&packet).await
    }

    /// The bytes that a message is sent as.
    pub fn packet(&mut self, payload: &[u8]) -> Vec<u8> {
        // The length itself counts only where it is encrypted with the rest.
        let (block, outside) = if self.sealing.is_some() { (16, 0) } else { (8, 4) };
        let padding = 4 + (block - (outside + 1 + payload.len() + 4) % block) % block;
        let length = u32::try_from(1 + payload.len() + padding).expect("a packet").to_be_bytes();
        let mut body = [&[u8::try_from(padding).expect("little")], payload, &[0; 20][..padding]].concat();
        if let Some(sealing) = &mut self.sealing {
            let nonce = sealing.next_nonce();
            sealing.key.seal_in_place_append_tag(nonce, Aad::from(length), &mut body).expect("sealed");
        }
        [&length[..], &body].concat()
    }

    pub async fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.socket.read_exact(&mut length).await?;
        let tag = if self.opening.is_some() { 16 } else { 0 };
        let mut body = vec![0; u32::from_be_bytes(length) as usize + tag];
        self.socket.read_exact(&mut body).await?;
        if let Some(opening) = &mut self.opening {
            let nonce = opening.next_nonce();
            let opened = opening.key.open_in_place(nonce, Aad::from(length), &mut body);
            opened.map_err(|_| io::Error::other("a packet that is not the client's"))?;
            body.truncate(body.len() - tag);
        }
        let padding = usize::from(body[0]);
        Ok(body[1..body.len() - padding].to_vec())
    }

    /// The next message of that kind; others are passed over.
    pub async fn receive_kind(&mut self, number: u8) -> io::Result<Vec<u8>> {
        loop {
            let packet = self.receive().await?;
            if packet.first() == Some(&number) {
                return Ok(packet);
            }
        }
    }
}

fn number_at(packet: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(packet[at..at + 4].try_into().expect("four bytes"))
}

/// A positive number as SSH writes it.
fn mpint(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let digits = &bytes[start..];
    let sign: &[u8] = if digits.first().is_some_and(|byte| *byte >= 0x80) { &[0] } else { &[] };
    string([sign, digits].concat())
}
