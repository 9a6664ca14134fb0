use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::*;

/// Lets as many in as it is told to.
#[derive(Clone)]
struct Slow(Arc<Semaphore>);

impl Accept<TcpStream, usize> for Slow {
    type Stream = TcpStream;
    type Service = usize;
    type Future = BoxFuture<'static, io::Result<(TcpStream, usize)>>;

    fn accept(&self, stream: TcpStream, number: usize) -> Self::Future {
        let permits = Arc::clone(&self.0);
        async move {
            permits.acquire().await.expect("open").forget();
            Ok((stream, number))
        }
        .boxed()
    }
}

/// The two ends of a connection.
async fn pair(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let at = listener.local_addr().unwrap();
    let (client, server) = tokio::join!(TcpStream::connect(at), listener.accept());
    (client.unwrap(), server.unwrap().0)
}

async fn until(what: impl Fn() -> bool) {
    let long = timeout(Duration::from_secs(60), async {
        while !what() {
            sleep(Duration::from_millis(5)).await;
        }
    });
    long.await.expect("it comes to that");
}

#[tokio::test]
async fn so_many_at_once_so_many_wait_and_silence_takes_no_place() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = Arc::new(Door::new((2, 3), Duration::from_secs(600)));
    let permits = Arc::new(Semaphore::new(0));
    let gate = Gate::before(Slow(Arc::clone(&permits)), Arc::clone(&door));
    let mut kept = Vec::new();
    for _ in 0..10 {
        let (client, server) = pair(&listener).await;
        kept.push(client);
        tokio::spawn(gate.accept(server, 0));
    }
    let mut coming = Vec::new();
    for number in 1..=5 {
        let (mut client, server) = pair(&listener).await;
        client.write_all(b"hello").await.unwrap();
        kept.push(client);
        coming.push(tokio::spawn(gate.accept(server, number)));
        // In this order.
        let inside = number.min(2);
        until(|| door.waiting() == number - inside).await;
        sleep(Duration::from_millis(20)).await;
    }
    let (mut client, server) = pair(&listener).await;
    client.write_all(b"hello").await.unwrap();
    let refused = gate.accept(server, 6).await.err().expect("no room");
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!((door.waiting(), door.refused()), (3, 1));
    permits.add_permits(5);
    for (number, one) in (1..).zip(coming) {
        let (_, came) = one.await.unwrap().expect("its turn");
        assert_eq!(came, number);
    }
    assert_eq!((door.waiting(), door.refused()), (0, 1));
}

const WITHIN: Duration = Duration::from_secs(10);

fn hurried() -> (DuplexStream, Hurried<DuplexStream>) {
    let (client, server) = duplex(64);
    (client, Hurried::new(server, WITHIN))
}

#[tokio::test(start_paused = true)]
async fn who_does_not_begin_in_time_is_hung_up_on() {
    let (mut client, mut server) = hurried();
    let mut buf = [0; 64];
    client.write_all(b"PRI * HTTP/2").await.unwrap();
    assert_eq!(server.read(&mut buf).await.unwrap(), 12);
    let error = server.read(&mut buf).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn who_has_begun_takes_their_time() {
    let (mut client, mut server) = hurried();
    let mut buf = [0; 64];
    let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    client.write_all(request).await.unwrap();
    assert_eq!(server.read(&mut buf).await.unwrap(), request.len());
    let later = tokio::spawn(async move {
        sleep(10 * WITHIN).await;
        client.write_all(b"more").await.unwrap();
        client
    });
    assert_eq!(server.read(&mut buf).await.unwrap(), 4);
    server.write_all(b"answer").await.unwrap();
    let mut client = later.await.unwrap();
    assert_eq!(client.read(&mut buf).await.unwrap(), 6);
}
