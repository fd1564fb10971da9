//! The program while it serves: what it prints, its log, and requests to it.

use crate::support::Kvali;
use serde_json::Value;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

pub(crate) struct Serving {
    process: Child,
    pub(crate) told: Vec<String>,
}

impl Serving {
    /// `kvali serve`, up to where it waits for requests.
    pub(crate) fn start(kvali: &Kvali, more: &[&str]) -> Self {
        let words = [&["serve", "--listen", "127.0.0.1:0"], more].concat();
        let words: Vec<&OsStr> = words.iter().map(AsRef::as_ref).collect();
        Self::of(kvali.command(&words).stderr(Stdio::null()))
    }

    pub(crate) fn of(command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut told = Vec::new();
        for line in BufReader::new(process.stdout.take().unwrap()).lines() {
            told.push(line.unwrap());
            if told.iter().any(|line| line.contains("Ctrl-C")) {
                break;
            }
        }
        Self { process, told }
    }

    pub(crate) fn key(&self) -> Option<&str> {
        self.told.iter().map(|line| line.trim()).find(|line| line.starts_with("kvali_"))
    }

    /// The requests as they are printed.
    pub(crate) fn lines(&self) -> Vec<&str> {
        self.told.iter().map(|line| line.trim()).filter(|line| line.starts_with("curl ")).collect()
    }

    /// Their headers and addresses.
    pub(crate) fn requests(&self) -> Vec<(String, String)> {
        let quoted = |line: &&str| line.split('"').map(str::to_owned).collect::<Vec<_>>();
        self.lines().iter().map(quoted).map(|parts| (parts[1].clone(), parts[3].clone())).collect()
    }

    pub(crate) fn address(&self) -> String {
        let told = self.told.iter().find_map(|line| line.strip_prefix("Kvali answers at "));
        told.unwrap_or_else(|| panic!("no address in {:?}", self.told)).to_owned()
    }

    pub(crate) fn ended_by(mut self, signal: &str) -> (Option<i32>, String) {
        let told = Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap();
        assert!(told.success());
        let code = self.process.wait().unwrap().code();
        let mut log = String::new();
        if let Some(mut stderr) = self.process.stderr.take() {
            stderr.read_to_string(&mut log).unwrap();
        }
        (code, log)
    }

    pub(crate) fn ended_by_term(self) -> Option<i32> {
        self.ended_by("-TERM").0
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _dead_already = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// The status and the body.
pub(crate) fn get(header: &str, url: &str) -> (u16, Value) {
    let rest = url.strip_prefix("http://").unwrap();
    let (address, path) = rest.split_at(rest.find('/').unwrap());
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n{header}\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_default())
}
