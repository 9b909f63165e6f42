//! The gateway's process: the resolver inside, and every connection on its way out.
//!
//! It holds the sockets that were opened inside and the socket to its broker, and nothing else: no file, no way to open or
//! to connect. What it parses was written by whoever is in the sandbox, and by whoever answers outside.

use std::fs::File;
use std::io::{self, Read};
use std::net::{TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SocketFlags, accept_with};
use rustls::ClientConfig;

use crate::authority::{self, Authority};
use crate::count::Counts;
use crate::dns;
use crate::hello::{self, Hello, NoHello};
use crate::http::{self, NotConnected};
use crate::inspection::Inspection;
use crate::plan::{Plan, Rule};
use crate::relay;
use crate::wire::{self, Dialled, Note, Order, Ready, Serve, Word, brief};

/// What a gateway calls: its descriptors, memory, threads, chance, and pairs of sockets to speak to its broker.
pub const CALLS: &[&str] = &[
    "read",
    "write",
    "readv",
    "writev",
    "close",
    "fcntl",
    "lseek",
    "statx",
    "fstat", // its descriptors; the size of a file
    "accept4",
    "recvfrom",
    "recvmsg",
    "sendto",
    "sendmsg",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "getpeername",
    "getsockname",
    "socketpair",
    "poll",
    "ppoll", // its sockets
    "brk",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "madvise",
    "futex", // memory and waiting
    "getrandom",
    "getpid", // chance
    "clone",
    "set_robust_list",
    "rseq",
    "gettid",
    "sched_getaffinity",
    "sched_yield",
    "prctl", // threads
    "rt_sigprocmask",
    "rt_sigaction",
    "rt_sigreturn",
    "sigaltstack",
    "clock_gettime",
    "clock_nanosleep",
    "nanosleep",
    "exit",
    "exit_group",
    "restart_syscall",
];

/// Most connections of one sandbox at once, questions over TCP among them. More wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 256;
/// How long a client may take for the first words of TLS or the head of a request, and a host for its answer to begin.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// How long a connection may carry nothing.
const IDLE_TIME: Duration = Duration::from_secs(300);
/// How long connections may take to end once the workload has.
const LAST_MOMENTS: Duration = Duration::from_secs(1);
/// Bytes of the file of certificates outside, at most.
const MAX_ROOTS: u64 = 8 << 20;
/// What a connection's thread needs of a stack.
const STACK: usize = 512 << 10;

/// Everything that a connection needs.
struct Gateway {
    plan: Plan,
    /// By place: the configuration by which a rule's host is impersonated to the inside.
    authority: Option<Authority>,
    outside: Arc<Outside>,
    control: OwnedFd,
    inspection: Box<dyn Inspection>,
    active: AtomicUsize,
    /// By place: how many requests a rule's host has been sent.
    requests: Vec<AtomicU64>,
    /// Connections that are under way: at which rule, and what they have carried so far.
    under_way: Mutex<Vec<(usize, Arc<Counts>)>>,
}

