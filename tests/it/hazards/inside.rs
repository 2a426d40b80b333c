//! H35: some hundred ways to write an address inside this machine, a private network or a cloud's metadata service, and
//! no connection to any of them.

use std::net::{IpAddr, TcpListener};

use costwarden::clock::Clock;
use costwarden::deliver::webhook::Webhooks;
use costwarden::deliver::{Message, MessageKind, Outcome};

/// Addresses that lead inside: this machine, private and shared networks, link-local with the metadata services, IPv6's
/// own, and those that carry an IPv4 address inside.
const INSIDE: [&str; 26] = [
    "127.0.0.1",
    "127.0.0.53",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "10.255.255.255",
    "172.16.0.1",
    "172.31.255.254",
    "192.168.0.1",
    "192.168.255.254",
    "100.64.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "198.18.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fe80::1",
    "fc00::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
];

/// The ways to write one address as the host of a URL.
fn hosts(address: &str) -> Vec<String> {
    match address.parse().expect("an address") {
        IpAddr::V6(own) => {
            let full: Vec<String> = own.segments().iter().map(|part| format!("{part:04x}")).collect();
            vec![format!("[{own}]"), format!("[{}]", full.join(":")), format!("[{}]", full.join(":").to_uppercase())]
        }
        IpAddr::V4(own) => {
            let [a, b, c, d] = own.octets();
            let number = u32::from(own);
            vec![
                own.to_string(),
                format!("{own}."),
                number.to_string(),
                format!("{number:#x}"),
                format!("0{number:o}"),
                format!("{a:#x}.{b:#x}.{c:#x}.{d:#x}"),
                format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
                format!("{a}.{b}.{}", u32::from(c) << 8 | u32::from(d)),
                format!("{a}.{}", u32::from(b) << 16 | u32::from(c) << 8 | u32::from(d)),
                format!("%{:x}{}", own.to_string().as_bytes()[0], &own.to_string()[1..]),
                // Digits of other scripts are the same digits to a URL.
                own.to_string().replace('1', "１").replace('2', "②").replace('.', "。"),
            ]
        }
    }
}

async fn sent(webhooks: &Webhooks, address: &str) -> Outcome {
    let message = Message {
        dedup: "x".into(),
        kind: MessageKind::Alert,
        to: format!("webhook:{address}"),
        subject: "s".into(),
        text: "{}".into(),
        html: None,
        attachments: Vec::new(),
    };
    webhooks.send(&message, None, &Clock::System).await
}

#[tokio::test]
async fn h35_four_hundred_ways_inside_lead_to_no_connection() {
    let listeners: Vec<TcpListener> =
        ["127.0.0.1:0", "[::1]:0"].iter().filter_map(|address| TcpListener::bind(address).ok()).collect();
    let ports: Vec<u16> = listeners.iter().map(|own| own.local_addr().expect("a port").port()).collect();
    listeners.iter().for_each(|own| own.set_nonblocking(true).expect("it can be asked without waiting"));
    let port = ports[0];
    let mut urls = Vec::new();
    for host in INSIDE.iter().flat_map(|address| hosts(address)).chain(["localhost", "LOCALHOST"].map(str::to_owned)) {
        urls.push(format!("https://{host}:{port}/latest/meta-data"));
        urls.push(format!("HTTPS://{host}/x"));
    }
    for host in ["127.0.0.1", "[::1]", "169.254.169.254"] {
        // A URL takes the backslash for a slash: whichever side is the host, it lies inside.
        urls.push(format!("https:{host}\\@10.0.0.1:{port}/x"));
    }
    // Without https, or with a login, nothing is sent to anybody.
    for host in ["127.0.0.1", "[::1]", "169.254.169.254", "8.8.8.8", "hooks.example.com"] {
        for scheme in ["http", "ftp", "file", "gopher", "ws", "data", "javascript", "unix"] {
            urls.push(format!("{scheme}://{host}:{port}/x"));
        }
        urls.push(format!("https://u:p@{host}:{port}/x"));
        urls.push(format!("//{host}/x"));
    }
    // A host that the settings list may lie in a private network, and not on this machine or where credentials are.
    let listed = Webhooks::new(None, vec!["127.0.0.1".into(), "169.254.169.254".into(), "localhost".into()]).unwrap();
    let mut refused = 0;
    for (webhooks, url) in urls.iter().map(|url| (Webhooks::default(), url.as_str())).chain(
        ["https://127.0.0.1/x", "https://169.254.169.254/x", "https://localhost/x"].map(|url| {
            (Webhooks::new(None, vec!["127.0.0.1".into(), "169.254.169.254".into(), "localhost".into()]).unwrap(), url)
        }),
    ) {
        match sent(&webhooks, url).await {
            Outcome::Never(reason) | Outcome::TryLater { reason, .. } => {
                // Whoever tried to post says so, and whoever was answered.
                let tried = reason.contains("posting") || reason.contains("answered");
                assert!(!tried && !reason.is_empty(), "{url}: {reason}");
            }
            Outcome::Accepted => panic!("{url} was accepted"),
        }
        refused += 1;
    }
    let here = sent(&listed, &format!("https://localhost:{port}/x")).await;
    assert_ne!(here, Outcome::Accepted);
    let connections = listeners.iter().filter(|own| own.accept().is_ok()).count();
    eprintln!("H35 cases={refused} connections={connections}");
    assert_eq!(connections, 0);
    assert!(refused >= 300, "{refused}");
}
