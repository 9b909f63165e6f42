//! A decision of ours beside plain Cedar's and Rego's, by the same rules over the same entities.
//!
//! The contest itself is an example of the crate `hotcell-policy`, behind a feature that alone brings the peers: nobody who
//! builds Hotcell or its recipes waits for them.

use super::Wishes;
use crate::command::{Result, cargo, run as run_shown};

/// Builds the contest as it is shipped, and runs it.
pub(crate) fn run(wishes: &Wishes) -> Result {
    let mut command = cargo("run");
    command.args(["--release", "--package", "hotcell-policy", "--features", "peers", "--example", "beside_peers"]);
    if wishes.json {
        command.args(["--", "--json"]);
    }
    run_shown(&mut command)
}
