//! Compression in simulated time: watermarks, pauses, sips, and kernels of
//! every kind. No byte is wrong, and nothing stands still longer than the
//! network and the pauses have it. See `ferrevent_models`.

#![cfg(feature = "compress")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use ferrevent::compress::{Compression, Format};
use ferrevent_core::timer::Tick;
use ferrevent_models::stream::every_trip;

#[test]
fn a_compressed_transfer_takes_at_most_twice_as_long_as_it_has_to() {
    every_trip(60, |trip| {
        for format in Format::ALL {
            let how = Compression::new(format);
            trip.make(|_, machine| {
                machine.add_filter(Tick(0), how.filter()).unwrap();
            });
        }
    });
}
