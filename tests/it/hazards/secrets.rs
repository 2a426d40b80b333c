//! H37: a canary in every place where a secret can live, every command, and no canary anywhere but in its own place.
//!
//! The cloud, the proxy and the mail server of this test are the worst of their sort: they answer every request with an
//! error that repeats what they were sent.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use crate::cli::Desk;

/// A word that occurs nowhere else, and as long as such a secret is.
fn canary(name: &str) -> String {
    match name {
        // As long as what STS gives.
        "session-token" => format!("canary-{name}-{}", "IQoJb3JpZ2luX2VjEJr".repeat(16)),
        "container-token" => format!("canary-{name}-{}", "eyJhbGciOiJIUzI1NiJ9".repeat(8)),
        _ => format!("canary-{name}-0123456789abcdef0123456789abcdef"),
    }
}

/// Every place, by the name of its canary.
const PLACES: [&str; 16] = [
    // Files that the settings name.
    "smtp-password",
    "slack-hook",
    "teams-hook",
    "hook-secret",
    "exposed-file",
    "two-lines",
    // The environment.
    "secret-key",
    "session-token",
    "container-token",
    "endpoint-password",
    "proxy-password",
    "other-variable",
    // AWS's own files.
    "profile-key",
    "process-output",
    // Where it should not stand.
    "settings-value",
    "webhook-path",
];

