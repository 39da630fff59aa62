//! Whom webhooks may be sent to: the outside, never this machine's own network (rows H01, H02 and H04).
//!
//! A URL is looked at when it is set up. The addresses that its host has are looked at each time somebody connects, those
//! and no others are connected to, and redirects are not followed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Ports of receivers on the internet.
const PORTS: [u16; 2] = [443, 8_443];
const URL_CHARACTERS_MAX: usize = 2_048;

/// Which receivers are admitted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// Public addresses, over TLS.
    Public,
    /// A sandbox's: this machine as well, without TLS and on any port.
    PublicAndOwnMachine,
}

/// Why a URL is not admitted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UrlFault {
    /// It is none, is too long, or has characters that URLs do not have.
    #[error("it is no URL")]
    NoUrl,
    /// Not `https`.
    #[error("its scheme is not https")]
    Scheme,
    /// A user or a password.
    #[error("it carries a user or password: use a bearer token")]
    Credentials,
    /// Another port.
    #[error("its port is neither 443 nor 8443")]
    Port,
    /// A fragment, which is never sent.
    #[error("it has a fragment")]
    Fragment,
    /// A host that no public receiver has.
    #[error("its host is not public")]
    Host,
}

impl Reach {
    /// Reads the URL of a receiver.
    ///
    /// # Errors
    /// It is not admitted.
    pub fn read_url(self, text: &str) -> Result<Url, UrlFault> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        if !is_plain || text.len() > URL_CHARACTERS_MAX {
            return Err(UrlFault::NoUrl);
        }
        let url = Url::parse(text).map_err(|_| UrlFault::NoUrl)?;
        let host = url.host_str().ok_or(UrlFault::Host)?;
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        let is_own = literal.is_some_and(|address| address.is_loopback()) || host == "localhost";
        let is_own_machine = self == Self::PublicAndOwnMachine && is_own;
        if url.scheme() != "https" && !(is_own_machine && url.scheme() == "http") {
            return Err(UrlFault::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlFault::Credentials);
        }
        if url.fragment().is_some() {
            return Err(UrlFault::Fragment);
        }
        if is_own_machine {
            return Ok(url);
        }
        if !url.port_or_known_default().is_some_and(|port| PORTS.contains(&port)) {
            return Err(UrlFault::Port);
        }
        let is_name = literal.is_none() && host.contains('.') && !host.ends_with('.') && !host.ends_with(".localhost");
        if is_name || literal.is_some_and(|address| self.admits(address)) { Ok(url) } else { Err(UrlFault::Host) }
    }

    /// Whether an address may be connected to.
    #[must_use]
    pub fn admits(self, address: IpAddr) -> bool {
        if self == Self::PublicAndOwnMachine && address.is_loopback() {
            return true;
        }
        match address {
            IpAddr::V4(address) => is_public_v4(address),
            IpAddr::V6(address) => is_public_v6(address),
        }
    }
}

/// Every network that IANA lists as not globally reachable is left out.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let is_first = matches!(first, 0 | 10 | 127 | 224..=255);
    let is_second = matches!((first, second), (100, 64..=127) | (169, 254) | (172, 16..=31) | (192, 168) | (198, 18 | 19));
    let is_third = matches!((first, second, third), (192, 0, 0 | 2) | (192, 88, 99) | (198, 51, 100) | (203, 0, 113));
    !(is_first || is_second || is_third)
}

/// Only what is assigned as global unicast (`2000::/3`), without what maps or tunnels other networks or documents.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    // 2001::/23 (Teredo and others), 2001:db8::/32, 2002::/16 (6to4), 3fff::/20.
    let is_special = matches!((first, second), (0x2001, 0..=0x01FF | 0x0DB8) | (0x2002, _) | (0x3FFF, 0..=0x0FFF));
    matches!(first, 0x2000..=0x3FFF) && !is_special
}

/// Resolves the hosts of receivers, and passes on only addresses that may be connected to: what was looked at is what is
/// dialled.
#[derive(Clone, Copy, Debug)]
pub struct PublicNames(pub Reach);

impl Resolve for PublicNames {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let admitted: Vec<SocketAddr> = found.filter(|address| reach.admits(address.ip())).collect();
            if admitted.is_empty() {
                return Err("the host has no public address".into());
            }
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}
