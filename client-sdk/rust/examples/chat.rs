//! A chat client: `chat EDGE FINGERPRINT TOKEN NICK GROUP`.

use folkmoot_client::{Client, FileStore, Start};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [edge, fingerprint, token, nick, group] = &args[..] else {
        return Err("usage: chat EDGE FINGERPRINT TOKEN NICK GROUP".into());
    };
    let client = Client::builder()
        .edge(edge)
        .trust_fingerprint(fingerprint)
        .token(token)
        .store(FileStore::new(format!("{nick}.outbox")))
        .connect()
        .await?;
    let group = client.group(group.parse()?);
    group.join(nick).await?;
    let mut entries = group.entries_from(Start::Recent(20)).await?;
    let mut lines = BufReader::new(stdin()).lines();
    loop {
        tokio::select! {
            entry = entries.next() => match entry {
                Some(entry) => println!("{} <{}> {}", entry.seq(), entry.nick(), entry.text().unwrap_or_default()),
                None => break,
            },
            line = lines.next_line() => match line? {
                Some(line) => drop(group.submit(line).await?),
                None => break,
            },
        }
    }
    client.close().await;
    Ok(())
}