/// Settings that point at the secrets, an account, and a mail server on this machine.
fn desk(mail_port: u16) -> Desk {
    let desk = Desk::set_up();
    for (file, text) in [
        ("smtp-password", canary("smtp-password")),
        ("slack-hook", format!("https://hooks.slack.com/services/T0/B0/{}", canary("slack-hook"))),
        ("teams-hook", format!("https://example.webhook.office.com/webhookb2/{}", canary("teams-hook"))),
        ("hook-secret", canary("hook-secret")),
        ("exposed-file", canary("exposed-file")),
        ("two-lines", format!("{}\nmore\n", canary("two-lines"))),
    ] {
        desk.write(file, text);
        let mode = if file == "exposed-file" { 0o644 } else { 0o600 };
        fs::set_permissions(desk.path().join(file), fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut settings = desk.read("costwarden.toml");
    for (section, line) in [
        ("slack", "\"#finops\" = \"slack-hook\""),
        ("teams", "finops = \"teams-hook\""),
        ("webhooks", "secret_file = \"hook-secret\""),
    ] {
        let head = format!("\n[{section}]\n");
        assert!(settings.contains(&head), "{section}");
        settings = settings.replace(&head, &format!("{head}{line}\n"));
    }
    settings.push_str(&format!(
        "\n[mail]\nfrom = \"costwarden@example.com\"\nhost = \"127.0.0.1\"\nport = {mail_port}\ntls = \"none\"\nuser = \
         \"worker\"\npassword_file = \"smtp-password\"\n\n[[accounts]]\nid = \"111122223333\"\nregions = \
         [\"us-east-1\"]\n"
    ));
    desk.write("costwarden.toml", &settings);
    // The same settings with a secret in them, and with files that must not be taken.
    let inside = format!("[mail]\npassword = \"{}\"\n", canary("settings-value"));
    desk.write("inside.toml", settings.replace("[mail]\n", &inside));
    desk.write("exposed.toml", settings.replace("\"slack-hook\"", "\"exposed-file\""));
    desk.write("two.toml", settings.replace("\"smtp-password\"", "\"two-lines\""));
    desk.write(
        "lock.yaml",
        format!(
            "policies:\n  - id: lockout\n    name: Lockout\n    policy_type: security\n    enforcement_mode: enforce\n    \
             severity: low\n    violation_actions: [{{type: webhook, url: \"https://127.0.0.1/{}\"}}]\n    rules: [{{id: \
             many, condition: failed_logins >= 3}}]\n",
            canary("webhook-path")
        ),
    );
    desk.write("ask.yaml", "action: log in\nresource: console\nuser_id: ann\nfailed_logins: 3\n");
    desk.write(
        "w.yaml",
        "name: one\nstart: 2026-09-07\naccounts:\n  \"111122223333\":\n    regions: { us-east-1: {} }\n",
    );
    desk.write(
        "aws/credentials",
        format!("[default]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = {}\n", canary("profile-key")),
    );
    let broken =
        format!("[default]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key {}\n", canary("profile-key"));
    desk.write("aws/broken", broken);
    let process =
        format!("[default]\ncredential_process = /bin/echo {{\"SecretAccessKey\":\"{}\"\n", canary("process-output"));
    desk.write("aws/process", process);
    desk
}

/// Who the program is, by which environment.
fn environments(desk: &Desk, cloud: u16) -> Vec<(&'static str, Vec<(&'static str, String)>)> {
    let file = |name: &str| desk.path().join("aws").join(name).display().to_string();
    let common = [
        ("PATH", "/usr/bin:/bin".to_owned()),
        ("RUST_BACKTRACE", "full".to_owned()),
        ("RUST_LOG", "trace".to_owned()),
        ("DATABASE_URL", format!("postgres://u:{}@db", canary("other-variable"))),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{cloud}")),
    ];
    let with = |more: &[(&'static str, String)]| [&common[..], more].concat();
    let keys = [
        ("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", canary("secret-key")),
        ("AWS_SESSION_TOKEN", canary("session-token")),
    ];
    let proxy = format!("http://worker:{}@127.0.0.1:{cloud}", canary("proxy-password"));
    let endpoint = format!("http://worker:{}@aws.invalid", canary("endpoint-password"));
    let none = ("AWS_CONFIG_FILE", "/dev/null".to_owned());
    let nobody = ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned());
    vec![
        ("keys in the environment", with(&[&keys[..], &[none.clone(), nobody.clone()]].concat())),
        (
            "a proxy and an endpoint with passwords",
            with(
                &[&keys[..], &[none.clone(), nobody.clone(), ("HTTP_PROXY", proxy), ("AWS_ENDPOINT_URL", endpoint)]]
                    .concat(),
            ),
        ),
        ("a profile", with(&[none.clone(), ("AWS_SHARED_CREDENTIALS_FILE", file("credentials"))])),
        ("a broken profile", with(&[none.clone(), ("AWS_SHARED_CREDENTIALS_FILE", file("broken"))])),
        ("a process that gives keys", with(&[("AWS_CONFIG_FILE", file("process")), nobody.clone()])),
        (
            "a container's token",
            with(&[
                none,
                nobody,
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("http://127.0.0.1:{cloud}/keys")),
                ("AWS_CONTAINER_AUTHORIZATION_TOKEN", canary("container-token")),
            ]),
        ),
    ]
}

/// Commands that ask the cloud or send, called under each environment.
const OUTSIDE: [&[&str]; 8] = [
    &["scan", "-vv", "--log-format", "json"],
    &["scan", "-o", "json"],
    &["run", "--dry-run"],
    &["run", "-vv", "--log-format", "text"],
    &["plan", "--out", "plan.json"],
    &["doctor"],
    &["doctor", "-vv", "-o", "json"],
    &["report", "daily", "--send", "--to", "ann@example.com", "-vv"],
];

/// Commands that only look at what is here, called once.
const INSIDE: [&[&str]; 27] = [
    &["config", "show"],
    &["config", "show", "-o", "json"],
    &["config", "check", "-o", "json"],
    &["config", "check", "--config", "inside.toml"],
    &["config", "show", "--config", "inside.toml"],
    &["run", "--config", "exposed.toml"],
    &["doctor", "--config", "exposed.toml"],
    &["report", "daily", "--send", "--to", "ann@example.com", "--config", "two.toml"],
    &["doctor", "--config", "two.toml"],
    &["report", "daily", "--out", "d.html", "--out", "d.txt", "--out", "d.json", "--out", "d.csv"],
    &["report", "weekly", "--out", "w.pdf"],
    &["report", "daily"],
    &["findings", "list", "-o", "json"],
    &["exception", "list"],
    &["approval", "list", "-o", "json"],
    &["actions", "list"],
    &["audit", "list", "-o", "json"],
    &["audit", "verify"],
    &["iam", "print", "reader"],
    &["iam", "print", "actor"],
    &["policy", "validate"],
    &["policy", "test"],
    &["schema", "config"],
    &["checks", "list"],
    &["simulate", "-o", "json"],
    &["evaluate", "--config", "costwarden.toml", "--policies", "lock.yaml", "ask.yaml", "--handle", "-vv"],
    &["freeze", "--reason", "x", "--by", "ann"],
];

#[test]
fn h37_none_of_sixteen_secrets_is_printed_or_kept_by_any_command() {
    let (cloud, cloud_asked) = echoing_cloud();
    let (mail, mail_asked) = echoing_mail();
    let desk = desk(mail);
    assert_eq!(desk.call(&["scan", "--world", "w.yaml", "--db", "costwarden-state"]).code, 0);
    let (mut called, mut printed) = (0, 0);
    let mut call = |args: &[&str], env: &[(&str, String)], who: &str| {
        let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let ended = desk.call_with(args, &env);
        called += 1;
        printed += ended.out.len() + ended.err.len();
        for (place, text) in [("stdout", &ended.out), ("stderr", &ended.err)] {
            if let Some(name) = found_in(text.as_bytes()) {
                panic!("{args:?} with {who} prints {name} on {place}: {text}");
            }
        }
    };
    for (who, env) in environments(&desk, cloud) {
        for args in OUTSIDE {
            call(args, &env, who);
        }
    }
    let here = environments(&desk, cloud).remove(0).1;
    for args in INSIDE {
        call(args, &here, "keys in the environment");
    }
    let mut looked = 0;
    for (path, content) in desk.files() {
        // Each canary's own place, and the message that has to carry the address it goes to.
        let own = ["smtp-password", "slack-hook", "teams-hook", "hook-secret", "exposed-file", "two-lines"];
        let own = own.iter().any(|file| path == Path::new(file)) || path.starts_with("aws");
        if own || path == Path::new("inside.toml") || path == Path::new("lock.yaml") {
            continue;
        }
        looked += 1;
        let carries = path.starts_with("costwarden-state");
        let found = PLACES.into_iter().find(|name| !(carries && *name == "webhook-path") && holds(&content, name));
        assert_eq!(found, None, "{} holds a secret", path.display());
    }
    let (cloud_asked, mail_asked) = (cloud_asked.load(SeqCst), mail_asked.load(SeqCst));
    eprintln!(
        "H37 canaries={} commands={called} printed={printed} files={looked} echoes={} found=0",
        PLACES.len(),
        cloud_asked + mail_asked
    );
    assert!(printed > 20_000 && looked > 10, "{printed} {looked}");
    assert!(mail_asked >= 1, "the mail server repeated a login");
    if cfg!(feature = "aws") {
        assert!(cloud_asked >= 20, "the cloud repeated what it was sent: {cloud_asked}");
    }
}

/// The first canary in a text.
fn found_in(text: &[u8]) -> Option<&'static str> {
    PLACES.into_iter().find(|name| holds(text, name))
}

