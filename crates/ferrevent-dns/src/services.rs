//! services(5): ports by their names.

use std::collections::HashMap;

use crate::Transport;

/// What a services file says.
///
/// ```
/// use ferrevent_dns::{Services, Transport};
///
/// let services = Services::parse(b"http 80/tcp www # the web\ndomain 53/udp\n");
/// assert_eq!(services.port("www", Transport::Tcp), Some(80));
/// assert_eq!(services.port("domain", Transport::Tcp), None);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Services {
    ports: HashMap<(Box<str>, Transport), u16>,
}

impl Services {
    /// Reads the text of a services file. Lines that are none, and other
    /// protocols, are passed over.
    ///
    /// ```
    /// use ferrevent_dns::{Services, Transport};
    /// let services = Services::parse(b"nonsense\nx 70000/tcp\n");
    /// assert_eq!(services.port("x", Transport::Tcp), None);
    /// ```
    pub fn parse(text: &[u8]) -> Self {
        let mut services = Self::default();
        for line in text.split(|byte| *byte == b'\n') {
            if let Ok(line) = std::str::from_utf8(line) {
                services.add_line(line);
            }
        }
        services
    }

    fn add_line(&mut self, line: &str) {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        let (Some(name), Some(port)) = (words.next(), words.next()) else {
            return;
        };
        let Some((port, protocol)) = port.split_once('/') else {
            return;
        };
        let (Ok(port), Some(transport)) = (port.parse(), Transport::named(protocol)) else {
            return;
        };
        for name in [name].into_iter().chain(words) {
            // The first line counts.
            self.ports.entry((name.into(), transport)).or_insert(port);
        }
    }

    /// The port of a service. Names are what they are, in their own case.
    ///
    /// ```
    /// use ferrevent_dns::{Services, Transport};
    /// assert_eq!(Services::default().port("http", Transport::Tcp), None);
    /// ```
    pub fn port(&self, name: &str, transport: Transport) -> Option<u16> {
        self.ports.get(&(name.into(), transport)).copied()
    }
}
