use proptest::prelude::*;

use super::*;

fn any_obligations() -> impl Strategy<Value = Obligations> {
    let number = || prop::option::of(prop_oneof![Just(0u64), 1u64..5, Just(u64::MAX)]);
    let audit = prop::sample::select(&[AuditLevel::Normal, AuditLevel::High, AuditLevel::VeryHigh][..]);
    let isolation = prop::sample::select(&[IsolationLevel::Process, IsolationLevel::Microvm, IsolationLevel::Tee][..]);
    let views = prop::collection::btree_set(prop::sample::select(&["a", "b", "c"][..]).prop_map(str::to_owned), 0..3);
    let hardening = prop::sample::subsequence(Hardening::ALL, 0..=Hardening::ALL.len());
    (audit, number(), views, isolation, hardening, number(), 0u32..4, number()).prop_map(
        |(audit, step_up_ms, views, isolation, hardening, lifetime_ms, approvals, capacity_bits)| Obligations {
            audit,
            step_up_ms,
            views,
            isolation,
            hardening: hardening.into_iter().map(|(_, one)| one).collect(),
            lifetime_ms,
            approvals,
            capacity_bits,
        },
    )
}

/// Each component by itself, said once more and otherwise: whether `left` is at least as strict as `right`.
fn as_strict(left: &Obligations, right: &Obligations) -> bool {
    let at_most = |left: Option<u64>, right: Option<u64>| match (left, right) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(left), Some(right)) => left <= right,
    };
    left.audit >= right.audit
        && at_most(left.step_up_ms, right.step_up_ms)
        && left.views.is_superset(&right.views)
        && left.isolation >= right.isolation
        && left.hardening.is_superset(&right.hardening)
        && at_most(left.lifetime_ms, right.lifetime_ms)
        && left.approvals >= right.approvals
        && at_most(left.capacity_bits, right.capacity_bits)
}

proptest! {
    #[test]
    fn the_join_is_the_least_that_is_as_strict_as_both(
        a in any_obligations(), b in any_obligations(), c in any_obligations(),
    ) {
        let join = a.clone().join(&b);
        prop_assert!(as_strict(&join, &a) && as_strict(&join, &b));
        prop_assert_eq!(as_strict(&c, &join), as_strict(&c, &a) && as_strict(&c, &b));
        prop_assert_eq!(a.is_met_by(&b), as_strict(&b, &a));
    }

    #[test]
    fn neither_order_nor_repetition_matters(a in any_obligations(), b in any_obligations(), c in any_obligations()) {
        prop_assert_eq!(a.clone().join(&b), b.clone().join(&a));
        prop_assert_eq!(a.clone().join(&b).join(&c), a.clone().join(&b.clone().join(&c)));
        prop_assert_eq!(a.clone().join(&a), a.clone());
        prop_assert_eq!(a.clone().join(&Obligations::none()), a);
    }
}

#[test]
fn each_annotation_is_read_and_a_meaningless_one_says_what_it_takes() {
    let read = |name: &str, value: &str| {
        let mut obligations = Obligations::none();
        obligations.annotate(name, value).map(|()| obligations)
    };
    let none = Obligations::none;
    for (name, value, seen) in [
        ("obligation_audit", "very-high", Obligations { audit: AuditLevel::VeryHigh, ..none() }),
        ("obligation_step_up", "10m", Obligations { step_up_ms: Some(600_000), ..none() }),
        ("obligation_view", "masked, coarse", {
            Obligations { views: ["masked".to_owned(), "coarse".to_owned()].into(), ..none() }
        }),
        ("obligation_isolation", "tee", Obligations { isolation: IsolationLevel::Tee, ..none() }),
        ("obligation_hardening", "full-limits,no-loopback", {
            Obligations { hardening: [Hardening::FullLimits, Hardening::NoLoopback].into(), ..none() }
        }),
        ("obligation_lifetime", "30s", Obligations { lifetime_ms: Some(30_000), ..none() }),
        ("obligation_approvals", "2", Obligations { approvals: 2, ..none() }),
        ("obligation_capacity", "0", Obligations { capacity_bits: Some(0), ..none() }),
    ] {
        assert_eq!(read(name, value), Ok(seen), "{name}");
    }
    for (name, value) in [
        ("obligation_audit", "low"),
        ("obligation_audit", "normal"),
        ("obligation_step_up", "soon"),
        ("obligation_view", "a,,b"),
        ("obligation_view", ""),
        ("obligation_isolation", "vm"),
        ("obligation_hardening", "full-limits, all"),
        ("obligation_hardening", ""),
        ("obligation_lifetime", "0s"),
        ("obligation_lifetime", "16m"),
        ("obligation_approvals", "0"),
        ("obligation_approvals", "-1"),
        ("obligation_approvals", "101"),
        ("obligation_capacity", "-1"),
        ("obligation_capacity", "12.5"),
        ("obligation_capacity", ""),
    ] {
        let said = read(name, value).unwrap_err().unwrap();
        assert!(said.starts_with("it takes "), "{name} {value}: {said}");
    }
    assert_eq!(read("obligation_prayer", "daily"), Err(None));
    assert_eq!(read("obligation", "x"), Err(None));
}
