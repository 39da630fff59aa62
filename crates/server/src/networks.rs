//! The networks that an operator configures: a TOML file with one section for each, under the network's name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use domain::network::NetworkName;
use ledger::fees::FeePolicy;
use ledger::rpc::{Endpoint, FinalityRule, Network, NetworkFault, RequestPolicy};
use ledger::signer::{KeystoreError, Passphrase, PassphraseError, Pkcs11Key, Pkcs11Signer, Signer, SignerError, open_keystore};
use ledger::{Address, HexError};
use serde::Deserialize;

/// The most gas of one transaction where nothing is said (EIP-7825).
const TRANSACTION_GAS_MAX: u64 = 16_777_216;

/// For how long no node may be readable where nothing is said.
pub const UNKNOWN_AFTER_DEFAULT: Duration = Duration::from_mins(10);

/// A network as the program works with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfiguredNetwork {
    /// The name by which products say where their tokens stand.
    pub name: NetworkName,
    /// Its nodes, when a block is final there, what is paid for gas.
    pub network: Network,
    /// Who signs.
    pub signer: SignerSource,
    /// How long a signed batch may run, in seconds of ledger time.
    pub validity_s: i64,
    /// How long a ledger transaction waits for a block before more is offered for its gas.
    pub bump_after: Duration,
    /// For how long none of its nodes may be readable before its processing credits are shown as unknown.
    pub unknown_after: Duration,
    /// How often it is looked at while something is open.
    pub look_every: Duration,
    /// The most units that are signed for on one day (UTC), over all its tokens; `None` for no limit.
    pub issued_units_per_day_max: Option<u64>,
}

/// Where a signing key is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SignerSource {
    /// In an encrypted file (Web3 secret storage, version 3).
    KeyFile {
        /// The file.
        path: PathBuf,
        /// The file whose first line opens it.
        passphrase: PathBuf,
        /// Whose key it has to be, where that is said.
        address: Option<Address>,
    },
    /// In a device.
    Pkcs11 {
        /// The key in it.
        key: Pkcs11Key,
        /// The file whose first line is the user's PIN.
        pin: PathBuf,
    },
}

/// Why the networks' file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum NetworksFault {
    /// A file cannot be read.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        error: std::io::Error,
    },
    /// It is not TOML, or holds what is not known.
    #[error("the networks' file {}: {error}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: toml::de::Error,
    },
    /// A section's name is no name of a network.
    #[error("`{0}` cannot be the name of a network: 1 to 32 lower-case letters, digits and hyphens, and not `embedded`")]
    Name(String),
    /// A section does not say what it has to.
    #[error("network {network}: {what}")]
    Section {
        /// The network.
        network: NetworkName,
        /// What is wrong.
        what: String,
    },
}

/// Why a network's key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFault {
    /// There is no passphrase or PIN.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// The key file.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// The device.
    #[error(transparent)]
    Device(#[from] SignerError),
}

