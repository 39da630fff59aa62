//! A key in a PKCS#11 token, that of `SoftHSM`, with a store of its own for each run.

use crate::world::{Time, genesis, in_memory, send_signed, transfer};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use ledger::Chain;
use ledger::signer::{DeviceSignature, Passphrase, Pkcs11Key, Pkcs11Signer, Signer, SignerError};
use ledger::transaction::{Unsigned, decode};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const TOKEN: &str = "registrar";
const PIN: &str = "4711-user";
const SECP256K1: [u8; 7] = [0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a];
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// Half of the group order of secp256k1: a larger `s` is high (EIP-2).
const HALF_ORDER: &str = "7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0";

fn module() -> PathBuf {
    let places = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"];
    let found = places.iter().map(Path::new).find(|path| path.exists());
    found.expect("SoftHSM2 is missing: install the package softhsm2 (./check test does)").to_owned()
}

/// The library reads its configuration from the environment of the process, so the real test runs in a process of its own.
#[test]
fn l16_a_hardware_key_signs_what_the_chain_takes() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tokens")).unwrap();
    let configuration = folder.path().join("softhsm2.conf");
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        folder.path().join("tokens").display()
    );
    std::fs::write(&configuration, text).unwrap();
    module();
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "hsm::with_a_token_of_its_own", "--ignored", "--nocapture"])
        .env("SOFTHSM2_CONF", &configuration)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}\n{}", String::from_utf8_lossy(&ran.stderr));
    println!("{}", said.lines().find(|line| line.contains("high")).unwrap());
}

#[test]
#[ignore = "needs SOFTHSM2_CONF: l16_a_hardware_key_signs_what_the_chain_takes runs it"]
fn with_a_token_of_its_own() {
    assert!(std::env::var_os("SOFTHSM2_CONF").is_some(), "SOFTHSM2_CONF must name a configuration of this run");
    make_token();
    let signer = Pkcs11Signer::open(key(TOKEN, "issuing"), pin(PIN)).unwrap();

    // The same digest gives other bytes each time; all are valid, and about half are high.
    let digest = [0x5c; 32];
    let (mut high, mut returned) = (0, Vec::new());
    for _ in 0..32 {
        let DeviceSignature::Scalars(bytes) = signer.sign_digest(digest).unwrap() else { panic!("not 64 bytes") };
        let half: [u8; 32] = hex::decode(HALF_ORDER).unwrap().try_into().unwrap();
        high += usize::from(bytes[32..] > half[..]);
        let completed = DeviceSignature::Scalars(bytes).complete(digest, signer.address()).unwrap();
        assert!(completed.s <= half);
        // A device that answers in ASN.1 gives the same signature.
        let der = alloy::signers::k256::ecdsa::Signature::from_slice(&bytes).unwrap().to_der().as_bytes().to_vec();
        assert_eq!(DeviceSignature::of_bytes(der).complete(digest, signer.address()), Ok(completed));
        assert!(!returned.contains(&bytes), "the device gave the same bytes twice");
        returned.push(bytes);
    }
    println!("{high} of 32 signatures were high");
    assert!((1..32).contains(&high));

    the_chain_takes_its_transactions(&signer);

    // A second signer of the same process; then what does not open.
    assert_eq!(Pkcs11Signer::open(key(TOKEN, "issuing"), pin(PIN)).unwrap().address(), signer.address());
    let unopened = |key, entered: &str| match Pkcs11Signer::open(key, pin(entered)) {
        Err(SignerError::Unavailable(text)) => text,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    };
    assert_eq!(unopened(key("nobody", "issuing"), PIN), "there is no token nobody");
    assert_eq!(unopened(key(TOKEN, "nothing"), PIN), "0 keys of this class are called nothing");
    assert_eq!(unopened(key(TOKEN, "other curve"), PIN), "the key other curve is not of the curve secp256k1");
}

fn the_chain_takes_its_transactions(signer: &Pkcs11Signer) {
    let start = genesis();
    let funded = ledger::embedded::GenesisConfig { prefunded: vec![(signer.address(), 10_u128.pow(27))], ..start };
    let chain = ledger::embedded::EmbeddedChain::in_memory(&funded, 0, Time::new().clock());
    assert_eq!(chain.chain_id(), in_memory(&Time::new(), 0).chain_id());
    for nonce in 0..8 {
        let transaction = Unsigned { nonce, ..transfer(0) };
        let (one, two) = (transaction.sign(signer).unwrap(), transaction.sign(signer).unwrap());
        assert_ne!(one.tx_hash, two.tx_hash, "two signatures are two attempts, so the bytes have to be stored");
        assert_eq!(decode(&one.raw).unwrap().sender, signer.address());
        assert_eq!(decode(&two.raw).unwrap().transaction, transaction);
        let hash = send_signed(&chain, &one);
        chain.produce().unwrap();
        assert!(crate::world::receipt(&chain, hash).succeeded);
    }
}

fn key(token: &str, label: &str) -> Pkcs11Key {
    Pkcs11Key { module: module(), token_label: token.to_owned(), key_label: label.to_owned() }
}

fn pin(text: &str) -> Passphrase {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pin");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
    Passphrase::from_file(&path).unwrap()
}

/// Initialises a token and makes two keys in it: one that signs for Ethereum, one of another curve.
fn make_token() {
    let library = Pkcs11::new(module()).unwrap();
    library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    let slot = library.get_slots_with_token().unwrap()[0];
    let officer = AuthPin::new("0815-officer".into());
    library.init_token(slot, &officer, TOKEN).unwrap();
    let session = library.open_rw_session(slot).unwrap();
    session.login(UserType::So, Some(&officer)).unwrap();
    session.init_pin(&AuthPin::new(PIN.into())).unwrap();
    session.logout().unwrap();
    session.login(UserType::User, Some(&AuthPin::new(PIN.into()))).unwrap();
    for (label, curve) in [("issuing", SECP256K1.to_vec()), ("other curve", P256.to_vec())] {
        let label = || Attribute::Label(label.as_bytes().to_vec());
        let public = [Attribute::Token(true), Attribute::Private(false), Attribute::EcParams(curve), label()];
        let private = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
            label(),
        ];
        session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private).unwrap();
    }
    session.logout().unwrap();
}
