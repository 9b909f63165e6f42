//! Seals and opens FILE once and prints the speed of both: `cargo run --release -p hotcell-vault
//! --example throughput -- FILE`. Writes FILE.sealed and FILE.opened.

use std::fs::File;
use std::time::Instant;

use hotcell_crypto::{SecretKey, SigningKey};
use hotcell_vault::{Package, SealSpec, Terms, seal_model};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("give the name of a file")?;
    let (sealed, opened) = (format!("{path}.sealed"), format!("{path}.opened"));
    let (key, vendor) = (SecretKey::generate(), SigningKey::generate());
    let file_bytes = std::fs::metadata(&path)?.len();
    let spec = SealSpec {
        model_id: "throughput",
        version: 1,
        file_name: "model",
        file_bytes,
        terms: Terms::default(),
        recipients: &[key.public()],
        vendor: &vendor,
    };
    let speed = |start: Instant| file_bytes as f64 / start.elapsed().as_secs_f64() / 1e6;

    let start = Instant::now();
    seal_model(File::open(&path)?, File::create(&sealed)?, &spec)?;
    println!("seal {:.0} MB/s", speed(start));

    let start = Instant::now();
    let mut package = File::open(&sealed)?;
    let unlocked = Package::unlock(Package::read_header(&mut package)?, &key, None)?;
    unlocked.open_body(package, File::create(&opened)?, &mut |_| ())?;
    println!("open {:.0} MB/s", speed(start));
    Ok(())
}
