//! An upstream that does what a request's `x-do` says: `cost N`, `status N`, `hang`, `half` (of a response), `reset`, `gate N` (a cost, once
//! the gate is open). Otherwise it answers 200.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

pub struct Upstream {
    pub port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_open: bool,
    arrived: usize,
    /// Of requests that nobody was to answer.
    abandoned: usize,
}

impl Upstream {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&of_thread);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { port, shared }
    }

    /// Lets those pass that wait at the gate.
    pub fn open_gate(&self) {
        self.shared.state.lock().unwrap().is_open = true;
        self.shared.changed.notify_all();
    }

    /// How many requests have come, and how many were given up while nobody answered them.
    pub fn seen(&self) -> (usize, usize) {
        let state = self.shared.state.lock().unwrap();
        (state.arrived, state.abandoned)
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let fields = head(&mut reader)?;
        shared.state.lock().unwrap().arrived += 1;
        let field = |name: &str| fields.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str());
        let what = field("x-do").unwrap_or_default().to_owned();
        if what == "hang" {
            // before the body: the client may leave in the middle of it
            return abandoned(&mut reader, shared);
        }
        if field("transfer-encoding").is_some() {
            while let Ok(size @ 1..) = usize::from_str_radix(&line(&mut reader)?, 16) {
                reader.read_exact(&mut vec![0; size + 2]).ok()?;
            }
            line(&mut reader)?;
        } else {
            let length = field("content-length").map_or(0, |length| length.parse().unwrap());
            reader.read_exact(&mut vec![0; length]).ok()?;
        }
        let (what, number) = what.split_once(' ').unwrap_or((&what, ""));
        let answer = match what {
            "cost" => format!("200 OK\r\nx-cost: {number}"),
            "gate" => {
                let state = shared.state.lock().unwrap();
                drop(shared.changed.wait_while(state, |state| !state.is_open).unwrap());
                format!("200 OK\r\nx-cost: {number}")
            }
            "status" => format!("{number} No"),
            "reset" => return None,
            "half" => {
                let half = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
                reader.get_mut().write_all(half.as_bytes()).ok()?;
                return abandoned(&mut reader, shared);
            }
            _ => "200 OK".to_owned(),
        };
        reader.get_mut().write_all(format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n").as_bytes()).ok()?;
    }
}

/// Reads until the other side has had enough.
fn abandoned(reader: &mut BufReader<TcpStream>, shared: &Shared) -> Option<()> {
    while reader.fill_buf().is_ok_and(|bytes| !bytes.is_empty()) {
        let count = reader.buffer().len();
        reader.consume(count);
    }
    shared.state.lock().unwrap().abandoned += 1;
    None
}

fn head(reader: &mut BufReader<TcpStream>) -> Option<Vec<(String, String)>> {
    line(reader)?;
    let mut fields = Vec::new();
    while let Some((name, value)) = line(reader)?.split_once(": ") {
        fields.push((name.to_owned(), value.to_owned()));
    }
    Some(fields)
}

fn line(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    (reader.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
}
