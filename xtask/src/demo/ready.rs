//! Whether addresses are free, and later whether everything answers.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::example::Example;
use crate::failure::{Failure, Outcome};

/// How long one attempt to connect or to read may take.
const PATIENCE: Duration = Duration::from_millis(500);

/// Refuses to go on when another program has one of the addresses.
pub fn all_free(example: &Example) -> Outcome<()> {
    for (address, purpose) in example.addresses().chain(example.later()) {
        free(address, purpose)?;
    }
    Ok(())
}

fn free(address: SocketAddr, purpose: &str) -> Outcome<()> {
    let port = address.port();
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(why) if why.kind() == ErrorKind::AddrInUse => Err(Failure::new(format!(
            "port {port}, wanted for {purpose}, is taken by another program (`ss -ltnp 'sport = :{port}'` or `lsof -i :{port}` \
             shows which); end that one first"
        ))),
        Err(why) => Err(Failure::new(format!("cannot listen on {address} for {purpose}: {why}"))),
    }
}

/// Whether all upstreams and the listener take connections, and the gateway says that it is ready.
pub fn all_answer(example: &Example) -> bool {
    example.addresses().all(|(address, _)| TcpStream::connect_timeout(&address, PATIENCE).is_ok())
        && says_ready(example.admin).unwrap_or(false)
}

/// Whether `GET /ready` is answered with 200.
fn says_ready(admin: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&admin, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET /ready HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n")?;
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    Ok(start == *b"HTTP/1.1 200")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader};
    use std::thread;

    #[test]
    fn a_taken_port_is_named_with_its_purpose() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let text = free(address, "v1").unwrap_err().to_string();
        let expected = format!("port {}, wanted for v1, is taken by another program (", address.port());
        assert!(text.starts_with(&expected), "{text}");
        drop(taken);
        assert_eq!(free(address, "v1"), Ok(()));
    }

    #[test]
    fn ready_means_status_200() {
        for (answer, expected) in [("HTTP/1.1 200 OK\r\n\r\nLIVE\n", true), ("HTTP/1.1 503 no\r\n\r\n", false)] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let server = thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                // To its end: closing with something unread would reset the connection.
                let lines = BufReader::new(&stream).lines().map(Result::unwrap).take_while(|line| !line.is_empty());
                let request: Vec<_> = lines.collect();
                stream.write_all(answer.as_bytes()).unwrap();
                request
            });
            assert_eq!(says_ready(address).unwrap(), expected);
            assert_eq!(server.join().unwrap()[0], "GET /ready HTTP/1.1");
        }
    }
}
