use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn pairs() -> [KeyPair; 2] {
    [KeyPair::Encryption(SecretKey::generate()), KeyPair::Signing(SigningKey::generate())]
}

fn write_secret(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_written_key_reads_back_and_only_its_owner_may_read_it() {
    for pair in pairs() {
        let folder = folder();
        let path = folder.path().join("key");
        let public = write_pair(&path, &pair, Timestamp(951_782_400_000)).unwrap();
        assert_eq!(public, folder.path().join("key.pub"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(read_secret(&path).unwrap().public_text(), pair.public_text());
        assert_eq!(fs::read_to_string(&public).unwrap(), format!("{}\n", pair.public_text()));
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# created: 2000-02-29T00:00:00.000Z\n# public key: "), "{text}");
    }
}

#[test]
fn nothing_that_exists_is_overwritten_not_even_by_way_of_a_link() {
    let [pair, _] = pairs();
    for existing in ["key", "key.pub"] {
        let folder = folder();
        let path = folder.path().join("key");
        fs::write(folder.path().join(existing), "precious").unwrap();
        let error = write_pair(&path, &pair, Timestamp(0)).unwrap_err();
        assert!(matches!(&error, KeyFileError::Exists { path } if path.ends_with(existing)), "{error}");
        assert_eq!(fs::read_to_string(folder.path().join(existing)).unwrap(), "precious");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a failure leaves no second file behind");
    }
    let folder = folder();
    symlink(folder.path().join("elsewhere"), folder.path().join("key")).unwrap();
    let error = write_pair(&folder.path().join("key"), &pair, Timestamp(0)).unwrap_err();
    assert!(matches!(error, KeyFileError::Exists { .. }), "{error}");
    assert!(!folder.path().join("elsewhere").exists());
}

#[test]
fn a_secret_key_that_others_may_read_is_refused_with_the_command_that_mends_it() {
    let [pair, _] = pairs();
    let folder = folder();
    let path = folder.path().join("key");
    write_pair(&path, &pair, Timestamp(0)).unwrap();
    for mode in [0o640, 0o604, 0o660, 0o666, 0o601, 0o777] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = read_secret(&path).unwrap_err();
        assert_eq!(error.code(), "CRY-053", "{mode:o}");
        assert!(error.to_string().contains(&format!("{mode:04o}")), "{error}");
        assert!(error.remedy().contains(&format!("chmod 600 {}", path.display())), "{}", error.remedy());
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        read_secret(&path).unwrap();
    }
}

#[test]
fn files_that_do_not_hold_exactly_one_usable_key_are_refused() {
    let folder = folder();
    let path = folder.path().join("key");
    let secret = SecretKey::generate().expose_text();
    for (content, code) in [
        (String::new(), "CRY-055"),
        ("# only a comment\n\n".to_owned(), "CRY-055"),
        (format!("{}\n{}\n", *secret, *secret), "CRY-055"),
        ("nonsense\n".to_owned(), "CRY-056"),
        (secret[..secret.len() - 1].to_owned(), "CRY-056"),
        (SecretKey::generate().public().to_string(), "CRY-056"),
        ("#".repeat(MAX_KEY_FILE_BYTES + 1), "CRY-054"),
    ] {
        write_secret(&path, &content);
        assert_eq!(read_secret(&path).unwrap_err().code(), code, "{content:.60}");
    }
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert_eq!(read_secret(&path).unwrap_err().code(), "CRY-054");
    assert_eq!(read_secret(&folder.path().join("none")).unwrap_err().code(), "CRY-052");
    assert_eq!(read_secret(folder.path()).unwrap_err().code(), "CRY-052");
}

#[test]
fn a_key_file_as_age_keygen_writes_it_is_read() {
    let folder = folder();
    let path = folder.path().join("key");
    let secret = SecretKey::generate();
    write_secret(
        &path,
        &format!("# created: 2026-01-01T00:00:00Z\n# public key: {}\n{}\n", secret.public(), *secret.expose_text()),
    );
    assert_eq!(read_encryption(&path).unwrap().public(), secret.public());
}

#[test]
fn one_kind_of_key_does_not_stand_in_for_the_other() {
    let [encryption, signing] = pairs();
    let folder = folder();
    let (first, second) = (folder.path().join("encryption"), folder.path().join("signing"));
    write_pair(&first, &encryption, Timestamp(0)).unwrap();
    write_pair(&second, &signing, Timestamp(0)).unwrap();
    assert_eq!(read_encryption(&first).unwrap().public().to_string(), encryption.public_text());
    assert_eq!(read_signing(&second).unwrap().verifying().to_string(), signing.public_text());
    for error in [read_encryption(&second).unwrap_err(), read_signing(&first).unwrap_err()] {
        assert!(matches!(error, KeyFileError::Key { source: ParseKeyError::WrongKind { .. }, .. }), "{error}");
    }
}

#[test]
fn a_recipient_is_a_text_or_a_file_and_never_a_secret_key() {
    let folder = folder();
    let path = folder.path().join("key");
    let secret = SecretKey::generate();
    let (public, secret_text) = (secret.public(), secret.expose_text());
    let file = write_pair(&path, &KeyPair::Encryption(secret), Timestamp(0)).unwrap();
    assert_eq!(read_recipient(&public.to_string()).unwrap(), public);
    assert_eq!(read_recipient(file.to_str().unwrap()).unwrap(), public);

    for (given, code) in [
        (path.to_str().unwrap(), "CRY-056"),
        (&secret_text, "CRY-057"),
        ("age1nonsense", "CRY-057"),
        ("no-such-file", "CRY-057"),
        (&SigningKey::generate().verifying().to_string(), "CRY-057"),
    ] {
        let error = read_recipient(given).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(!format!("{error:?}{error}{}", error.remedy()).contains(&secret_text[30..]), "a secret was told");
    }
}

#[test]
fn a_verifying_key_is_a_text_or_a_file() {
    let folder = folder();
    let key = SigningKey::generate();
    let public = key.verifying();
    let file = write_pair(&folder.path().join("vendor"), &KeyPair::Signing(key), Timestamp(0)).unwrap();
    assert_eq!(read_verifying(&public.to_string()).unwrap(), public);
    assert_eq!(read_verifying(file.to_str().unwrap()).unwrap(), public);
    assert_eq!(read_verifying(&SecretKey::generate().public().to_string()).unwrap_err().code(), "CRY-057");
}
