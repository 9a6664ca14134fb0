//! Nodes as processes, on ports that they find themselves.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Longest wait for anything; how long it takes is never judged.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);

pub fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_folkmoot-under-test"))
}

/// Waits until something is there.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(LOOK);
    }
}

pub fn json(output: &Output) -> Value {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// What `running.json` in a data folder says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    pub pid: u32,
    pub listen: String,
    pub gossip: String,
    pub admin: String,
}

impl Running {
    /// Ports that the node finds itself.
    pub fn anywhere() -> Self {
        let anywhere = || "127.0.0.1:0".to_owned();
        Self {
            pid: 0,
            listen: anywhere(),
            gossip: anywhere(),
            admin: anywhere(),
        }
    }

    pub fn read(data: &Path) -> Option<Self> {
        let text = fs::read(data.join("running.json")).ok()?;
        let value: Value = serde_json::from_slice(&text).ok()?;
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        Some(Self {
            pid: value["pid"].as_u64()?.try_into().ok()?,
            listen: text("listen")?,
            gossip: text("gossip")?,
            admin: text("admin")?,
        })
    }

    /// SIGKILL, whoever's child it is.
    pub fn kill(&self) {
        let pid = Pid::from_raw(self.pid.try_into().expect("a pid")).expect("not 0");
        kill_process(pid, Signal::KILL).expect("it runs");
    }

    /// Asks the admin API; status and body.
    pub fn http(&self, request: &str, body: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(&self.admin).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let length = body.len();
        write!(
            stream,
            "{request} HTTP/1.0\r\nhost: node\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }

    pub fn get(&self, path: &str) -> Option<Value> {
        let (status, body) = self.http(&format!("GET {path}"), "")?;
        (status == 200).then(|| serde_json::from_str(&body).expect("JSON"))
    }

    pub fn ready(&self) -> bool {
        self.http("GET /readyz", "")
            .is_some_and(|(status, _)| status == 200)
    }

    /// The sum of a metric's values, of those series whose labels have all of
    /// these in them. `None`: there are none.
    pub fn metric(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let (_, metrics) = self.http("GET /metrics", "")?;
        let series = metrics.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let named = rest.starts_with(['{', ' ']) && labels.iter().all(|l| rest.contains(l));
            rest.rsplit(' ').next().filter(|_| named)?.parse().ok()
        });
        series.fold(None, |sum, value: f64| Some(sum.unwrap_or(0.0) + value))
    }

    /// A token for a client.
    pub fn token(&self, subject: &str) -> String {
        let body = format!("{{\"subject\":\"{subject}\"}}");
        let (status, body) = self
            .http("POST /v1/client-token", &body)
            .expect("it answers");
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        answer["token"].as_str().expect("a token").to_owned()
    }
}

/// A node of a test. Dropping it kills it.
pub struct Node {
    pub data: PathBuf,
    flags: Vec<String>,
    child: Option<Child>,
    pub at: Running,
}

impl Node {
    /// Starts and waits until it answers. Panics when it ends instead.
    pub fn start(data: &Path, flags: &[&str], once: &[&str]) -> Self {
        Self::spawn(command(), data, flags, once)
    }

    /// The same through `command`, which ends up being the node.
    pub fn spawn(command: Command, data: &Path, flags: &[&str], once: &[&str]) -> Self {
        Self::spawn_at(Running::anywhere(), command, data, flags, once)
    }

    /// The same on these addresses.
    pub fn spawn_at(
        at: Running,
        command: Command,
        data: &Path,
        flags: &[&str],
        once: &[&str],
    ) -> Self {
        let mut node = Self {
            data: data.to_owned(),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            child: None,
            at,
        };
        node.run(command, once);
        node
    }

    fn start_process(&self, mut command: Command, once: &[&str]) -> Child {
        let _ = fs::remove_file(self.data.join("running.json"));
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("a log");
        command
            .arg("start")
            .arg("--data")
            .arg(&self.data)
            .args(["--listen", &self.at.listen])
            .args(["--gossip", &self.at.gossip])
            .args(["--admin", &self.at.admin])
            .args(&self.flags)
            .args(once)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the node runs")
    }

    fn run(&mut self, command: Command, once: &[&str]) {
        let child = self.start_process(command, once);
        let child = self.child.insert(child);
        let data = &self.data;
        let found = until("the node's start", || {
            if child.try_wait().expect("a child").is_some() {
                return Some(None);
            }
            Running::read(data).map(Some)
        });
        let Some(at) = found else {
            panic!("the node ended: {}", self.log());
        };
        let gossip = std::mem::replace(&mut self.at, at).gossip;
        // The node tells where others reach it, which may stand before it.
        if !gossip.ends_with(":0") {
            self.at.gossip = gossip;
        }
    }

