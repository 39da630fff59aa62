//! Network file systems: their locks and syncs cannot be trusted with a write-ahead log
//! (<https://sqlite.org/wal.html>, "all processes using a database must be on the same host computer").

use std::path::Path;

/// Where Linux lists what is mounted.
const MOUNTS_PATH: &str = "/proc/self/mountinfo";
/// File systems that live on another machine.
const NETWORK_TYPES: [&str; 12] =
    ["afs", "beegfs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "gpfs", "lustre", "nfs", "nfs4", "smb3", "smbfs"];

/// The type of the network file system that holds `path`; `None` where it is local or the system does not tell.
pub(super) fn network_file_system(path: &Path) -> Option<String> {
    let mounts = std::fs::read_to_string(MOUNTS_PATH).ok()?;
    let path = path.canonicalize().ok()?;
    let kind = file_system_of(&mounts, &path)?;
    NETWORK_TYPES.contains(&kind).then(|| kind.to_owned())
}

/// The type of the file system that a path is on: that of the mount with the longest path above it, the latest of equals.
fn file_system_of<'m>(mounts: &'m str, path: &Path) -> Option<&'m str> {
    let mounts = mounts.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mount_point = left.split(' ').nth(4)?.replace("\\040", " ");
        let kind = right.split(' ').next()?;
        path.starts_with(&mount_point).then_some((mount_point.len(), kind))
    });
    mounts.max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 21 0:40 / /srv rw - nfs4 server:/export rw
31 30 8:2 / /srv/local\\040disk rw shared:2 master:1 - xfs /dev/sdb1 rw
";

    #[test]
    fn b12_a_path_is_on_the_innermost_mount() {
        for (path, kind) in [
            ("/home/scrip", "ext4"),
            ("/srv", "nfs4"),
            ("/srv/scrip-data", "nfs4"),
            ("/srv/local disk/scrip-data", "xfs"),
            ("/srvs", "ext4"),
        ] {
            assert_eq!(file_system_of(MOUNTS, Path::new(path)), Some(kind), "{path}");
        }
        assert_eq!(file_system_of("", Path::new("/")), None);
    }

    #[test]
    fn b12_the_temporary_folder_of_this_machine_is_local() {
        assert_eq!(network_file_system(&std::env::temp_dir()), None);
    }
}
