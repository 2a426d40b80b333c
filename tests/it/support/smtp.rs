//! A scripted SMTP server on loopback: takes mail, keeps it, and fails where the script says so.
//!
//! Real TCP and real SMTP replies, no library of the program under test. Each mail transaction takes the next step of
//! the script; after its end everything is accepted.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What happens to one mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Taken.
    Accept,
    /// The connection is closed before the greeting.
    HangUp,
    /// The recipient gets this reply.
    Recipient(u16, &'static str),
    /// The final dot gets this reply, and the mail is not kept.
    Data(u16, &'static str),
    /// The mail is kept, and the connection is reset before the reply to the final dot: the sender cannot know.
    KeepThenReset,
    /// STARTTLS is offered and agreed to, and then comes something that is no TLS.
    BrokenTls,
    /// A login is asked for, and refused with this reply.
    Login(u16, &'static str),
}

/// One mail as it came over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// `MAIL FROM`, without brackets.
    pub from: String,
    /// Every `RCPT TO`, without brackets.
    pub to: Vec<String>,
    /// What stood between DATA and the dot, dot-stuffing undone.
    pub data: String,
}

/// The server; it stops with its runtime.
#[derive(Clone)]
pub struct SmtpSink {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    script: VecDeque<Step>,
    standing: Option<Step>,
    received: Vec<Received>,
    sessions: usize,
    commands: Vec<String>,
}

impl SmtpSink {
    /// Listens on a free port of 127.0.0.1.
    pub async fn start(script: &[Step]) -> SmtpSink {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
        let address = listener.local_addr().expect("the port's number");
        let state = Arc::new(Mutex::new(State { script: script.iter().copied().collect(), ..State::default() }));
        let sink = SmtpSink { address, state: state.clone() };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, state.clone()));
            }
        });
        sink
    }

    /// Every mail from now on meets this step, until it is called with none; the script waits meanwhile.
    pub fn always(&self, step: Option<Step>) {
        self.state.lock().expect("no test panicked inside").standing = step;
    }

    /// Everything that was kept.
    pub fn received(&self) -> Vec<Received> {
        self.state.lock().expect("no test panicked inside").received.clone()
    }

    /// How many connections there were.
    pub fn sessions(&self) -> usize {
        self.state.lock().expect("no test panicked inside").sessions
    }

    /// Every command line, mail contents left out.
    pub fn commands(&self) -> Vec<String> {
        self.state.lock().expect("no test panicked inside").commands.clone()
    }
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) {
    let step = {
        let mut state = state.lock().expect("no test panicked inside");
        state.sessions += 1;
        state.standing.or_else(|| state.script.pop_front()).unwrap_or(Step::Accept)
    };
    if step == Step::HangUp {
        return;
    }
    // A session that the client breaks off is no failure of the sink.
    let _ = session(stream, step, &state).await;
}

async fn session(stream: TcpStream, step: Step, state: &Mutex<State>) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut mail = Received { from: String::new(), to: Vec::new(), data: String::new() };
    write.write_all(b"220 sink.example ESMTP\r\n").await?;
    while let Some(line) = lines.next_line().await? {
        state.lock().expect("no test panicked inside").commands.push(line.clone());
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let reply = match verb.as_str() {
            "EHLO" => {
                let more = match step {
                    Step::BrokenTls => "250-STARTTLS\r\n",
                    Step::Login(..) => "250-AUTH PLAIN LOGIN\r\n",
                    _ => "",
                };
                format!("250-sink.example\r\n{more}250-8BITMIME\r\n250 SMTPUTF8")
            }
            "STARTTLS" if step == Step::BrokenTls => {
                write.write_all(b"220 go ahead\r\n250 this is no handshake\r\n").await?;
                return Ok(());
            }
            "AUTH" if let Step::Login(code, words) = step => format!("{code} {words}"),
            "MAIL" => {
                mail.from = bracketed(&line);
                "250 ok".to_owned()
            }
            "RCPT" => match step {
                Step::Recipient(code, words) => format!("{code} {words}"),
                _ => {
                    mail.to.push(bracketed(&line));
                    "250 ok".to_owned()
                }
            },
            "DATA" => {
                write.write_all(b"354 go on\r\n").await?;
                while let Some(line) = lines.next_line().await? {
                    if line == "." {
                        break;
                    }
                    mail.data.push_str(line.strip_prefix('.').unwrap_or(&line));
                    mail.data.push_str("\r\n");
                }
                match step {
                    Step::Data(code, words) => format!("{code} {words}"),
                    _ => {
                        state.lock().expect("no test panicked inside").received.push(mail.clone());
                        if step == Step::KeepThenReset {
                            return Ok(());
                        }
                        "250 kept".to_owned()
                    }
                }
            }
            "QUIT" => {
                write.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            "RSET" | "NOOP" => "250 ok".to_owned(),
            _ => "502 not known here".to_owned(),
        };
        write.write_all(format!("{reply}\r\n").as_bytes()).await?;
    }
    Ok(())
}

fn bracketed(line: &str) -> String {
    line.split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map_or(String::new(), |(inside, _)| inside.to_owned())
}