impl SignerSource {
    /// Opens the key. A key file takes about a second on purpose.
    ///
    /// # Errors
    /// [`KeyFault`].
    pub fn open(&self) -> Result<Arc<dyn Signer>, KeyFault> {
        match self {
            Self::KeyFile { path, passphrase, address } => {
                Ok(Arc::new(open_keystore(path, &Passphrase::from_file(passphrase)?, *address)?))
            }
            Self::Pkcs11 { key, pin } => Ok(Arc::new(Pkcs11Signer::open(key.clone(), Passphrase::from_file(pin)?)?)),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Section {
    chain_id: u64,
    genesis: Option<String>,
    nodes: Vec<NodeSection>,
    #[serde(default)]
    finality: FinalitySection,
    fees: FeesSection,
    transaction_gas_max: Option<u64>,
    validity_s: Option<u32>,
    bump_after_s: Option<u32>,
    look_every_ms: Option<u32>,
    unknown_after_s: Option<u32>,
    issued_units_per_day_max: Option<u64>,
    signer: SignerSection,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct NodeSection {
    name: String,
    url: Option<String>,
    url_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct FinalitySection {
    #[serde(default)]
    tag: bool,
    #[serde(default)]
    depth: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct FeesSection {
    fee_per_gas_wei_max: u64,
    tip_per_gas_wei_max: u64,
    #[serde(default)]
    tip_per_gas_wei_min: u64,
    tip_percentile: Option<u8>,
    base_fee_factor: Option<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SignerSection {
    key_file: Option<PathBuf>,
    passphrase_file: Option<PathBuf>,
    address: Option<String>,
    pkcs11_module: Option<PathBuf>,
    token_label: Option<String>,
    key_label: Option<String>,
    pin_file: Option<PathBuf>,
}

impl Default for FinalitySection {
    fn default() -> Self {
        Self { tag: true, depth: 0 }
    }
}

/// Reads the networks' file. Paths in it are taken from the folder in which it lies.
///
/// # Errors
/// [`NetworksFault`], the first.
pub fn read(path: &Path) -> Result<Vec<ConfiguredNetwork>, NetworksFault> {
    let folder = path.parent().unwrap_or(Path::new(""));
    parse(&text_of(path)?, path, folder)
}

fn parse(text: &str, path: &Path, folder: &Path) -> Result<Vec<ConfiguredNetwork>, NetworksFault> {
    let sections: BTreeMap<String, Section> =
        toml::from_str(text).map_err(|error| NetworksFault::Malformed { path: path.to_owned(), error })?;
    let named = sections.into_iter().map(|(name, section)| {
        let known = NetworkName::parse(&name).filter(|known| !known.is_embedded());
        configured(known.ok_or(NetworksFault::Name(name))?, section, folder)
    });
    named.collect()
}

fn configured(name: NetworkName, section: Section, folder: &Path) -> Result<ConfiguredNetwork, NetworksFault> {
    let wrong = |what: String| NetworksFault::Section { network: name.clone(), what };
    let genesis_hash = section.genesis.map(|text| text.parse()).transpose();
    let genesis_hash = genesis_hash.map_err(|error: HexError| wrong(format!("genesis: {error}")))?;
    let mut endpoints = Vec::new();
    for NodeSection { name: node, url, url_file } in section.nodes {
        let url = match (url, url_file) {
            (Some(url), None) => url,
            (None, Some(file)) => text_of(&folder.join(file))?.trim().to_owned(),
            (Some(_), Some(_)) | (None, None) => return Err(wrong(format!("node {node} needs either url or url-file"))),
        };
        endpoints.push(Endpoint { name: node, url });
    }
    let finality = match (section.finality.tag, section.finality.depth) {
        (true, 0) => FinalityRule::Tag,
        (true, blocks) => FinalityRule::TagAndDepth { blocks },
        (false, blocks) => FinalityRule::Depth { blocks },
    };
    let fees = FeePolicy {
        max_fee_per_gas_wei_max: section.fees.fee_per_gas_wei_max.into(),
        max_priority_fee_per_gas_wei_max: section.fees.tip_per_gas_wei_max.into(),
        max_priority_fee_per_gas_wei_min: section.fees.tip_per_gas_wei_min.into(),
        tip_percentile: section.fees.tip_percentile.unwrap_or(50),
        base_fee_factor: section.fees.base_fee_factor.unwrap_or(2),
    };
    let network = Network {
        name: name.to_string(),
        chain_id: section.chain_id,
        genesis_hash,
        endpoints,
        finality,
        fees,
        transaction_gas_max: section.transaction_gas_max.unwrap_or(TRANSACTION_GAS_MAX),
        requests: RequestPolicy::default(),
    };
    let faults: Vec<String> = network.faults().iter().map(NetworkFault::to_string).collect();
    if !faults.is_empty() {
        return Err(wrong(faults.join("; ")));
    }
    let signer = signer_of(section.signer, folder).map_err(&wrong)?;
    Ok(ConfiguredNetwork {
        network,
        signer,
        validity_s: section.validity_s.unwrap_or(30 * 60).into(),
        bump_after: Duration::from_secs(section.bump_after_s.unwrap_or(90).into()),
        unknown_after: section.unknown_after_s.map_or(UNKNOWN_AFTER_DEFAULT, |seconds| Duration::from_secs(seconds.into())),
        look_every: Duration::from_millis(section.look_every_ms.unwrap_or(2_000).into()),
        issued_units_per_day_max: section.issued_units_per_day_max,
        name,
    })
}

fn signer_of(section: SignerSection, folder: &Path) -> Result<SignerSource, String> {
    let SignerSection { key_file, passphrase_file, address, pkcs11_module, token_label, key_label, pin_file } = section;
    match (key_file, passphrase_file, pkcs11_module, token_label, key_label, pin_file) {
        (Some(path), Some(passphrase), None, None, None, None) => {
            let address = address.map(|text| text.parse()).transpose();
            let address = address.map_err(|error: HexError| format!("signer.address: {error}"))?;
            Ok(SignerSource::KeyFile { path: folder.join(path), passphrase: folder.join(passphrase), address })
        }
        (None, None, Some(module), Some(token_label), Some(key_label), Some(pin)) if address.is_none() => {
            let key = Pkcs11Key { module: folder.join(module), token_label, key_label };
            Ok(SignerSource::Pkcs11 { key, pin: folder.join(pin) })
        }
        _ => Err("signer needs either key-file and passphrase-file (and address, if you like), or pkcs11-module, token-label, \
                  key-label and pin-file"
            .to_owned()),
    }
}

fn text_of(path: &Path) -> Result<String, NetworksFault> {
    std::fs::read_to_string(path).map_err(|error| NetworksFault::Unreadable { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
        [polygon]
        chain-id = 137
        genesis = "0xa9c28ce2141b56c474f1dc504bee9b01eb1bd7d1a507580d5519d4437a97de1b"
        nodes = [{ name = "a", url = "https://a.example/key" }, { name = "b", url = "https://b.example" }]
        finality = { tag = true, depth = 16 }
        fees = { fee-per-gas-wei-max = 500_000_000_000, tip-per-gas-wei-max = 60_000_000_000, tip-per-gas-wei-min = 25_000_000_000 }
        validity-s = 600
        unknown-after-s = 120
        issued-units-per-day-max = 1000
        signer = { pkcs11-module = "/lib/hsm.so", token-label = "registrar", key-label = "issuing", pin-file = "pin" }

        [test-net]
        chain-id = 5
        nodes = [{ name = "own", url = "http://127.0.0.1:8545" }]
        finality = { depth = 12 }
        fees = { fee-per-gas-wei-max = 10, tip-per-gas-wei-max = 1 }
        signer = { key-file = "key.json", passphrase-file = "passphrase", address = "0x00000000000000000000000000000000000000ff" }
    "#;

    fn parsed(text: &str) -> Result<Vec<ConfiguredNetwork>, String> {
        parse(text, Path::new("networks.toml"), Path::new("/etc/scrip")).map_err(|fault| fault.to_string())
    }

    #[test]
    fn every_value_is_taken_and_what_is_not_said_has_its_default() {
        let networks = parsed(WHOLE).unwrap();
        let [polygon, test] = networks.as_slice() else { panic!("two networks") };
        assert_eq!((polygon.name.as_str(), polygon.network.chain_id, polygon.validity_s), ("polygon", 137, 600));
        assert_eq!(polygon.network.finality, FinalityRule::TagAndDepth { blocks: 16 });
        assert_eq!(polygon.network.fees.max_priority_fee_per_gas_wei_min, 25_000_000_000);
        assert_eq!(polygon.issued_units_per_day_max, Some(1_000));
        let SignerSource::Pkcs11 { key, pin } = &polygon.signer else { panic!("a device") };
        assert_eq!((key.token_label.as_str(), pin.as_path()), ("registrar", Path::new("/etc/scrip/pin")));
        assert_eq!(test.network.finality, FinalityRule::Depth { blocks: 12 });
        assert_eq!((polygon.unknown_after, test.unknown_after), (Duration::from_mins(2), UNKNOWN_AFTER_DEFAULT));
        assert_eq!((test.validity_s, test.bump_after, test.look_every.as_millis()), (1_800, Duration::from_secs(90), 2_000));
        assert_eq!((test.network.transaction_gas_max, test.issued_units_per_day_max), (16_777_216, None));
        let SignerSource::KeyFile { path, address, .. } = &test.signer else { panic!("a file") };
        assert_eq!((path.as_path(), address.map(|address| address.0[19])), (Path::new("/etc/scrip/key.json"), Some(0xff)));
        assert!(!format!("{networks:?}").contains("a.example/key"), "a URL may hold a key");
    }

    #[test]
    fn o14_what_is_wrong_is_named() {
        for (from, to, words) in [
            ("chain-id = 5", "chain-id = 0", "network test-net: the chain id is 0"),
            ("chain-id = 5", "chain-it = 5", "chain-it"),
            ("depth = 12", "depth = 0", "network test-net: a finality of 0 blocks"),
            ("[test-net]", "[embedded]", "`embedded` cannot be the name"),
            ("[test-net]", "[Test]", "`Test` cannot be the name"),
            ("http://127.0.0.1:8545", "http://10.0.0.1:8545", "not https:// and not on this machine"),
            ("name = \"own\", url", "name = \"own\", url-file = \"x\", url", "node own needs either"),
            ("0x00000000000000000000000000000000000000ff", "0xff", "signer.address: expected 0x and 20 bytes"),
            ("passphrase-file = \"passphrase\", ", "", "signer needs either key-file"),
            ("key-label = \"issuing\", ", "", "network polygon: signer needs either"),
            ("genesis = \"0xa9", "genesis = \"a9", "genesis: expected 0x and 32 bytes"),
            ("signer = { key-file", "finality-tag = true\nsigner = { key-file", "finality-tag"),
            ("url = \"http://127.0.0.1:8545\"", "url-file = \"nowhere\"", "/etc/scrip/nowhere: "),
        ] {
            assert!(WHOLE.contains(from));
            let said = parsed(&WHOLE.replace(from, to)).unwrap_err();
            assert!(said.contains(words), "{from} -> {to}: {said}");
        }
    }
}
