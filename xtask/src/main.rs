//! The recipes of the project. `cargo xtask` lists them; each needs nothing but Rust, a C compiler
//! and, where it says so, Debian packages that it installs itself when it is root.

mod bench;
mod command;
mod deny;
mod dist;
mod kernels;
mod layers;
mod lint;
mod metadata;
mod ordinary;
mod packages;
mod promises;
mod reasons;
mod screenshot;
mod skips;
mod test;

use std::process::ExitCode;

use command::Result;

struct Recipe {
    name: &'static str,
    what: &'static str,
    run: fn(&[String]) -> Result,
}

const RECIPES: &[Recipe] = &[
    Recipe { name: "check-deps", what: "who may depend on whom, and why each foreign crate is here", run: check_deps },
    Recipe { name: "deny", what: "licences, bans, sources, duplicate versions, advisories", run: deny::recipe },
    Recipe { name: "fmt", what: "formatting (`--fix` rewrites)", run: lint::fmt },
    Recipe { name: "clippy", what: "lints of the whole workspace, warnings are errors", run: lint::clippy },
    Recipe { name: "doc", what: "documentation, warnings are errors", run: lint::doc },
    Recipe { name: "promises", what: "every test that the threat model cites exists", run: promises::check },
    Recipe { name: "check", what: "all of the above", run: check },
    Recipe {
        name: "test",
        what: "the checks and all tests, as root and as an ordinary user; `--full` adds the long ones, \
               `--no-checks` leaves the checks out",
        run: test::run,
    },
    Recipe { name: "ci", what: "what CI runs: `test` where a skip is a failure", run: test::ci },
    Recipe { name: "kernels", what: "stock kernels for the long tests, into target/kernels", run: kernels::run },
    Recipe {
        name: "bench",
        what: "`start`, `overhead`, `pool`, `scratch`, `ends`, `seal` or `inspect`: Hotcell beside its peers in one run (`--runs N`, `--json`)",
        run: bench::run,
    },
    Recipe {
        name: "dist",
        what: "a release: tarball, Debian package, sources for offline builds, bill of materials, checksums \
               (`--sign KEY`, `--output DIR`)",
        run: dist::recipe,
    },
    Recipe {
        name: "screenshot",
        what: "the README's pictures, from a real run of the given program",
        run: screenshot::recipe,
    },
];

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(name) = args.next() else {
        list();
        return ExitCode::SUCCESS;
    };
    let Some(recipe) = RECIPES.iter().find(|recipe| recipe.name == name) else {
        eprintln!("xtask: there is no recipe `{name}`");
        list();
        return ExitCode::from(2);
    };
    match (recipe.run)(&args.collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn list() {
    println!("cargo xtask RECIPE");
    for recipe in RECIPES {
        println!("  {:<11} {}", recipe.name, recipe.what);
    }
}

fn check_deps(args: &[String]) -> Result {
    command::no_arguments(args)?;
    layers::check(&metadata::Workspace::load()?)?;
    reasons::check()
}

fn check(args: &[String]) -> Result {
    command::no_arguments(args)?;
    match failed_checks() {
        0 => Ok(()),
        failed => Err(format!("{failed} of {} checks failed", CHECKS.len()).into()),
    }
}

/// Runs every check that is not a test, and gives how many failed: one that fails hides no other.
fn failed_checks() -> u64 {
    let mut failed = 0;
    for check in CHECKS {
        if let Err(error) = check(&[]) {
            eprintln!("failed: {error}");
            failed += 1;
        }
    }
    failed
}

/// The cheap ones come first.
const CHECKS: &[fn(&[String]) -> Result] =
    &[lint::fmt, check_deps, promises::check, deny::recipe, lint::clippy, lint::doc];
