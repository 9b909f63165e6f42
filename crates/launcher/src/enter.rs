//! The three processes, and what each does with its part of the plan.

use core::ffi::{CStr, c_char};

use hotcell_sys::process::{self, Forked};
use hotcell_sys::{Errno, Fd, Result, file, signal, socket, terminal};

use crate::build::{build, id_mount};
use crate::lock::Lock;
use crate::message::{GO, Message};
use crate::plan::{self, INNER_ID, Step, Steps};
use crate::probe::Probes;

/// The control socket.
const CONTROL: Fd = Fd(0);
/// Descriptors from here on are out of the way of those that came with the plan.
const HIGH: u32 = 40;
/// Most arguments and environment strings together; their pointers lie on the stack.
const MAX_STRINGS: usize = 8192;
/// Pages of a plan that are read; the host refuses larger ones before.
const MAX_PLAN_BYTES: usize = 4 << 20;

/// What every process of the launcher carries along.
pub(crate) struct Context<'a> {
    /// The descriptors that came with the plan.
    pub(crate) fds: [Fd; socket::MAX_FDS],
    /// How many.
    pub(crate) fd_count: usize,
    /// The steps to come.
    steps: Steps<'a>,
    /// Number of the step that was read last.
    number: u64,
    /// The control socket, under its present number.
    pub(crate) control: Fd,
    /// The FUSE device, where it could be opened.
    pub(crate) fuse: Result<Fd>,
}

/// The program: standard input is the control socket.
pub fn main() -> ! {
    // Whoever started us blocked all signals, and its standard output and error are no business of a sandbox.
    if signal::unblock_all().is_err() {
        process::exit(125);
    }
    file::close(Fd(1));
    file::close(Fd(2));
    let mut fds = [Fd(-1); socket::MAX_FDS];
    let Ok((steps, fd_count)) = receive_plan(CONTROL, &mut fds) else { process::exit(125) };
    let fuse = Err(Errno::ENODEV);
    let mut context = Context { fds, fd_count, steps, number: 0, control: CONTROL, fuse };
    match outside(&mut context) {
        Ok(()) => process::exit(0),
        Err(error) => context.fail(error),
    }
}

/// A plan: its length as a message, its bytes in the first of the descriptors that come along.
fn receive_plan<'a>(control: Fd, fds: &mut [Fd; socket::MAX_FDS]) -> Result<(Steps<'a>, usize)> {
    let mut length = [0u8; 8];
    let (8, fd_count) = socket::receive(control, &mut length, fds)? else { return Err(Errno::EPIPE) };
    let length = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX);
    if fd_count == 0 || length > MAX_PLAN_BYTES {
        return Err(Errno::E2BIG);
    }
    let steps = plan::read(file::map_for_ever(fds[0], length)?).ok_or(Errno::EINVAL)?;
    Ok((steps, fd_count))
}

impl<'a> Context<'a> {
    /// The next step.
    fn step(&mut self) -> Result<Option<Step<'a>>> {
        self.number += 1;
        match self.steps.next() {
            None => Ok(None),
            Some(Ok(step)) => Ok(Some(step)),
            Some(Err(())) => Err(Errno::EINVAL),
        }
    }

    /// Number of the step at hand, counted from 0.
    pub(crate) fn step_number(&self) -> u64 {
        self.number.saturating_sub(1)
    }

    /// Says which step failed and ends this process, and with it the sandbox.
    fn fail(&self, error: Errno) -> ! {
        self.say(Message::Failed { step: self.step_number(), errno: i64::from(error.0) }, &[]);
        process::exit(125)
    }

    /// Tells the host something. When the host is gone there is nobody to tell, and the sandbox ends anyway.
    pub(crate) fn say(&self, message: Message, fds: &[Fd]) {
        let _ = socket::send(self.control, &message.encode(), fds);
    }

    /// The descriptor at a place among those that came with the plan.
    pub(crate) fn descriptor(&self, place: u64) -> Result<Fd> {
        let came = self.fds.get(..self.fd_count).unwrap_or_default();
        usize::try_from(place).ok().and_then(|place| came.get(place)).copied().ok_or(Errno::EINVAL)
    }

    /// Waits for the rest of the plan. Its steps are numbered on.
    fn claimed(&mut self) -> Result<()> {
        self.fds = [Fd(-1); socket::MAX_FDS];
        let (steps, fd_count) = receive_plan(self.control, &mut self.fds)?;
        self.steps = steps;
        self.fd_count = fd_count;
        Ok(())
    }

    /// Waits for the host's word.
    fn await_word(&self) -> Result<()> {
        let mut word = [0u8; 1];
        match socket::receive(self.control, &mut word, &mut [Fd(-1); socket::MAX_FDS])? {
            (1, _) if word[0] == GO => Ok(()),
            _ => Err(Errno::EPIPE),
        }
    }
}