/// Whether a text holds a canary: its word, or the forms in which a login carries it.
fn holds(text: &[u8], name: &str) -> bool {
    let secret = canary(name);
    let forms = [
        secret.as_bytes()[..24.min(secret.len())].to_vec(),
        base64(secret.as_bytes()),
        base64(format!("\0worker\0{secret}").as_bytes()),
        base64(format!("worker:{secret}").as_bytes()),
    ];
    forms.iter().any(|form| text.windows(form.len()).any(|part| part == &form[..]))
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    // What follows the last whole group of three is left out: it is enough to be found.
    let groups =
        bytes.chunks_exact(3).map(|group| u32::from(group[0]) << 16 | u32::from(group[1]) << 8 | u32::from(group[2]));
    groups.flat_map(|group| [18, 12, 6, 0].map(|shift| DIGITS[(group >> shift & 63) as usize])).collect()
}

/// An AWS that refuses every signature and repeats the whole request, as EC2 does with the canonical one.
fn echoing_cloud() -> (u16, Arc<AtomicUsize>) {
    serve(|mut stream| {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            head += &line;
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let told = format!(
            "The request signature we calculated does not match the signature you provided. Headers: {} The Canonical \
             String for this request should have been '{head}'",
            head.replace("\r\n", " ")
        );
        let told = told.replace('&', "&amp;").replace('<', "&lt;");
        let xml = format!(
            "<?xml version=\"1.0\"?><Response><Errors><Error><Code>SignatureDoesNotMatch</Code><Message>{told}</Message>\
             </Error></Errors><RequestID>r</RequestID></Response>"
        );
        write!(
            stream,
            "HTTP/1.1 403 Forbidden\r\nContent-Type: text/xml\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{xml}",
            xml.len()
        )
        .ok()
    })
}

/// A mail server that refuses every login and repeats it.
fn echoing_mail() -> (u16, Arc<AtomicUsize>) {
    serve(|mut stream| {
        let reader = BufReader::new(stream.try_clone().ok()?);
        stream.write_all(b"220 echo ESMTP\r\n").ok()?;
        let mut logins = None;
        for line in reader.lines() {
            let line = line.ok()?;
            let answer = match line.split(' ').next().unwrap_or("") {
                "EHLO" => "250-echo\r\n250 AUTH PLAIN LOGIN\r\n".to_owned(),
                "AUTH" => {
                    logins = Some(());
                    format!("535 5.7.8 not these: {line}\r\n")
                }
                "QUIT" => return logins,
                _ => format!("500 what is {line}\r\n"),
            };
            stream.write_all(answer.as_bytes()).ok()?;
        }
        logins
    })
}

/// Answers connections until the test ends; counts those that went through.
fn serve(answer: fn(TcpStream) -> Option<()>) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, count) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let counted = count.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let counted = counted.clone();
            std::thread::spawn(move || {
                if answer(stream).is_some() {
                    counted.fetch_add(1, SeqCst);
                }
            });
        }
    });
    (port, count)
}
