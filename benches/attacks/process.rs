//! The server's process, and what the system says of it.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// A program that is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) port: u16,
}

impl Process {
    /// This very program once more, as the server.
    pub(crate) fn start(arguments: &[&str]) -> Result<Process, Box<dyn Error + Send + Sync>> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("it is piped")?;
        let mut process = Process { child, port: 0 };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let (_, port) = line.trim_end().rsplit_once(':').ok_or("the server did not start")?;
        process.port = port.parse()?;
        Ok(process)
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Memory that is its own and backed by nothing else: heap and stacks.
    pub(crate) fn anonymous_bytes(&self) -> usize {
        self.status("RssAnon:")
    }

    /// The most memory of any kind since the last [`Process::forget_peak`].
    pub(crate) fn peak_bytes(&self) -> usize {
        self.status("VmHWM:")
    }

    /// From here on [`Process::peak_bytes`] starts anew. Where the system does not let us, it stays the peak since
    /// the start.
    pub(crate) fn forget_peak(&self) {
        let _ = std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5");
    }

    /// Zero where the system does not tell.
    fn status(&self, name: &str) -> usize {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        let kib: usize =
            line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or_default();
        kib * 1024
    }

    /// What its one thread has run so far.
    pub(crate) fn cpu_time(&self) -> Duration {
        let path = format!("/proc/{}/schedstat", self.child.id());
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let nanoseconds = text.split_whitespace().next().and_then(|word| word.parse().ok());
        Duration::from_nanos(nanoseconds.unwrap_or_default())
    }

    /// Looks at its memory again and again until it is told to stop; the most that it saw. Shorter peaks than
    /// this can see are in [`Process::peak_bytes`].
    pub(crate) fn watch(&self, stop: &AtomicBool) -> usize {
        let mut most = 0;
        while !stop.load(Ordering::Relaxed) {
            most = most.max(self.anonymous_bytes());
            thread::sleep(Duration::from_millis(4));
        }
        most.max(self.anonymous_bytes())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