/// The launcher itself: makes mounts that need the host's rights, or gives birth to the first process.
fn outside(context: &mut Context<'_>) -> Result<()> {
    // For the workload, which is to begin as from a shell; and whoever ignores the ends of children cannot await them.
    signal::default_all()?;
    let mut ids = None;
    while let Some(step) = context.step()? {
        match step {
            Step::Ids { user, group, privileged } => ids = Some((user, group, privileged != 0)),
            Step::IdMount { source, user, group } => {
                let (outer_user, outer_group, _) = ids.ok_or(Errno::EINVAL)?;
                let tree = id_mount(source, (user, outer_user), (group, outer_group))?;
                context.say(Message::Handed { step: context.step_number() }, &[tree]);
                file::close(tree);
            }
            step @ Step::Affinity { .. } => build(context, step)?,
            Step::Namespaces { flags } => {
                let (user, group, privileged) = ids.ok_or(Errno::EINVAL)?;
                return give_birth(context, flags, user, group, privileged);
            }
            _ => return Err(Errno::EINVAL),
        }
    }
    Ok(())
}

fn give_birth(context: &mut Context<'_>, flags: u64, user: u64, group: u64, privileged: bool) -> Result<()> {
    let has_user_namespace = flags & process::CLONE_NEWUSER != 0;
    let gate = Gate::new()?;
    match process::fork_into(flags | process::CLONE_PARENT)? {
        Forked::Child => {
            let result = gate.wait().and_then(|()| first_process(context, has_user_namespace, privileged));
            match result {
                Ok(never) => match never {},
                Err(error) => context.fail(error),
            }
        }
        Forked::Parent { pid, pidfd } => {
            if has_user_namespace {
                crate::build::write_id_maps(pid, (INNER_ID.into(), user), (INNER_ID.into(), group), privileged)?;
            }
            context.say(Message::Born { pid: i64::from(pid) }, &[pidfd]);
            gate.open()
        }
    }
}

/// The first process of the sandbox: builds, forks the workload, reaps until the end.
fn first_process(
    context: &mut Context<'_>,
    has_user_namespace: bool,
    privileged: bool,
) -> Result<core::convert::Infallible> {
    process::new_session()?;
    if has_user_namespace {
        // Only who opened it in the user namespace may mount it there, and on some hosts it is for root alone, whose
        // id this process still has. What came of it is told by the step that needs it.
        context.fuse = file::open_at(Fd::CWD, c"/dev/fuse", file::O_RDWR | file::O_CLOEXEC, 0);
        if privileged {
            process::drop_groups()?;
        }
        process::set_ids(INNER_ID, INNER_ID)?;
    }
    file::set_umask(0);
    loop {
        match context.step()?.ok_or(Errno::EINVAL)? {
            Step::Claim {} => context.claimed()?,
            Step::Await {} => {
                context.say(Message::Waiting, &[]);
                context.await_word()?;
            }
            Step::Workload {} => break,
            step => build(context, step)?,
        }
    }
    let child_ends = signal::child_ends()?;
    match process::fork_into(0)? {
        Forked::Child => match workload(context) {
            Ok(never) => match never {},
            Err(error) => context.fail(error),
        },
        Forked::Parent { pid, pidfd } => {
            file::close(pidfd);
            reap_until_the_end(context, pid, child_ends)
        }
    }
}

/// Keeps the process table clean, and ends when the workload or the host does: the kernel then kills all
/// that is left in the sandbox.
fn reap_until_the_end(context: &mut Context<'_>, workload: i32, child_ends: Fd) -> Result<core::convert::Infallible> {
    // INVARIANT (idle-guardian): the guardian holds the control socket and its signal descriptor, no
    // capability, nothing that could be written to, and no memory that its own user could read.
    // Building leaves descriptors of mounts behind, and a careless caller some of its own.
    let own = child_ends.0 as u32;
    file::close_range(CONTROL.0 as u32 + 1, own - 1)?;
    file::close_range(own + 1, u32::MAX)?;
    process::drop_capabilities()?;
    process::no_new_privileges()?;
    process::not_dumpable()?;
    loop {
        let (host_is_gone, child_ended) = match socket::wait_hangup_or_readable(context.control, child_ends) {
            Err(Errno::EINTR) => continue,
            other => other?,
        };
        if host_is_gone {
            process::exit(125);
        }
        if !child_ended {
            continue;
        }
        // One signal may stand for several ends.
        let mut signal = [0u8; 128];
        file::read(child_ends, &mut signal)?;
        while let Some(ended) = reap_one()? {
            if ended.pid == workload {
                context.say(Message::Ended { status: i64::from(ended.status) }, &[]);
                process::exit(0);
            }
        }
    }
}

fn reap_one() -> Result<Option<process::Ended>> {
    match process::reap(false) {
        Err(Errno::ECHILD) => Ok(None),
        other => other,
    }
}

