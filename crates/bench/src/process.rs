//! What the kernel says about a process: processor time and memory. Linux only; elsewhere the figures are missing.

use std::time::Duration;

/// The kernel counts processor time in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

/// Processor time that a process has used, in user and kernel mode.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    cpu_time_of(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Processor time that the calling thread has used.
pub fn thread_cpu_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// The largest resident size that a process has had, in bytes.
pub fn peak_resident_bytes(pid: u32) -> Option<u64> {
    peak_resident_bytes_of(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

/// How many processors this machine has.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The name of a process stands in brackets and may hold anything, so fields are counted from the last bracket.
fn cpu_time_of(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u32>().ok()? + fields.next()?.parse::<u32>().ok()?;
    Some(TICK * ticks)
}

fn peak_resident_bytes_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_past_an_odd_name() {
        let stat = "42 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0";
        assert_eq!(cpu_time_of(stat), Some(Duration::from_secs(2)));
        assert_eq!(cpu_time_of("42 broken"), None);
    }

    #[test]
    fn the_peak_is_in_bytes() {
        assert_eq!(peak_resident_bytes_of("Name:\tx\nVmHWM:\t   2048 kB\nVmRSS:\t1 kB\n"), Some(2048 * 1024));
    }
}
