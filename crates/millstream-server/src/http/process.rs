//! What this process uses, where the machine tells (Linux).

/// Memory, time and files of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Process {
    pub(super) resident_bytes: Option<u64>,
    pub(super) cpu_seconds: Option<f64>,
    pub(super) open_files: Option<u64>,
    pub(super) threads: Option<u64>,
}

/// Of `/proc/self`; nothing where there is none.
pub(super) fn process() -> Process {
    let stat = std::fs::read_to_string("/proc/self/stat").ok();
    let status = std::fs::read_to_string("/proc/self/status").ok();
    let open_files = std::fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64);
    Process { open_files, ..read(stat.as_deref().unwrap_or_default(), status.as_deref().unwrap_or_default()) }
}

/// Linux counts time in hundredths of a second for programs, whatever its own ticks are.
const TICKS_PER_SECOND: f64 = 100.0;

fn read(stat: &str, status: &str) -> Process {
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    // The name in parentheses may hold anything; what follows it is numbers.
    let after: Vec<&str> = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
    let ticks = |n: usize| after.get(n).and_then(|text| text.parse::<f64>().ok());
    Process {
        resident_bytes: number("VmRSS:").map(|kilobytes| kilobytes * 1024),
        cpu_seconds: ticks(11).zip(ticks(12)).map(|(user, system)| (user + system) / TICKS_PER_SECOND),
        open_files: None,
        threads: number("Threads:"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_read() {
        let stat = "42 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0";
        let found = read(stat, "Name:\tx\nVmRSS:\t   2048 kB\nThreads:\t7\n");
        assert_eq!(found, Process { resident_bytes: Some(2 << 20), cpu_seconds: Some(3.0), open_files: None, threads: Some(7) });
        assert_eq!(read("", ""), Process::default());
    }
}
