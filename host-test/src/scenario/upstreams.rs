//! The upstream servers of the `envoy` runner: they answer as the case says and keep what they got.

use super::format::{Case, expand};
use super::observe::Message;
use super::wire::{self, Kind, Reader};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All servers of an Envoy.
#[derive(Clone, Default)]
pub struct Upstreams(Arc<Mutex<State>>);

/// What the servers answer, and what they got, by cluster.
#[derive(Default)]
struct State {
    /// Nothing if the client leaves without one.
    answer: Vec<u8>,
    got: Vec<(String, Message)>,
}

impl Upstreams {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A server for a cluster; its threads end with the process. The port is returned.
    pub fn serve(&self, cluster: &str) -> io::Result<u16> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let (cluster, upstreams) = (cluster.to_owned(), self.clone());
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (cluster, upstreams) = (cluster.clone(), upstreams.clone());
                std::thread::spawn(move || upstreams.connection(&cluster, socket));
            }
        });
        Ok(port)
    }

    fn connection(&self, cluster: &str, socket: TcpStream) {
        let Ok(mut sending) = socket.try_clone() else { return };
        let mut reader = Reader::new(socket);
        while let Ok(Some(received)) = reader.message(Kind::Request) {
            if !received.complete {
                return;
            }
            let answer = {
                let mut state = self.state();
                state.got.push((cluster.to_owned(), received.message));
                state.answer.clone()
            };
            if sending.write_all(&answer).is_err() {
                return;
            }
        }
    }

    /// Forgets what came, and answers as this case says from now on.
    pub fn expect(&self, case: &Case) {
        let mut state = self.state();
        state.got.clear();
        state.answer = if case.request.leaves.is_some() { Vec::new() } else { answer(case) };
    }

    /// Whether any request is such.
    pub fn any(&self, test: impl Fn(&(String, Message)) -> bool) -> bool {
        self.state().got.iter().any(test)
    }

    /// Takes out a copy that Envoy's router made: only there it says that it comes from itself.
    pub fn take_copy(&self) -> Option<(String, Message)> {
        let mut state = self.state();
        let at = state.got.iter().position(|(_, message)| message.value("x-envoy-internal").is_some())?;
        Some(state.got.remove(at))
    }

    /// Takes what came.
    pub fn take(&self) -> Vec<(String, Message)> {
        std::mem::take(&mut self.state().got)
    }
}

/// The bytes of the upstream's answer.
fn answer(case: &Case) -> Vec<u8> {
    let response = &case.response;
    let first = format!("HTTP/1.1 {} -", response.status);
    let bytes = wire::write(
        first.as_bytes(),
        &expand(&response.headers),
        Some(response.body.bytes()),
        &expand(&response.trailers),
    );
    if case.request.method == "HEAD" {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
        return bytes.get(..end).unwrap_or_default().to_vec();
    }
    bytes
}
