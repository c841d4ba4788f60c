//! A stretch of wire to a real server that breaks now and then, before or after a piece of what is said has passed.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use vendors::{Fault, Faults};

/// A listening end. Ends with the test process.
pub(super) struct Wire {
    port: u16,
    counts: Arc<Counts>,
}

/// What has passed, and how often it broke.
#[derive(Default)]
struct Counts {
    pieces: AtomicUsize,
    cuts: AtomicUsize,
}

impl Wire {
    /// A wire to a port of this machine. The plan is drawn from once for each piece, whichever way it goes; of the faults there
    /// only the two that drop mean anything.
    pub(super) fn start(to: u16, plan: Faults) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let counts = Arc::new(Counts::default());
        let (plan, shared) = (Arc::new(plan), Arc::clone(&counts));
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)) else { continue };
                for (from, into) in [(&near, &far), (&far, &near)] {
                    let (from, into) = (from.try_clone().unwrap(), into.try_clone().unwrap());
                    let (plan, counts) = (Arc::clone(&plan), Arc::clone(&shared));
                    std::thread::spawn(move || carry(from, into, &plan, &counts));
                }
            }
        });
        Self { port, counts }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn pieces(&self) -> usize {
        self.counts.pieces.load(Ordering::Relaxed)
    }

    pub(super) fn cuts(&self) -> usize {
        self.counts.cuts.load(Ordering::Relaxed)
    }
}

/// One direction, until either side closes or the wire breaks.
fn carry(mut from: TcpStream, mut into: TcpStream, plan: &Faults, counts: &Counts) {
    let mut piece = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        let fault = plan.of(counts.pieces.fetch_add(1, Ordering::Relaxed) as u64);
        let is_cut = matches!(fault, Some(Fault::DropBefore | Fault::DropAfter));
        counts.cuts.fetch_add(usize::from(is_cut), Ordering::Relaxed);
        let passes = fault != Some(Fault::DropBefore);
        if (passes && into.write_all(&piece[..length]).is_err()) || is_cut {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = into.shutdown(Shutdown::Both);
}