/// What knows hosts outside.
struct Outside {
    /// Certificates of authorities outside, as text.
    roots: Vec<u8>,
    /// Made of them while the sandbox starts, and not before: reading them is the longest part.
    config: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl Outside {
    /// Made once, whoever asks meanwhile.
    fn config(&self) -> Result<Arc<ClientConfig>, String> {
        self.config.get_or_init(|| authority::outside(&self.roots).map_err(|error| error.to_string())).clone()
    }
}

/// Serves until the broker is gone or the host wants an end. `control` is the socket by which everything comes; `lock_in`
/// takes every right that is not needed any more from the process; `inspection` makes what looks at requests, and is told
/// whether they are to be judged.
///
/// # Errors
/// When the host is gone, or `control` is none.
pub fn serve(
    control: OwnedFd,
    lock_in: impl FnOnce() -> io::Result<()>,
    inspection: impl FnOnce(bool) -> io::Result<Box<dyn Inspection>>,
) -> io::Result<()> {
    let Some((Order { rules, judged }, fds)) = wire::receive(&control)? else { return Err(not_ours()) };
    let [roots]: [OwnedFd; 1] = fds.try_into().map_err(|_| not_ours())?;
    let plan = Plan::new(rules);
    // What is parsed from here on is parsed locked in.
    let made = lock_in().and_then(|()| make(plan, roots.into(), control.try_clone()?, inspection(judged)?));
    let (mut gateway, certificate) = match made {
        Ok(made) => made,
        Err(error) => {
            wire::send(control.as_fd(), &Ready::Failed { why: brief(&error.to_string()) }, &[])?;
            return Err(error);
        }
    };
    wire::send(control.as_fd(), &Ready::Up { certificate }, &[])?;
    if gateway.plan.opens() {
        let early = Arc::clone(&gateway.outside);
        // Where no thread comes up, the first connection waits for it.
        let _ = thread::Builder::new().stack_size(STACK).spawn(move || drop(early.config()));
    }
    let Some((Serve { prints }, mut sockets)) = wire::receive(&control)? else { return Ok(()) };
    let count = gateway.plan.sockets().len();
    if sockets.len().checked_sub(prints) != Some(count) {
        return Err(not_ours());
    }
    // INVARIANT (no-index-no-way): where one cannot be used, this process ends, and nothing leaves.
    for index in sockets.split_off(count) {
        gateway.inspection = gateway.inspection.hold_against(index.into())?;
    }
    let gateway = Arc::new(gateway);
    attend(&gateway, sockets)?;
    // The workload is dead: what it left is about to end by itself, and says how much it carried.
    let until = Instant::now() + LAST_MOMENTS;
    while gateway.active.load(Ordering::Acquire) > 0 && Instant::now() < until {
        thread::sleep(Duration::from_millis(2));
    }
    // What went out is told also of connections that do not end, whoever keeps them open.
    gateway.tell_of_all();
    Ok(())
}

fn not_ours() -> io::Error {
    io::Error::other("this is for the use of a sandbox only")
}

fn make(plan: Plan, roots: File, control: OwnedFd, inspection: Box<dyn Inspection>) -> io::Result<(Gateway, String)> {
    let (mut authority, mut text, mut certificate) = (None, Vec::new(), String::new());
    if plan.opens() {
        let names = plan.rules().iter().filter(|rule| !rule.passes).map(|rule| rule.destination.host.as_str());
        let made = Authority::new(names)?;
        certificate = made.certificate().to_owned();
        authority = Some(made);
        roots.take(MAX_ROOTS).read_to_end(&mut text)?;
    }
    let requests = plan.rules().iter().map(|_| AtomicU64::new(0)).collect();
    Ok((
        Gateway {
            plan,
            authority,
            outside: Arc::new(Outside { roots: text, config: OnceLock::new() }),
            control,
            inspection,
            requests,
            active: AtomicUsize::new(0),
            under_way: Mutex::default(),
        },
        certificate,
    ))
}

/// Answers questions, and starts a thread for each connection.
fn attend(gateway: &Arc<Gateway>, sockets: Vec<OwnedFd>) -> io::Result<()> {
    let mut sockets = sockets.into_iter();
    let (Some(questions), Some(long_questions)) = (sockets.next(), sockets.next()) else { return Err(not_ours()) };
    let questions = UdpSocket::from(questions);
    let listeners: Vec<_> = std::iter::once(long_questions).chain(sockets).collect();
    loop {
        let has_room = gateway.active.load(Ordering::Acquire) < MAX_CONNECTIONS;
        let mut fds = vec![PollFd::new(&gateway.control, PollFlags::IN), PollFd::new(&questions, PollFlags::IN)];
        if has_room {
            fds.extend(listeners.iter().map(|listener| PollFd::new(listener, PollFlags::IN)));
        }
        // Without room, somebody's end is looked for soon.
        let pause = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
        match poll(&mut fds, if has_room { None } else { Some(&pause) }) {
            Err(rustix::io::Errno::INTR) => continue,
            other => drop(other?),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let mut ready = ready.into_iter();
        if ready.next() == Some(true) {
            // The broker says nothing: it has ended, or wants an end.
            return Ok(());
        }
        if ready.next() == Some(true) {
            gateway.answer_one(&questions);
        }
        for (place, _) in ready.enumerate().filter(|(_, ready)| *ready) {
            let Some(listener) = listeners.get(place) else { continue };
            gateway.accept(place.checked_sub(1), listener)?;
        }
    }
}

impl Gateway {
    fn answer_one(&self, questions: &UdpSocket) {
        let mut bytes = [0; dns::MAX_QUESTION + 1];
        let Ok((count, from)) = questions.recv_from(&mut bytes) else { return };
        let question = bytes.get(..count).unwrap_or_default();
        if let Some(answer) = dns::answer(&self.plan, question) {
            self.tell_of_name(answer.refused.as_deref());
            // Whoever does not take the answer asks again.
            let _ = questions.send_to(&answer.bytes, from);
        }
    }

    fn tell_of_name(&self, refused: Option<&str>) {
        let Some(name) = refused else { return };
        let permit = name.parse::<hotcell_types::HostName>().ok().map(|name| format!("--egress {name}"));
        let what = format!("the name {} was not resolved", brief(name));
        self.note(Note::Refused { rule: None, code: None, what, permit });
    }

    /// Tells the host. When nobody hears it any more, the end is near.
    fn note(&self, note: Note) {
        let _ = wire::send(self.control.as_fd(), &Word::Note(note), &[]);
    }

    fn accept(self: &Arc<Self>, rule: Option<usize>, listener: &OwnedFd) -> io::Result<()> {
        // It may have given up already.
        let Ok(connection) = accept_with(listener, SocketFlags::CLOEXEC) else { return Ok(()) };
        let connection = TcpStream::from(connection);
        let gateway = Arc::clone(self);
        self.active.fetch_add(1, Ordering::AcqRel);
        let started = thread::Builder::new().stack_size(STACK).spawn(move || {
            match rule {
                None => gateway.answer_all(&connection),
                Some(rule) => gateway.serve_connection(rule, connection),
            }
            gateway.active.fetch_sub(1, Ordering::AcqRel);
        });
        if started.is_err() {
            self.active.fetch_sub(1, Ordering::AcqRel);
        }
        Ok(())
    }

    /// Questions over TCP, each with its length before it.
    fn answer_all(&self, mut connection: &TcpStream) {
        use std::io::Write as _;
        let Ok(()) = connection.set_read_timeout(Some(HEAD_TIME)) else { return };
        let mut length = [0; 2];
        while connection.read_exact(&mut length).is_ok() {
            let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
            if question.len() > dns::MAX_QUESTION || connection.read_exact(&mut question).is_err() {
                return;
            }
            let Some(answer) = dns::answer(&self.plan, &question) else { return };
            self.tell_of_name(answer.refused.as_deref());
            let Ok(length) = u16::try_from(answer.bytes.len()) else { return };
            if connection.write_all(&[&length.to_be_bytes()[..], &answer.bytes].concat()).is_err() {
                return;
            }
        }
    }

    fn serve_connection(&self, place: usize, connection: TcpStream) {
        let Some(rule) = self.plan.rules().get(place) else { return };
        let patient = connection.set_read_timeout(Some(HEAD_TIME)).and(connection.set_nodelay(true));
        if patient.is_err() {
            return;
        }
        let counts = Arc::new(Counts::default());
        self.under_way().push((place, Arc::clone(&counts)));
        match rule {
            // The port of plain HTTP: opened, it is read as such.
            Rule { passes: false, destination, .. } if destination.port == PLAIN_PORT => {
                http::Exchange::new(self, place, false, &counts).serve(connection);
            }
            _ => match hello::read(&mut &connection, HEAD_TIME) {
                Ok(hello) if hello.name == rule.destination.host => match rule.passes {
                    true => self.pass(place, &connection, &hello, &counts),
                    false => self.open(place, connection, hello, &counts),
                },
                other => self.refuse_hello(place, &connection, other.map(|hello| hello.name)),
            },
        }
        // Who is told of is not told of again.
        let mut under_way = self.under_way();
        let at = under_way.iter().position(|(_, other)| Arc::ptr_eq(other, &counts));
        let Some((place, counts)) = at.map(|at| under_way.swap_remove(at)) else { return };
        drop(under_way);
        self.tell_of(place, &counts);
    }

    fn under_way(&self) -> std::sync::MutexGuard<'_, Vec<(usize, Arc<Counts>)>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_of_all(&self) {
        let rest = std::mem::take(&mut *self.under_way());
        rest.iter().for_each(|(place, counts)| self.tell_of(*place, counts));
    }

    fn tell_of(&self, rule: usize, counts: &Counts) {
        let (bytes_out, bytes_in) = counts.now();
        if bytes_out > 0 || bytes_in > 0 {
            self.note(Note::Connected { rule, bytes_out, bytes_in });
        }
    }

    fn refuse_hello(&self, place: usize, mut connection: &TcpStream, said: Result<hotcell_types::HostName, NoHello>) {
        use std::io::Write as _;
        let Some(Rule { destination, .. }) = self.plan.rules().get(place) else { return };
        let (what, permit) = match said {
            // A client that ends before it says a word tried whether somebody is there.
            Err(NoHello::Gone(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return,
            Err(NoHello::Gone(error)) => (format!("it did not say whom it means: {error}"), None),
            Err(NoHello::NotTls) => ("what it said is not TLS".to_owned(), None),
            Err(NoHello::NoName) => ("it did not say, by TLS, whom it means".to_owned(), None),
            Ok(name) => (format!("by TLS it means {name}"), Some(format!("--egress {name}:{}", destination.port))),
        };
        let _ = connection.write_all(hello::UNRECOGNIZED_NAME);
        let what = brief(&format!("{destination}: a connection was refused: {what}"));
        self.note(Note::Refused { rule: Some(place), code: None, what, permit });
    }

    fn pass(&self, place: usize, connection: &TcpStream, hello: &Hello, counts: &Counts) {
        use std::io::Write as _;
        // Why there is none the broker tells.
        let Ok(mut outside) = self.dial(place) else { return };
        counts.goes_out(hello.bytes.len());
        if outside.write_all(&hello.bytes).is_ok() {
            relay::carry(connection, &outside, IDLE_TIME, counts);
        }
    }

    fn open(&self, place: usize, mut connection: TcpStream, hello: Hello, counts: &Counts) {
        let Some(Rule { destination, .. }) = self.plan.rules().get(place) else { return };
        let refused = |what: String| {
            let what = brief(&format!("{destination}: {what}"));
            self.note(Note::Refused { rule: Some(place), code: None, what, permit: None });
        };
        let inside = self.authority.as_ref().and_then(|authority| authority.server_of(&destination.host));
        let Some(inside) = inside else { return refused("no certificate could be made for it".to_owned()) };
        let mut tls = match hello.accepted.into_connection(inside) {
            Ok(tls) => tls,
            Err((error, mut alert)) => {
                // Whoever does not take the alert sees the end of the connection.
                let _ = alert.write_all(&mut connection);
                return refused(format!("the client's TLS was refused: {error}"));
            }
        };
        // A client that does not trust the sandbox's authority says so here, or just goes.
        match tls.complete_io(&mut connection) {
            Err(error) => refused(format!("the client ended TLS: {error}")),
            Ok(_) => {
                let inside = rustls::StreamOwned::new(tls, connection);
                http::Exchange::new(self, place, true, counts).serve(inside);
            }
        }
    }

    /// A connection to the host of a rule, by the broker.
    fn dial(&self, rule: usize) -> Result<TcpStream, NotConnected> {
        let failed = |error: io::Error| NotConnected::untold(format!("the broker does not answer: {error}"));
        let (ours, theirs) = wire::pair().map_err(failed)?;
        wire::send(self.control.as_fd(), &Word::Dial { rule }, &[theirs.as_fd()]).map_err(failed)?;
        drop(theirs);
        let Some((dialled, fds)) = wire::receive(&ours).map_err(failed)? else {
            return Err(NotConnected::untold("the broker does not answer"));
        };
        match (dialled, <[OwnedFd; 1]>::try_from(fds)) {
            (Dialled::Yes, Ok([connection])) => {
                let connection = TcpStream::from(connection);
                connection.set_nodelay(true).map_err(failed)?;
                Ok(connection)
            }
            (Dialled::No { why }, _) => Err(NotConnected { why, told: true }),
            (Dialled::Yes, _) => Err(NotConnected::untold("the broker gave no connection")),
        }
    }
}

/// What an exchange of requests and answers needs of the gateway.
impl http::Outside for Gateway {
    fn rule(&self, place: usize) -> Option<&Rule> {
        self.plan.rules().get(place)
    }

    fn count_request(&self, place: usize) -> u64 {
        self.requests.get(place).map_or(u64::MAX, |count| count.fetch_add(1, Ordering::Relaxed).saturating_add(1))
    }

    fn inspection(&self) -> &dyn Inspection {
        &*self.inspection
    }

    fn head_time(&self) -> Duration {
        HEAD_TIME
    }

    fn note(&self, note: Note) {
        self.note(note);
    }

    fn connect(&self, place: usize, with_tls: bool) -> Result<Box<dyn http::Stream>, NotConnected> {
        let connection = self.dial(place)?;
        let patient = connection.set_read_timeout(Some(IDLE_TIME)).and(connection.set_write_timeout(Some(IDLE_TIME)));
        patient.map_err(NotConnected::untold)?;
        if !with_tls {
            return Ok(Box::new(connection));
        }
        let host = &self.plan.rules().get(place).ok_or_else(|| NotConnected::untold("no such rule"))?.destination.host;
        let config = self.outside.config().map_err(NotConnected::untold)?;
        authority::connect(config, host, connection).map_err(NotConnected::untold)
    }
}

/// The port of HTTP without TLS.
const PLAIN_PORT: u16 = 80;
