//! What this host's own addresses are good for: nobody asks that here.

use ferrevent_dns::Families;

/// Both.
pub(super) fn configured() -> Families {
    Families::BOTH
}
