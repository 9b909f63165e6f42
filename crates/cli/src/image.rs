//! `hotcell image`: the images that are kept here.

use std::io::{self, IsTerminal, Write};

use clap::{Args, Subcommand};
use hotcell_oci::{ImageRef, resolve};
use hotcell_task::image_store;
use hotcell_types::{ByteSize, Exit};
use serde_json::json;

use crate::app::App;
use crate::bar;
use crate::failure::Failure;
use crate::print::{self, theirs};

/// Fetch, list and remove images for `hotcell run --image` (docs/images.md).
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fetch an image and tell its digest, by which `hotcell run --image` takes it.
    Pull {
        /// REGISTRY/NAME with :TAG or @sha256:DIGEST, a short name that images.toml resolves, or the path of a layout
        /// folder or a tar, beginning with `./` or `/`.
        #[arg(value_name = "IMAGE")]
        image: String,
    },
    /// List the images that are kept.
    List,
    /// Remove images, and what interrupted fetches left.
    Rm {
        /// Digests, or beginnings of them.
        #[arg(required = true, value_name = "DIGEST")]
        digests: Vec<String>,
    },
}

pub(crate) fn run(arguments: &Arguments, app: &App) -> Result<Exit, Failure> {
    match &arguments.command {
        Command::Pull { image } => pull(image, app),
        Command::List => list(app),
        Command::Rm { digests } => remove(digests, app),
    }
}

fn pull(name: &str, app: &App) -> Result<Exit, Failure> {
    let settings = crate::image_settings::read()?;
    let reference = ImageRef::parse(name, &settings)?;
    let store = image_store(&app.state);
    let resolved = resolve(&reference, &settings, &store)?;
    let bytes = resolved.bytes_to_fetch();
    let wants_bar = bytes > 0 && !app.json;
    let bar = wants_bar.then(|| bar::bar(bytes, "fetching the image", bar::BYTES)).flatten();
    let fetched = resolved.fetch(&store, &mut |done, _| {
        bar.iter().for_each(|bar| bar.set_position(done));
        true
    });
    bar.iter().for_each(|bar| bar.finish_and_clear());
    let image = fetched?;
    let digest = image.digest();
    // What can be given to `--image` to get this very image.
    let exact = match &reference {
        ImageRef::Registry { name, .. } => format!("{name}@{digest}"),
        ImageRef::Path { path, .. } => format!("{}@{digest}", path.display()),
    };
    match app.json {
        true => print::json(&json!({
            "digest": digest,
            "image": exact,
            "fetched_bytes": bytes,
            "entries": image.entries(),
            "left_out": image.left_out(),
            "user": image.config().user,
            "command": image.config().default_command().unwrap_or_default(),
        }))?,
        false => writeln!(print::out(), "{}", theirs(&exact))?,
    }
    Ok(Exit::Yes)
}

fn list(app: &App) -> Result<Exit, Failure> {
    let images = image_store(&app.state).list()?;
    if app.json {
        print::json(&images)?;
    } else if io::stdout().is_terminal() {
        let mut table = print::table(&["digest", "size", "entries", "name"]);
        for image in &images {
            let (size, entries) = (ByteSize(image.bytes).to_string(), image.entries.to_string());
            table.add_row([&image.digest.to_string(), &size, &entries, &theirs(&image.name)]);
        }
        writeln!(print::out(), "{table}")?;
    } else {
        let mut to = print::out();
        for image in &images {
            writeln!(to, "{} {} {} {}", image.digest, image.bytes, image.entries, theirs(&image.name))?;
        }
    }
    Ok(Exit::Yes)
}

fn remove(digests: &[String], app: &App) -> Result<Exit, Failure> {
    let store = image_store(&app.state);
    let removed = digests.iter().map(|digest| store.remove(digest)).collect::<Result<Vec<_>, _>>()?;
    match app.json {
        true => print::json(&json!({ "removed": removed }))?,
        false => removed.iter().try_for_each(|digest| writeln!(print::out(), "removed {digest}"))?,
    }
    Ok(Exit::Yes)
}
