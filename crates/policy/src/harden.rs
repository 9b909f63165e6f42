//! What obligations demand of the profile: it is narrowed, never widened.

use std::collections::BTreeSet;

use crate::limit::{Demand, LimitKey};
use crate::obligation::Hardening;
use crate::profile::{Profile, Setting};
use crate::{Origin, OutputRule, ScratchRule, SideChannelRule, SignatureRule, StreamRule};

impl Profile {
    /// Narrows the profile to what is demanded. Gives whether anything changed.
    pub(crate) fn harden(&mut self, demands: &BTreeSet<Hardening>) -> bool {
        let before = self.clone();
        for demand in demands {
            match demand {
                Hardening::WriteXorExecute => set(&mut self.write_xor_execute, true),
                Hardening::EncryptedScratch => set(&mut self.scratch, ScratchRule::Encrypted),
                Hardening::NoLoopback => {
                    set(&mut self.loopback, false);
                    set(&mut self.loopback_allowed, false);
                }
                Hardening::DeclaredOutputs => set(&mut self.outputs, OutputRule::Declared),
                Hardening::InspectedStreams => set(&mut self.streams, StreamRule::Inspect),
                Hardening::TrustedModel => set(&mut self.signature, SignatureRule::Trusted),
                Hardening::FullLimits => {
                    for key in LimitKey::ALL {
                        let limit = self.limits.of_mut(*key);
                        if limit.enforcement != Demand::Full {
                            (limit.enforcement, limit.enforcement_origin) = (Demand::Full, Origin::Policy);
                        }
                    }
                }
                Hardening::SideChannels => set(&mut self.side_channels, SideChannelRule::Hardened),
            }
        }
        *self != before
    }
}

fn set<T: PartialEq>(setting: &mut Setting<T>, value: T) {
    if setting.value != value {
        *setting = Setting { value, origin: Origin::Policy };
    }
}
