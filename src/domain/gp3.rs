//! What a gp2 volume must be given as gp3, so that it can do no less than before.
//!
//! The check that proposes the change, and the action that makes it, ask here; the gate has figures of its own. EBS
//! documents a gp2 volume of 3 operations a second for each GiB, at least 100 and at most 16,000, with bursts to 3,000;
//! and of 128 MiB/s up to 170 GiB, 250 MiB/s above that (from 334 GiB on always, below it while it can burst). A gp3
//! volume has 3,000 operations and 125 MiB/s in its price, so even the smallest gp2 volume had 3 MiB/s more.

use super::resource::Volume;

/// Operations a second that every gp3 volume has in its price.
pub const BASE_IOPS: u32 = 3_000;

/// MiB a second that every gp3 volume has in its price.
pub const BASE_THROUGHPUT: u32 = 125;

/// Most operations a second of a gp2 volume.
const MOST_IOPS: u32 = 16_000;

/// Performance of a gp3 volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Performance {
    /// Operations a second.
    pub iops: u32,
    /// MiB a second.
    pub throughput: u32,
}

/// The gp3 performance that falls in nothing behind a gp2 volume; `None` for a volume of another type.
pub fn no_less_than(volume: &Volume) -> Option<Performance> {
    if &*volume.volume_type != "gp2" {
        return None;
    }
    let by_size = volume.size_gib.saturating_mul(3).min(MOST_IOPS);
    let throughput = if volume.size_gib <= 170 { 128 } else { 250 };
    Some(Performance {
        iops: by_size.max(volume.iops.unwrap_or(0)).max(BASE_IOPS),
        throughput: throughput.max(volume.throughput.unwrap_or(0)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fact::Fact;

    fn volume(size_gib: u32, iops: Option<u32>) -> Volume {
        Volume {
            state: "in-use".into(),
            size_gib,
            volume_type: "gp2".into(),
            iops,
            throughput: None,
            zone: "eu-central-1a".into(),
            kms_key: None,
            encrypted: false,
            attachments: Box::default(),
            operator: None,
            modification: Fact::Absent,
        }
    }

    #[test]
    fn a_gp3_volume_can_do_no_less_than_the_gp2_volume_it_was() {
        let figures = |size, iops| {
            let own = no_less_than(&volume(size, iops)).unwrap();
            (own.iops, own.throughput)
        };
        assert_eq!(figures(1, Some(100)), (3_000, 128));
        assert_eq!(figures(170, Some(510)), (3_000, 128));
        assert_eq!(figures(171, Some(513)), (3_000, 250));
        assert_eq!(figures(1_000, Some(3_000)), (3_000, 250));
        assert_eq!(figures(1_001, None), (3_003, 250), "by size where EC2 does not say");
        assert_eq!(figures(5_334, Some(16_000)), (16_000, 250));
        assert_eq!(figures(16_384, Some(16_000)), (16_000, 250));
        assert_eq!(figures(100, Some(4_000)), (4_000, 128), "what EC2 says counts where it is more");
        assert_eq!(no_less_than(&Volume { volume_type: "gp3".into(), ..volume(8, None) }), None);
    }
}
