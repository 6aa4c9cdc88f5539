//! A name server of a test's own: it answers as a closure says.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::rdata::{A, Aaaa, Cname, Ptr};

/// What it does with a question.
#[derive(Clone, Debug)]
pub(crate) enum Say {
    Address(IpAddr),
    Alias(&'static str, IpAddr),
    Names(&'static [&'static str]),
    Nothing,
    Fail(Rcode),
    /// Says that the rest is to be had by TCP.
    Cut,
    Silence,
}

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// In the case in which it came.
    pub(crate) name: String,
    pub(crate) kind: Rtype,
    pub(crate) by_tcp: bool,
    pub(crate) from: SocketAddr,
}

impl Asked {
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

type Answers = dyn Fn(&Asked) -> Say + Send + Sync;

pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    ending: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl NameServer {
    pub(crate) fn new(answers: impl Fn(&Asked) -> Say + Send + Sync + 'static) -> Self {
        let (socket, listener) = both();
        let address = socket.local_addr().unwrap();
        let (asked, ending): (Arc<Mutex<Vec<Asked>>>, Arc<AtomicBool>) = Default::default();
        let answers: Arc<Answers> = Arc::new(answers);
        let datagrams = {
            let (asked, ending, answers) = (asked.clone(), ending.clone(), answers.clone());
            thread::spawn(move || {
                let mut bytes = [0; 2000];
                while !ending.load(Ordering::SeqCst) {
                    // Windows tells of answers that came too late for whoever asked.
                    let Ok((len, from)) = socket.recv_from(&mut bytes) else {
                        continue;
                    };
                    if let Some(answer) = answer(&bytes[..len], from, false, &asked, &*answers) {
                        let _ = socket.send_to(&answer, from);
                    }
                }
            })
        };
        let connections = {
            let (asked, ending) = (asked.clone(), ending.clone());
            thread::spawn(move || {
                while let Ok((mut stream, from)) = listener.accept() {
                    if ending.load(Ordering::SeqCst) {
                        break;
                    }
                    let mut length = [0; 2];
                    if stream.read_exact(&mut length).is_err() {
                        continue;
                    }
                    let mut bytes = vec![0; u16::from_be_bytes(length).into()];
                    if stream.read_exact(&mut bytes).is_err() {
                        continue;
                    }
                    if let Some(answer) = answer(&bytes, from, true, &asked, &*answers) {
                        let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
                        let _ = stream.write_all(&[&length, &answer[..]].concat());
                    }
                }
            })
        };
        Self {
            address,
            asked,
            ending,
            threads: vec![datagrams, connections],
        }
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        let waker = UdpSocket::bind("127.0.0.1:0").unwrap();
        let _ = waker.send_to(b"end", self.address);
        let _ = std::net::TcpStream::connect(self.address);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            if !thread::panicking() {
                ended.unwrap();
            }
        }
    }
}

/// A datagram socket and a listener with the same number.
fn both() -> (UdpSocket, TcpListener) {
    static TRIES: AtomicUsize = AtomicUsize::new(0);
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        match UdpSocket::bind(listener.local_addr().unwrap()) {
            Ok(socket) => return (socket, listener),
            Err(error) if TRIES.fetch_add(1, Ordering::SeqCst) > 100 => panic!("{error}"),
            Err(_) => {}
        }
    }
}

fn answer(
    bytes: &[u8],
    from: SocketAddr,
    by_tcp: bool,
    seen: &Mutex<Vec<Asked>>,
    answers: &Answers,
) -> Option<Vec<u8>> {
    let query = Message::from_slice(bytes).ok()?;
    let question = query.sole_question().ok()?;
    let asked = Asked {
        name: question.qname().to_string(),
        kind: question.qtype(),
        by_tcp,
        from,
    };
    seen.lock().unwrap().push(asked.clone());
    let say = answers(&asked);
    let code = match &say {
        Say::Silence => return None,
        Say::Fail(code) => *code,
        _ => Rcode::NOERROR,
    };
    let mut builder = MessageBuilder::new_vec().start_answer(query, code).unwrap();
    builder.header_mut().set_tc(matches!(say, Say::Cut));
    let name = question.qname();
    let fits = |address: &IpAddr| match asked.kind {
        Rtype::A => address.is_ipv4(),
        Rtype::AAAA => address.is_ipv6(),
        _ => false,
    };
    let to_name = |text: &str| Name::vec_from_str(text).unwrap();
    match say {
        Say::Address(address) if fits(&address) => match address {
            IpAddr::V4(address) => builder.push((name, 60, A::new(address))).unwrap(),
            IpAddr::V6(address) => builder.push((name, 60, Aaaa::new(address))).unwrap(),
        },
        Say::Alias(to, address) if fits(&address) => {
            builder.push((name, 60, Cname::new(to_name(to)))).unwrap();
            match address {
                IpAddr::V4(address) => builder.push((to_name(to), 60, A::new(address))).unwrap(),
                IpAddr::V6(address) => builder.push((to_name(to), 60, Aaaa::new(address))).unwrap(),
            }
        }
        Say::Names(names) if asked.kind == Rtype::PTR => {
            for it in names {
                builder.push((name, 60, Ptr::new(to_name(it)))).unwrap();
            }
        }
        _ => {}
    }
    Some(builder.finish())
}
