//! Faults of processes and disks: what was acknowledged is there, once, whatever is killed or fails meanwhile.
//!
//! Every random moment comes from a seed that is printed; `SCRIP_SEED` takes it to see the same moments again. The
//! longer mode (`SCRIP_LONG=1`) repeats more often.

mod commit_cut;
mod disk;
mod failover;
mod full;
mod kill_cluster;
mod kill_server;
mod load;
mod proxy;
mod strace;

use server::entropy::Entropy;

/// A random source whose seed is printed.
fn seeded() -> Entropy {
    let seed = std::env::var("SCRIP_SEED").map_or_else(
        |_| Entropy::from_machine().unwrap().bytes(),
        |text| {
            let mut seed = [0; 32];
            hex::decode_to_slice(text, &mut seed).unwrap();
            seed
        },
    );
    println!("seed {}", hex::encode(seed));
    Entropy::from_seed(seed)
}

/// A random number below `end`.
pub fn below(entropy: &mut Entropy, end: u64) -> u64 {
    u64::from_be_bytes(entropy.bytes()) % end
}

/// How often something is repeated.
pub fn rounds(normal: usize, long: usize) -> usize {
    if std::env::var_os("SCRIP_LONG").is_some() { long } else { normal }
}
