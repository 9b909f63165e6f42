//! Which made-up address stands for which host.

use std::net::Ipv4Addr;

use hotcell_types::{Destination, HostName, RequestRules};
use serde::{Deserialize, Serialize};

/// A host that may be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which, and its port.
    pub destination: Destination,
    /// Whether what goes there passes unopened.
    pub passes: bool,
    /// Which requests may pass, where it is opened.
    pub requests: RequestRules,
}

/// A socket that is opened inside and served outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Socket {
    /// Its address.
    pub address: Ipv4Addr,
    /// Its port.
    pub port: u16,
    /// Whether it takes datagrams; else connections.
    pub datagrams: bool,
}

/// The network inside: the resolver, and an address for each host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    rules: Vec<Rule>,
    hosts: Vec<HostName>,
}

impl Plan {
    /// The resolver's address. The network is set aside for measurements (RFC 2544): no host on the internet has one of it.
    pub const RESOLVER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
    /// The mask of the network.
    pub const MASK: Ipv4Addr = Ipv4Addr::new(255, 254, 0, 0);
    /// The first address that stands for a host.
    const FIRST: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 1);
    const DNS: u16 = 53;

    /// The network for these rules; none for one destination twice.
    pub fn new(rules: Vec<Rule>) -> Self {
        let mut hosts: Vec<_> = rules.iter().map(|rule| rule.destination.host.clone()).collect();
        hosts.sort();
        hosts.dedup();
        Self { rules, hosts }
    }

    /// The rules.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The address that stands for a host, where it may be reached.
    pub fn address_of(&self, host: &HostName) -> Option<Ipv4Addr> {
        let place = self.hosts.binary_search(host).ok()?;
        Some(Ipv4Addr::from_bits(Self::FIRST.to_bits() + u32::try_from(place).ok()?))
    }

    /// The sockets to open: the resolver's two, and then one for each rule.
    pub fn sockets(&self) -> Vec<Socket> {
        let resolver = |datagrams| Socket { address: Self::RESOLVER, port: Self::DNS, datagrams };
        let of_rule = |rule: &Rule| {
            let address = self.address_of(&rule.destination.host).unwrap_or(Ipv4Addr::UNSPECIFIED);
            Socket { address, port: rule.destination.port, datagrams: false }
        };
        [resolver(true), resolver(false)].into_iter().chain(self.rules.iter().map(of_rule)).collect()
    }

    /// Whether any host's bytes are opened.
    pub fn opens(&self) -> bool {
        self.rules.iter().any(|rule| !rule.passes)
    }

    /// Whether any host's bytes pass unopened.
    pub fn passes(&self) -> bool {
        self.rules.iter().any(|rule| rule.passes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_address_and_each_rule_a_socket_of_its_own() {
        let rule =
            |text: &str| Rule { destination: text.parse().unwrap(), passes: false, requests: RequestRules::default() };
        let plan = Plan::new(vec![rule("b.example"), rule("a.example"), rule("b.example:8443")]);
        let b = plan.address_of(&"B.example".parse().unwrap()).unwrap();
        assert_eq!((b, plan.address_of(&"c.example".parse().unwrap())), (Ipv4Addr::new(198, 18, 1, 2), None));
        let sockets: Vec<_> = plan.sockets().iter().map(|socket| (socket.address, socket.port)).collect();
        let (resolver, a) = (Plan::RESOLVER, Ipv4Addr::new(198, 18, 1, 1));
        assert_eq!(sockets, [(resolver, 53), (resolver, 53), (b, 443), (a, 443), (b, 8443)]);
    }
}
