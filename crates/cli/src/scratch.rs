//! The server of an encrypted scratch: this very program under another name, one for each sandbox.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use hotcell_isolate::serve::Service;
use hotcell_isolate::{SERVER_ARGUMENT, SERVER_NAME};
use hotcell_types::Exit;
use hotcell_vault::scratch::{BLOCK_BYTES, Blocks, Cipher, Limits, Owner, Server, Time, Volume};

/// The id that every workload has inside; the root of the volume is its.
const WORKLOAD: Owner = Owner { user: 65534, group: 65534 };

/// Whether this process was started as the server.
pub(crate) fn is_server(name: Option<&OsStr>) -> bool {
    name.and_then(|name| Path::new(name).file_name()).is_some_and(|name| name == SERVER_NAME)
}

/// Serves until the sandbox or the host is gone. Whoever started it knows how it went; there is nobody else to tell.
pub(crate) fn main(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    if arguments.next().is_none_or(|argument| argument != SERVER_ARGUMENT) {
        return Exit::Usage.status().into();
    }
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => Exit::Failed.status().into(),
    }
}

fn serve() -> io::Result<()> {
    let (mut service, backing, fuse) = Service::hear(io::stdin().as_fd())?;
    let cipher = Cipher::with_new_key().ok_or_else(|| io::Error::other("no cipher"))?;
    let limits = Limits { bytes: service.order.bytes, inodes: service.order.inodes };
    let volume = Volume::new(Blocks::new(Box::new(backing), cipher), limits, WORKLOAD, now());
    let mut server = Server::new(fuse, volume, &now)?;
    service.lock_in()?;
    server.serve(service.control())?;
    let (usage, blocks) = (server.volume().usage(), server.volume().blocks());
    let report = (usage.blocks_peak * BLOCK_BYTES as u64, blocks.tampered(), blocks.failed());
    // The key is wiped and the device closed before anybody hears of it.
    drop(server);
    service.report(report.0, report.1, report.2)
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time { seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX), nanoseconds: since.subsec_nanos() }
}
