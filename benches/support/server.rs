//! The loopback server: EC2's lists, CloudWatch's metrics and STS over plain HTTP with keep-alive.
//!
//! Runs in a process of its own, so that the measured process's CPU and memory are its own. Pages are rendered before
//! the first answer up to [`READY`] resources, and on the fly beyond. It writes its port on standard output and ends
//! when standard input does.

use std::io::Read;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::account::{Account, ID, List};
use super::metrics;
use super::table::tell;

/// Resources up to which pages are rendered beforehand.
const READY: usize = 250_000;

struct Service {
    account: Account,
    ready: Vec<(List, Vec<Arc<[u8]>>)>,
}

/// Serves until standard input ends.
pub fn run(account: Account) -> anyhow::Result<()> {
    let lists: &[List] = if account.resources() > READY { &[] } else { &[List::Instances, List::Volumes] };
    let render = |list: &List| {
        let pages = 0..account.pages_of(*list);
        (*list, pages.map(|page| Arc::from(account.page(*list, page).into_bytes())).collect())
    };
    let service = Arc::new(Service { account, ready: lists.iter().map(render).collect() });
    std::thread::spawn(|| {
        // Nothing is ever sent: this returns when the parent is gone.
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        tell(&listener.local_addr()?.port().to_string());
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(connection(stream, service.clone()));
        }
    })
}

/// Answers the requests of one connection, one after another.
async fn connection(mut stream: TcpStream, service: Arc<Service>) -> std::io::Result<()> {
    let mut seen = Vec::with_capacity(1 << 17);
    loop {
        let (path, body) = loop {
            if let Some((path, body)) = whole(&seen) {
                break (path, body);
            }
            if stream.read_buf(&mut seen).await? == 0 {
                return Ok(());
            }
        };
        let (status, kind, answer) = service.answer(&seen[path], &seen[body.clone()]);
        seen.drain(..body.end);
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nsmithy-protocol: rpc-v2-cbor\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&answer).await?;
    }
}

type Span = std::ops::Range<usize>;

/// Where the path and the body of the first request are, once it has arrived whole.
fn whole(seen: &[u8]) -> Option<(Span, Span)> {
    let end = seen.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&seen[..end]).ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let body = end..end + length.unwrap_or(0);
    let start = head.find(' ')? + 1;
    let path = start..start + head[start..].find(' ')?;
    (seen.len() >= body.end).then_some((path, body))
}

impl Service {
    fn answer(&self, path: &[u8], body: &[u8]) -> (&'static str, &'static str, Arc<[u8]>) {
        if path.starts_with(metrics::PATH.as_bytes()) {
            return match metrics::answer(body) {
                Some(answer) => ("200 OK", "application/cbor", answer.into()),
                None => refused("metrics request that cannot be read"),
            };
        }
        let body = String::from_utf8_lossy(body);
        let field = |name: &str| {
            body.split('&')
                .filter_map(|pair| pair.split_once('='))
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value)
        };
        let page = field("NextToken").and_then(|token| token.parse().ok()).unwrap_or(0);
        let list = match field("Action") {
            Some("DescribeInstances") => List::Instances,
            Some("DescribeVolumes") => List::Volumes,
            Some("DescribeSnapshots") => List::Snapshots,
            Some("DescribeAddresses") => List::Addresses,
            Some("DescribeImages") => List::Images,
            Some("GetCallerIdentity") => return ("200 OK", "text/xml", identity()),
            _ => return refused(&body),
        };
        let ready = self.ready.iter().find(|(ready, _)| *ready == list).and_then(|(_, pages)| pages.get(page));
        let answer = ready.cloned().unwrap_or_else(|| self.account.page(list, page).into_bytes().into());
        ("200 OK", "text/xml;charset=UTF-8", answer)
    }
}

fn refused(what: &str) -> (&'static str, &'static str, Arc<[u8]>) {
    ("400 Bad Request", "text/plain", Arc::from(format!("not served here: {what}").into_bytes()))
}

fn identity() -> Arc<[u8]> {
    let answer = format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>arn:aws:iam::{ID}:user/bench</Arn><UserId>AIDAEXAMPLE</UserId><Account>{ID}</Account>\
         </GetCallerIdentityResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>\
         </GetCallerIdentityResponse>"
    );
    Arc::from(answer.into_bytes())
}
