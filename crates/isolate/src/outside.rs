//! What is seen of a sandbox from outside, because it cannot be seen from inside: its control groups and processors.

use std::collections::BTreeSet;

use hotcell_types::{Enforcement, Observation, Wall};
use rustix::process::Pid;

use crate::cgroup::Group;
use crate::sandbox::{Parts, pids_of_group};

impl Parts {
    /// Sees from outside what cannot be seen from inside: the groups of the sandbox and their limits.
    pub(crate) fn observe_groups(&self) -> Vec<Observation> {
        let mut observations = Vec::new();
        let mut add = |wall: Wall, tried: &str, expected: u64, seen: Option<u64>| {
            let member = self.group.as_ref().is_some_and(|group| group.holds(self.live.pid));
            let holds = member && seen == Some(expected);
            observations.push(Observation {
                wall,
                tried: format!("{tried}, read outside"),
                expected: expected.to_string(),
                seen: match seen {
                    _ if !member => "the sandbox is not in the group".into(),
                    Some(seen) => seen.to_string(),
                    None => "nothing".into(),
                },
                holds,
                enforcement: if holds {
                    Enforcement::Full
                } else {
                    Enforcement::Absent { why: "the group does not hold it".into() }
                },
            });
        };
        if let Some(group) = &self.group {
            if self.host.cgroups.has_memory() {
                let limit = self.limits.memory().bytes().next_multiple_of(4096);
                add(Wall::MemoryLimit, "memory limit of the control group", limit, group.memory_limit());
            }
            if self.host.cgroups.has_pids() {
                let limit = pids_of_group(self.limits.pids());
                add(Wall::PidsLimit, "process limit of the control group", limit, group.pids_limit());
            }
        }
        if let Some(group) = self.group_of_processors() {
            let cpu = self.limits.cpu_millis();
            add(Wall::CpuLimit, "thousandths of a processor in the control group", cpu, group.cpu_millis());
        }
        observations
    }

    /// The group that limits processor time, where one does.
    fn group_of_processors(&self) -> Option<&Group> {
        let is_limited = self.host.cgroups.has_cpu() && self.limits.cpu_millis() < self.host.processors * 1000;
        self.group.as_ref().filter(|_| is_limited)
    }

    /// The same of the processors that it may use, which it chooses later than its groups.
    pub(crate) fn observe_processors(&self) -> Vec<Observation> {
        let bound = self.group_of_processors().is_none().then(|| self.observe_affinity(self.limits.cpu_millis()));
        bound.into_iter().chain(self.observe_cores()).collect()
    }

    /// Without a control group, or above what the host has: the processors that the sandbox may use.
    fn observe_affinity(&self, cpu_millis: u64) -> Observation {
        let most = cpu_millis.div_ceil(1000).max(1);
        let seen = self.processors();
        let holds = seen.as_ref().is_some_and(|seen| seen.len() as u64 <= most);
        Observation {
            wall: Wall::CpuLimit,
            tried: "count of processors, read outside".into(),
            expected: format!("at most {most}"),
            seen: seen.map_or_else(|| "nothing".into(), |seen| seen.len().to_string()),
            holds,
            enforcement: match holds {
                true => self.host.limit(Wall::CpuLimit),
                false => Enforcement::Absent { why: "it may use more processors".into() },
            },
        }
    }

    fn observe_cores(&self) -> Option<Observation> {
        let cores = self.cores.as_ref()?;
        let seen = self.processors();
        let holds = seen.as_ref() == Some(cores.processors());
        let missing = "programs that did not ask for cores of their own may run on them too";
        Some(Observation {
            wall: Wall::OwnCores,
            tried: "processors that it may use, read outside".into(),
            expected: format!("{:?}", cores.processors()),
            seen: format!("{:?}", seen.unwrap_or_default()),
            holds,
            enforcement: match holds {
                true => Enforcement::Partial { missing: missing.into() },
                false => Enforcement::Absent { why: "it may use other processors".into() },
            },
        })
    }

    fn processors(&self) -> Option<BTreeSet<usize>> {
        // Without an id it would be asked of this process.
        crate::host::processors_of(Some(Pid::from_raw(self.live.pid)?)).ok()
    }
}