    fn log_path(&self) -> PathBuf {
        self.data.with_extension("log")
    }

    /// What it said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it runs");
            child.wait().expect("it ends");
        }
    }

    /// Starts it again on its folder and its addresses.
    pub fn again(&mut self) {
        self.run(command(), &[]);
    }

    /// Starts it again, to see it end by itself. Gives what it said.
    pub fn refuses(&mut self) -> String {
        let before = self.log().len();
        self.child = Some(self.start_process(command(), &[]));
        assert!(!self.ended().success());
        self.child = None;
        self.log()[before..].to_owned()
    }

    /// SIGTERM, and how it ended.
    pub fn stop(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        let pid = Pid::from_raw(child.id().try_into().expect("a pid")).expect("not 0");
        kill_process(pid, Signal::TERM).expect("it runs");
        child.wait().expect("it ends")
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        let child = self.child.as_mut().expect("it was started");
        child.try_wait().expect("a child").is_some()
    }

    /// Waits until it ends by itself.
    pub fn ended(&mut self) -> ExitStatus {
        // Left where it is until it has ended, so that it never outlives this.
        let child = self.child.as_mut().expect("it runs");
        until("the node's end", || child.try_wait().expect("a child"))
    }

    /// A command of the command line, asked of this node.
    pub fn ask(&self, args: &[&str]) -> Output {
        command()
            .args(["--json", "--at-admin", &self.at.admin])
            .args(args)
            .output()
            .expect("the command runs")
    }

    pub fn json(&self, args: &[&str]) -> Value {
        json(&self.ask(args))
    }

    /// Its log of a group, read offline: whole lines of JSON.
    pub fn offline(&self, group: &str) -> String {
        let output = command()
            .args(["--json", "log", group, "--data"])
            .arg(&self.data)
            .output()
            .expect("the command runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.data.display(), self.log());
        }
    }
}

/// Nodes of one cluster, all up and knowing each other.
pub struct Cluster {
    pub nodes: Vec<Node>,
    folder: tempfile::TempDir,
}

/// Flags that say what shards survive.
const GOALS: [&str; 2] = ["--survival-goal", "--voters"];

impl Cluster {
    /// One node for each name of a region, in this order.
    pub fn start(regions: &[&str], flags: &[&str]) -> Self {
        Self::start_at(regions, |_| {
            let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
            (Running::anywhere(), flags)
        })
    }

    /// The same, each on the addresses and with the flags of its place.
    pub fn start_at(regions: &[&str], of: impl Fn(usize) -> (Running, Vec<String>)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut cluster = Self {
            nodes: Vec::new(),
            folder,
        };
        for (place, region) in regions.iter().enumerate() {
            let (at, flags) = of(place);
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            cluster.add(region, at, &flags);
        }
        for node in &cluster.nodes {
            until("everybody known to everybody", || {
                let seen = node.at.get("/v1/nodes")?;
                let seen = seen["nodes"].as_array()?;
                let alive = seen.iter().filter(|node| node["state"] == "alive").count();
                (alive == regions.len() && node.at.ready()).then_some(())
            });
        }
        cluster
    }

    fn add(&mut self, region: &str, at: Running, flags: &[&str]) {
        let number = self.nodes.len() + 1;
        let data = self.folder.path().join(format!("{region}-{number}"));
        // Where nothing is said of it one node stands for a region.
        let says = |flag: &&str| GOALS.iter().any(|goal| flag.starts_with(goal));
        let goal: &[&str] = match flags.iter().any(says) {
            true => &[],
            false => &["--survival-goal", "node"],
        };
        let flags = [&["--region", region, "--swim", "lan"], goal, flags].concat();
        let node = match self.nodes.first() {
            None => {
                let made = command()
                    .arg("init")
                    .arg("--data")
                    .arg(&data)
                    .args(&flags)
                    .output();
                let made = made.expect("the command runs");
                assert!(made.status.success(), "{made:?}");
                Node::spawn_at(at, command(), &data, &flags, &[])
            }
            Some(first) => {
                let token = first.json(&["token", "create", "--region", region]);
                let token = token["token"].as_str().expect("a token").to_owned();
                // By a name: that is what people write.
                let port = first.at.listen.rsplit_once(':').expect("a port").1;
                let join = format!("localhost:{port}");
                let once = ["--join", &join, "--token", &token];
                Node::spawn_at(at, command(), &data, &flags, &once)
            }
        };
        self.nodes.push(node);
    }
}
