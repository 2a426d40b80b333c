//! What a process knows from its own scans: whether acts may rest on them.
//!
//! The daemon keeps one of these and asks it before each act slot. A state file tells which places an ended scan could
//! not read; what a scan that died could not read stands nowhere, so acts wait for the next (invariant I04).

/// What the scans of this process amount to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scanned {
    /// None was complete yet.
    #[default]
    Never,
    /// A complete one ended; later ones may have been incomplete, which the state tells by place.
    Complete,
    /// The last one did not come to its end.
    Failed,
}

impl Scanned {
    /// After one more scan: whether it was complete, `None` where it did not come to its end.
    #[must_use]
    pub fn and(self, complete: Option<bool>) -> Scanned {
        match complete {
            Some(true) => Scanned::Complete,
            Some(false) if self == Scanned::Complete => Scanned::Complete,
            Some(false) => Scanned::Never,
            None => Scanned::Failed,
        }
    }

    /// Why nothing may be done now.
    pub fn holds(self) -> Option<&'static str> {
        match self {
            Scanned::Never => Some("no complete scan since this daemon started"),
            Scanned::Failed => Some("the last scan failed, and what it could not read is not on file"),
            Scanned::Complete => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acts_rest_on_a_complete_scan_after_which_none_failed() {
        let cases: [(&[Option<bool>], bool); 7] = [
            (&[], false),
            (&[Some(false)], false),
            (&[Some(true)], true),
            (&[Some(true), Some(false)], true),
            (&[Some(true), None], false),
            (&[Some(true), None, Some(false)], false),
            (&[Some(true), None, Some(true)], true),
        ];
        for (scans, rests) in cases {
            let known = scans.iter().fold(Scanned::default(), |known, scan| known.and(*scan));
            assert_eq!(known.holds().is_none(), rests, "{scans:?}");
        }
    }
}
