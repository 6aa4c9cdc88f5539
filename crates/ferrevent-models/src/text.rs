//! What users write: addresses and names of backends.

use ferrevent::{Address, BackendKind};

/// Reads any text as an address and as a backend. What is one is written and
/// read back as the same; what is none is refused with an error that shows it.
///
/// ```
/// ferrevent_models::text::run(b"[::1]:80");
/// ```
///
/// # Panics
/// If that is not so.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match text.parse::<Address>() {
        Ok(address) => assert_eq!(address.to_string().parse(), Ok(address)),
        Err(error) => assert!(error.to_string().contains(&*text)),
    }
    if let Ok(kind) = text.parse::<BackendKind>() {
        let again: BackendKind = kind.to_string().parse().unwrap();
        assert_eq!(again, kind);
    }
}
