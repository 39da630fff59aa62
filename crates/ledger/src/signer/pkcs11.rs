//! A signing key in hardware, over PKCS#11.
//!
//! The key is secp256k1 and signs the digest as it is (`CKM_ECDSA`). The device needs the public key beside the private
//! one, under the same label, because an address is made from it.

use super::{DeviceSignature, Passphrase, Signer, SignerError, address_of_public_key};
use crate::types::Address;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Function, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// The curve's object identifier, 1.3.132.0.10, in ASN.1 (SEC 2).
const SECP256K1: [u8; 7] = [0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a];

/// What stands before the 64 bytes of an uncompressed point: an octet string of 65 bytes (PKCS#11), then SEC 1's mark.
const POINT_PREFIX: [u8; 3] = [0x04, 0x41, 0x04];

/// Where a device's key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pkcs11Key {
    /// The device's library, such as `libsofthsm2.so`.
    pub module: PathBuf,
    /// The token's label.
    pub token_label: String,
    /// The label of the private and of the public key.
    pub key_label: String,
}

/// A signing key that never leaves its device.
pub struct Pkcs11Signer {
    key: Pkcs11Key,
    pin: Passphrase,
    module: Pkcs11,
    address: Address,
    /// A device forgets its sessions when it restarts, so one that failed is opened anew.
    open: Mutex<Option<OpenKey>>,
}

struct OpenKey {
    session: Session,
    private: ObjectHandle,
}

impl Pkcs11Signer {
    /// Opens the device, finds the key, and reads its address.
    ///
    /// # Errors
    /// [`SignerError::Unavailable`] where the device, the token or the key cannot be used, or the key is of another
    /// curve.
    pub fn open(key: Pkcs11Key, pin: Passphrase) -> Result<Self, SignerError> {
        let module = Pkcs11::new(&key.module).map_err(unavailable)?;
        match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            // Another signer of this process has opened the same library.
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, Function::Initialize)) => {}
            Err(error) => return Err(unavailable(error)),
        }
        let open = open_key(&module, &key, &pin)?;
        let address = address_of_token_key(&open.session, &key.key_label)?;
        Ok(Self { key, pin, module, address, open: Mutex::new(Some(open)) })
    }
}

impl Signer for Pkcs11Signer {
    fn address(&self) -> Address {
        self.address
    }

    fn sign_digest(&self, digest: [u8; 32]) -> Result<DeviceSignature, SignerError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let used = match open.take() {
            Some(used) => used,
            None => open_key(&self.module, &self.key, &self.pin)?,
        };
        let bytes = used.session.sign(&Mechanism::Ecdsa, used.private, &digest).map_err(unavailable)?;
        *open = Some(used);
        Ok(DeviceSignature::of_bytes(bytes))
    }
}

fn open_key(module: &Pkcs11, key: &Pkcs11Key, pin: &Passphrase) -> Result<OpenKey, SignerError> {
    let mut slot = None;
    for candidate in module.get_slots_with_initialized_token().map_err(unavailable)? {
        if module.get_token_info(candidate).map_err(unavailable)?.label().trim_end() == key.token_label {
            slot = Some(candidate);
        }
    }
    let slot = slot.ok_or_else(|| SignerError::Unavailable(format!("there is no token {}", key.token_label)))?;
    let session = module.open_ro_session(slot).map_err(unavailable)?;
    match session.login(UserType::User, Some(&AuthPin::new(pin.expose().into()))) {
        // A login is that of the process, not of the session.
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, Function::Login)) => {}
        Err(error) => return Err(unavailable(error)),
    }
    let private = only_key(&session, &key.key_label, ObjectClass::PRIVATE_KEY)?;
    Ok(OpenKey { session, private })
}

fn only_key(session: &Session, label: &str, class: ObjectClass) -> Result<ObjectHandle, SignerError> {
    let wanted = [Attribute::Class(class), Attribute::Label(label.as_bytes().to_vec())];
    match session.find_objects(&wanted).map_err(unavailable)?.as_slice() {
        [key] => Ok(*key),
        found => Err(SignerError::Unavailable(format!("{} keys of this class are called {label}", found.len()))),
    }
}

fn address_of_token_key(session: &Session, label: &str) -> Result<Address, SignerError> {
    let public = only_key(session, label, ObjectClass::PUBLIC_KEY)?;
    let asked = [AttributeType::EcParams, AttributeType::EcPoint];
    let (mut curve, mut point) = (Vec::new(), Vec::new());
    for attribute in session.get_attributes(public, &asked).map_err(unavailable)? {
        if let Attribute::EcParams(bytes) = attribute {
            curve = bytes;
        } else if let Attribute::EcPoint(bytes) = attribute {
            point = bytes;
        }
    }
    if curve != SECP256K1 {
        return Err(SignerError::Unavailable(format!("the key {label} is not of the curve secp256k1")));
    }
    let key = point.strip_prefix(&POINT_PREFIX).and_then(|key| <&[u8; 64]>::try_from(key).ok());
    let key = key.ok_or_else(|| SignerError::Unavailable(format!("the key {label} has no uncompressed point")))?;
    Ok(address_of_public_key(key))
}

#[expect(clippy::needless_pass_by_value, reason = "stands in map_err")]
fn unavailable(error: Error) -> SignerError {
    SignerError::Unavailable(error.to_string())
}
