//! A server of lists: what it answers can be changed while it runs.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// What is answered: a status, a content type and a body.
type Answer = (&'static str, &'static str, String);

pub struct Served {
    address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    asked: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    pub fn start(body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(Mutex::new(("200 OK", "application/json", body.to_owned())));
        let (asked, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let shared = (Arc::clone(&answer), Arc::clone(&asked), Arc::clone(&over));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.2.load(Ordering::SeqCst) {
                    return;
                }
                let answer = shared.0.lock().unwrap().clone();
                // A client that went away is no fault of ours.
                let _ = stream.and_then(|stream| exchange(stream, &answer));
                shared.1.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { address, answer, asked, over, thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("http://{}/targets?key=s3cret", self.address)
    }

    pub fn says(&self, body: &str) {
        self.answers(("200 OK", "application/json", body.to_owned()));
    }

    pub fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn exchange(mut stream: TcpStream, (status, kind, body): &Answer) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let len = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}"
    )
}

impl Drop for Served {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // It waits for somebody to ask.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}
