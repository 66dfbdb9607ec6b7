//! Configurations out of a seed: everything that may stand in one, in any order.

/// Numbers that look random and are the same for a seed wherever the test runs (SplitMix64).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

pub const HOSTS: [&str; 8] =
    ["web1", "web2.eu", "db1", "DB2.EU", "10.0.0.5", "bastion", "web1.example.com", "::1"];

const PATTERNS: [&str; 14] = [
    "*",
    "web*",
    "web?",
    "*.eu",
    "db1",
    "!web1",
    "!*.eu",
    "10.0.0.*",
    "bastion",
    "*.example.com",
    "DB*",
    "web1",
    "!bastion",
    "w*1*",
];

const USERS: [&str; 4] = ["ann", "bob", "deploy-2", "svc_x"];

/// Directives with values, the valid ones. `DIR` is the folder of the files.
const DIRECTIVES: [&str; 76] = [
    "HostName %h.internal",
    "HostName 192.0.2.7",
    "HostName FULL.Example.Com",
    "HostName ::0001",
    "HostName a%%b",
    "Port 2222",
    "Port 65535",
    "User ann",
    "User \"bob\"",
    "User svc_x",
    "IdentityFile ~/.ssh/id_%h",
    "IdentityFile /keys/%r@%n",
    "IdentityFile none",
    "IdentityFile \"/keys/with blank\"",
    "IdentityFile /keys/${PATH}",
    "CertificateFile ~/.ssh/id-cert.pub",
    "CertificateFile /keys/%u-cert.pub",
    "IdentitiesOnly yes",
    "IdentitiesOnly no",
    "IdentityAgent none",
    "IdentityAgent SSH_AUTH_SOCK",
    "IdentityAgent ~/.agent/%u.sock",
    "IdentityAgent /run/agent-%n",
    "ProxyJump bastion",
    "ProxyJump ann@bastion:2200,gate.eu",
    "ProxyJump gate,bob@10.1.1.1:22",
    "ProxyJump [fd00::1]:2222",
    "ProxyJump ssh://ann@bastion:2022",
    "ProxyJump none",
    "ProxyCommand nc %h %p",
    "ProxyCommand ssh -W [%h]:%p \"the gate\" # no comment",
    "ProxyCommand none",
    "UserKnownHostsFile /k/known",
    "UserKnownHostsFile ~/.ssh/known_%k ~/.ssh/other_%p",
    "UserKnownHostsFile none",
    "UserKnownHostsFile /k/%n /k/%L-%l-%d-%i",
    "GlobalKnownHostsFile /etc/ssh/known /etc/ssh/more",
    "GlobalKnownHostsFile none",
    "HostKeyAlias Alias-One",
    "HostKeyAlias two",
    "StrictHostKeyChecking yes",
    "StrictHostKeyChecking accept-new",
    "StrictHostKeyChecking OFF",
    "CheckHostIP yes",
    "VerifyHostKeyDNS ask",
    "NoHostAuthenticationForLocalhost yes",
    "KexAlgorithms curve25519-sha256,ecdh-sha2-nistp256",
    "KexAlgorithms -diffie*",
    "KexAlgorithms ^ecdh-sha2-nistp521",
    "Ciphers +aes256-cbc",
    "Ciphers aes256-gcm@openssh.com",
    "Ciphers -*ctr",
    "MACs hmac-sha2-256-etm@openssh.com,hmac-sha2-512",
    "MACs ^hmac-sha2-512",
    "HostKeyAlgorithms ssh-ed25519,rsa-sha2-512",
    "HostKeyAlgorithms +ssh-rsa",
    "PubkeyAcceptedAlgorithms -ecdsa*",
    "PubkeyAcceptedKeyTypes +ssh-rsa",
    "CASignatureAlgorithms ssh-ed25519",
    "AddressFamily inet",
    "AddressFamily inet6",
    "BindAddress 127.0.0.1",
    "BindInterface lo",
    "ConnectTimeout 10",
    "ConnectTimeout 1m30s",
    "ConnectTimeout none",
    "ConnectionAttempts 3",
    "ServerAliveInterval 1m",
    "ServerAliveCountMax 5",
    "KnownHostsCommand /bin/keys %H",
    "RequiredRSASize 3072",
    "PreferredAuthentications publickey,password",
    "PubkeyAuthentication no",
    "ForwardAgent yes",
    "SendEnv LANG LC_*",
    "Compression yes",
];

/// The texts of a configuration: the first is where ssh starts, the others are included.
pub fn configuration(seed: u64) -> Vec<String> {
    let mut dice = Dice::new(seed);
    let included = dice.below(3);
    let mut texts = vec![text(&mut dice, 3 + seed as usize % 5, included)];
    for deeper in (0..included).rev() {
        let blocks = 1 + dice.below(3);
        texts.push(text(&mut dice, blocks, deeper));
    }
    texts
}

fn text(dice: &mut Dice, blocks: usize, included: usize) -> String {
    let mut text = String::new();
    for block in 0..blocks {
        if block > 0 || dice.chance(60) {
            text.push_str(&header(dice));
            text.push('\n');
        }
        for _ in 0..dice.below(5) {
            line(dice, &mut text);
        }
        if included > 0 && dice.chance(35) {
            // The files are numbered in the order in which they were written.
            text.push_str(dice.one(&[
                "Include DIR/part*",
                "include \"DIR/part0\" DIR/none",
                "Include DIR/part[0-9]",
            ]));
            text.push('\n');
        }
    }
    text
}

fn line(dice: &mut Dice, text: &mut String) {
    let written = dice.one(&DIRECTIVES);
    let (keyword, value) = written.split_once(' ').unwrap();
    let keyword = match dice.below(4) {
        0 => keyword.to_lowercase(),
        1 => keyword.to_uppercase(),
        _ => keyword.to_owned(),
    };
    let between = dice.one(&[" ", "=", " = ", "\t", "  "]);
    let before = dice.one(&["", "    ", "\t"]);
    let after = dice.one(&["", "  ", "\t"]);
    text.push_str(&format!("{before}{keyword}{between}{value}{after}\n"));
    if dice.chance(10) {
        text.push_str(dice.one(&["\n", "# a comment\n", "   # Port 1\n"]));
    }
}

fn header(dice: &mut Dice) -> String {
    if dice.chance(60) {
        let patterns: Vec<&str> = (0..1 + dice.below(3)).map(|_| dice.one(&PATTERNS)).collect();
        return format!("Host {}", patterns.join(dice.one(&[" ", "  ", "\t"])));
    }
    if dice.chance(10) {
        return dice.one(&["Match all", "Match final all", "Match canonical all"]).to_owned();
    }
    let criteria: Vec<String> = (0..1 + dice.below(3)).map(|_| criterion(dice)).collect();
    format!("Match {}", criteria.join(" "))
}

fn criterion(dice: &mut Dice) -> String {
    let not = if dice.chance(25) { "!" } else { "" };
    match dice.below(7) {
        0 => format!("{not}host {},{}", dice.one(&PATTERNS), dice.one(&PATTERNS)),
        1 => format!("{not}originalhost {}", dice.one(&PATTERNS)),
        2 => format!("{not}user {}", dice.one(&USERS)),
        3 => format!("{not}localuser {}", dice.one(&["root", "*", "nobody,!root"])),
        4 => format!(
            "{not}exec \"{}\"",
            dice.one(&["true", "false", "test %h = web1", "test %p -gt 1000", "test %n%r = db1ann"])
        ),
        5 => "final".to_owned(),
        _ => format!("{not}host {}", dice.one(&PATTERNS)),
    }
}