/// The workload's process: locks itself in, reports what it can still do, becomes the program.
fn workload(context: &mut Context<'_>) -> Result<core::convert::Infallible> {
    signal::unblock_all()?;
    // The change of ids hid this process's own /proc files from itself; `execve` would undo that anyway.
    process::dumpable()?;
    let mut lock = Lock::new();
    let mut probes = Probes::new();
    loop {
        match context.step()?.ok_or(Errno::EINVAL)? {
            Step::Streams {} => arrange_streams(context)?,
            Step::Session { terminal } => begin_session(terminal)?,
            Step::CloseOthers {} => close_others(context.control)?,
            Step::CgroupNamespace {} => process::unshare(process::CLONE_NEWCGROUP)?,
            Step::WorkingDir { path } => file::change_dir(path)?,
            Step::Probe { kind, text, number } => probes.try_out(kind, text, number)?,
            Step::Report {} => {
                probes.report(context.control)?;
                context.await_word()?;
            }
            Step::Execute { candidates, arguments, environment } => {
                let error = execute(candidates, arguments, environment);
                context.say(Message::NotExecuted { errno: i64::from(error.0) }, &[]);
                process::exit(125);
            }
            Step::SeccompTold { program, in_company } => {
                let listener = lock.filter_told(program, in_company)?;
                context.say(Message::Handed { step: context.step_number() }, &[listener]);
                file::close(listener);
            }
            step => lock.turn(step)?,
        }
    }
}

/// Standard streams become the descriptors 1, 2 and 3 that came with the plan; the control socket moves out
/// of their way and closes by itself at `execve`.
fn arrange_streams(context: &mut Context<'_>) -> Result<()> {
    if context.fd_count < 4 {
        return Err(Errno::EINVAL);
    }
    let control = duplicate_high(context.control)?;
    let streams = [context.fds[1], context.fds[2], context.fds[3]];
    let mut moved = [Fd(-1); 3];
    for (place, stream) in moved.iter_mut().zip(streams) {
        *place = duplicate_high(stream)?;
    }
    for (number, stream) in moved.iter().enumerate() {
        file::duplicate_to(*stream, Fd(number as i32))?;
        file::close(*stream);
    }
    context.control = control;
    Ok(())
}

/// A session of its own, whose controlling terminal is the standard streams.
fn begin_session(path: &CStr) -> Result<()> {
    process::new_session()?;
    let terminal = file::open_at(Fd::CWD, path, file::O_RDWR | terminal::O_NOCTTY | file::O_CLOEXEC, 0)?;
    terminal::make_controlling(terminal)?;
    for number in 0..3 {
        file::duplicate_to(terminal, Fd(number))?;
    }
    file::close(terminal);
    Ok(())
}

/// Closes everything but the standard streams and the control socket.
fn close_others(control: Fd) -> Result<()> {
    file::close_range(3, control.0 as u32 - 1)?;
    file::close_range(control.0 as u32 + 1, u32::MAX)
}

/// A copy of a descriptor with a number from [`HIGH`] on, closed at `execve`.
fn duplicate_high(fd: Fd) -> Result<Fd> {
    file::duplicate_above(fd, HIGH)
}

fn execute(candidates: &[u8], arguments: &[u8], environment: &[u8]) -> Errno {
    let mut pointers = [core::ptr::null::<c_char>(); MAX_STRINGS + 2];
    let Some(after_arguments) = point_to(arguments, &mut pointers) else { return Errno::E2BIG };
    let (argument_pointers, rest) = pointers.split_at_mut(after_arguments);
    let Some(after_environment) = point_to(environment, rest) else { return Errno::E2BIG };
    let environment_pointers = &rest[..after_environment];
    let mut last = Errno::ENOENT;
    for candidate in strings(candidates) {
        let error = process::execute(candidate, argument_pointers, environment_pointers);
        // As a shell searches: a name that is not there hides no other error.
        if !matches!(error, Errno::ENOENT | Errno::ENOTDIR) {
            last = error;
            if error != Errno::EACCES {
                break;
            }
        }
    }
    last
}

/// Fills the array with pointers to NUL-terminated strings and a null pointer; gives the number of places used.
fn point_to(bytes: &[u8], pointers: &mut [*const c_char]) -> Option<usize> {
    let mut count = 0;
    for text in strings(bytes) {
        *pointers.get_mut(count)? = text.as_ptr();
        count += 1;
    }
    *pointers.get_mut(count)? = core::ptr::null();
    Some(count + 1)
}

/// The NUL-terminated strings of a run of bytes.
fn strings(bytes: &[u8]) -> impl Iterator<Item = &CStr> {
    bytes.split_inclusive(|byte| *byte == 0).filter_map(|text| CStr::from_bytes_with_nul(text).ok())
}

/// Holds the child back until its ids are mapped.
struct Gate {
    child_end: Fd,
    parent_end: Fd,
}

impl Gate {
    fn new() -> Result<Self> {
        let (child_end, parent_end) = file::pipe()?;
        Ok(Self { child_end, parent_end })
    }

    fn wait(&self) -> Result<()> {
        file::close(self.parent_end);
        let mut word = [0u8; 1];
        let count = file::read(self.child_end, &mut word)?;
        file::close(self.child_end);
        if count == 1 { Ok(()) } else { Err(Errno::EPIPE) }
    }

    fn open(&self) -> Result<()> {
        file::write_all(self.parent_end, &[GO])
    }
}
