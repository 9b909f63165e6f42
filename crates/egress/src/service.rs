//! The host's end: starts gateway and broker, and hears what they tell.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::error::EgressError;
use crate::ledger::{Heard, Ledger};
use crate::plan::Plan;
use crate::wire::{self, Note, Order, Ready, Serve};

/// The name under which this program is a gateway.
pub const GATEWAY_NAME: &str = "hotcell-gateway";
/// The name under which it is a broker.
pub const BROKER_NAME: &str = "hotcell-broker";
/// And their only argument: any other program refuses it.
pub const SERVICE_ARGUMENT: &str = "--serve-one-sandbox-and-nothing-else";

/// Where systems keep the certificates of authorities.
const ROOTS: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// How long a process may take to come up, or to end.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the last words may take.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// The gateway and the broker of one sandbox. Dropping it kills both, and nothing leaves any more.
#[derive(Debug)]
pub struct Service {
    plan: Plan,
    gateway: Child,
    /// The gateway's control socket, until the broker has it.
    control: Option<OwnedFd>,
    broker: Option<Child>,
    /// The socket to the broker.
    notes: Option<OwnedFd>,
    executable: std::path::PathBuf,
    certificates: Vec<u8>,
    ledger: Ledger,
}

impl Service {
    /// Starts the gateway for this plan: `executable` is this program. Words of the workload's own choice, such as the names
    /// that it asks for, are told only with `quotes`; what leaves opened is judged with `judged`.
    ///
    /// # Errors
    /// [`EgressError`]; nothing is left then.
    pub fn start(executable: &Path, plan: Plan, quotes: bool, judged: bool) -> Result<Self, EgressError> {
        let wrap = |what| move |source| EgressError::Host { what, source };
        let roots = ROOTS.iter().find_map(|path| File::open(path).ok()).ok_or(EgressError::NoRoots)?;
        let (control, theirs) = wire::pair().map_err(wrap("making a socket"))?;
        let gateway = start(executable, GATEWAY_NAME, theirs).map_err(wrap("starting it"))?;
        let ledger = Ledger::new(plan.rules(), quotes);
        let mut service = Self {
            plan,
            gateway,
            control: None,
            broker: None,
            notes: None,
            executable: executable.to_owned(),
            certificates: Vec::new(),
            ledger,
        };
        let order = Order { rules: service.plan.rules().to_vec(), judged };
        wire::send(control.as_fd(), &order, &[roots.as_fd()]).map_err(wrap("speaking to it"))?;
        let not_up = |why: &str| EgressError::NotUp { why: why.to_owned() };
        if !becomes_readable(control.as_fd(), PATIENCE) {
            return Err(not_up("it did not answer"));
        }
        match wire::receive(&control) {
            Ok(Some((Ready::Up { certificate }, _))) => service.certificates = certificate.into_bytes(),
            Ok(Some((Ready::Failed { why }, _))) => return Err(not_up(&why)),
            _ => return Err(not_up("it ended without a word")),
        }
        if service.plan.passes() {
            // What passes unopened is known by the certificates of the world outside.
            let system = read_again(&roots).map_err(wrap("reading the certificates of authorities"))?;
            service.certificates.extend(system);
        }
        service.control = Some(control);
        Ok(service)
    }

    /// The network that it serves.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The certificates that programs inside are to trust, as text.
    pub fn certificates(&self) -> &[u8] {
        &self.certificates
    }

    /// Hands it the sockets that were opened inside, in the plan's order, and indexes of fingerprints, against which what
    /// leaves opened is held; the broker comes up.
    ///
    /// # Errors
    /// [`EgressError`], when one of the processes is gone.
    pub fn serve(&mut self, sockets: Vec<OwnedFd>, prints: Vec<OwnedFd>) -> Result<(), EgressError> {
        let wrap = |what| move |source| EgressError::Host { what, source };
        let Some(control) = self.control.take() else {
            return Err(EgressError::NotUp { why: "it serves already".to_owned() });
        };
        let fds: Vec<_> = sockets.iter().chain(&prints).map(AsFd::as_fd).collect();
        wire::send(control.as_fd(), &Serve { prints: prints.len() }, &fds).map_err(wrap("handing the sockets over"))?;
        let (notes, theirs) = wire::pair().map_err(wrap("making a socket"))?;
        self.broker = Some(start(&self.executable, BROKER_NAME, theirs).map_err(wrap("starting the broker"))?);
        let order = Order { rules: self.plan.rules().to_vec(), judged: false };
        wire::send(notes.as_fd(), &order, &[control.as_fd()]).map_err(wrap("speaking to the broker"))?;
        self.notes = Some(notes);
        Ok(())
    }

    /// Becomes readable when there is something to hear; none when it has ended.
    pub fn notes(&self) -> Option<BorrowedFd<'_>> {
        self.notes.as_ref().map(AsFd::as_fd)
    }

    /// Hears one thing; `None` when it has ended, which only its end by [`Service::finish`] should bring about.
    pub fn hear(&mut self) -> Option<Option<Heard>> {
        match self.notes.as_ref().map(wire::receive::<Note>) {
            Some(Ok(Some((note, _)))) if note.is_sound(self.plan.rules().len()) => Some(self.ledger.take(note)),
            _ => {
                self.notes = None;
                self.ledger.lost();
                // Whichever of the two is left has nothing to do any more.
                self.kill();
                None
            }
        }
    }

    /// Tells it to end, hears its last words, and gives the sums.
    pub fn finish(mut self, told: &mut dyn FnMut(Heard)) -> Ledger {
        let until = Instant::now() + LAST_WORDS;
        if let Some(notes) = self.notes.take() {
            // Where it is gone there is nobody to tell.
            let _ = rustix::net::shutdown(&notes, rustix::net::Shutdown::Write);
            while becomes_readable(notes.as_fd(), until.saturating_duration_since(Instant::now())) {
                let Ok(Some((note, _))) = wire::receive::<Note>(&notes) else { break };
                if note.is_sound(self.plan.rules().len())
                    && let Some(heard) = self.ledger.take(note)
                {
                    told(heard);
                }
            }
        }
        let empty = Ledger::new(&[], false);
        std::mem::replace(&mut self.ledger, empty)
    }

    fn kill(&mut self) {
        for child in std::iter::once(&mut self.gateway).chain(&mut self.broker) {
            // What has ended already need not be killed.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
    }
}

fn start(executable: &Path, name: &str, control: OwnedFd) -> io::Result<Child> {
    Command::new(executable)
        .arg0(name)
        .arg(SERVICE_ARGUMENT)
        .env_clear()
        // A name is complete as it is: the C library adds no search domain of this host to it.
        .env("LOCALDOMAIN", "")
        .current_dir("/")
        .stdin(Stdio::from(control))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

fn becomes_readable(socket: BorrowedFd<'_>, patience: Duration) -> bool {
    let until = Instant::now() + patience;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout =
            Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::from_borrowed_fd(socket, PollFlags::IN)], Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => {}
            ready => return ready.is_ok_and(|count| count > 0),
        }
    }
}

/// A file from its beginning, whoever has read it.
fn read_again(file: &File) -> io::Result<Vec<u8>> {
    use std::os::unix::fs::FileExt as _;
    let mut bytes = vec![0; usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
