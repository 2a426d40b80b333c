//! Processes of their own: what one costs, and running this program again as one.
//!
//! Linux only, as the figures come from `/proc/self`.

use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

/// Ticks a second in `/proc/self/stat`: USER_HZ, which is 100 on every Linux.
const TICKS: f64 = 100.0;

/// What a process used from its start until it asked.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Used {
    /// User CPU seconds.
    pub user: f64,
    /// System CPU seconds.
    pub system: f64,
    /// Largest resident memory, MiB.
    pub peak_mib: f64,
}

impl Used {
    /// This process until now.
    pub fn here() -> anyhow::Result<Used> {
        let stat = std::fs::read_to_string("/proc/self/stat").context("/proc/self/stat")?;
        // The command's name may hold spaces and ends with the last bracket.
        let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
        let (Some(user), Some(system)) = (ticks(11), ticks(12)) else { bail!("/proc/self/stat reads {stat:?}") };
        let status = std::fs::read_to_string("/proc/self/status").context("/proc/self/status")?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB"));
        let peak: f64 = peak.and_then(|kib| kib.trim().parse().ok()).context("/proc/self/status lacks VmHWM")?;
        Ok(Used { user: user / TICKS, system: system / TICKS, peak_mib: peak / 1_024.0 })
    }

    /// User and system CPU seconds.
    pub fn cpu(&self) -> f64 {
        self.user + self.system
    }
}

/// This program again, with other arguments. Its input is held open, so that it can tell when we are gone.
pub fn start(arguments: &[String]) -> anyhow::Result<(Child, ChildStdin)> {
    let own = std::env::current_exe().context("this program's own path")?;
    let mut child = Command::new(own)
        .args(arguments)
        .envs(unit_environment())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {arguments:?}"))?;
    let input = child.stdin.take().context("the child's input")?;
    Ok((child, input))
}

/// The variables that the shipped unit gives the daemon; what is measured runs under them, the bare SDK as well.
fn unit_environment() -> impl Iterator<Item = (&'static str, &'static str)> {
    let unit = include_str!("../../systemd/costwarden.service");
    unit.lines().filter_map(|line| line.strip_prefix("Environment=")?.split_once('='))
}

/// The same, to its end; what it printed is read as JSON.
pub fn measure<T: serde::de::DeserializeOwned>(arguments: &[String]) -> anyhow::Result<T> {
    let (child, _input) = start(arguments)?;
    let output = child.wait_with_output().with_context(|| format!("waiting for {arguments:?}"))?;
    if !output.status.success() {
        bail!("{arguments:?} ended with {}", output.status);
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("reading what {arguments:?} printed"))
}

/// Bytes of everything in a folder.
pub fn size_of(folder: &Path) -> anyhow::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder)? {
        sum += entry?.metadata()?.len();
    }
    Ok(sum)
}
