//! What Windows' network adapters were told of name servers.

use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::ptr;

use socket2::{SockAddr, SockAddrStorage};
use windows_sys::Win32::Foundation::{ERROR_BUFFER_OVERFLOW, ERROR_NO_DATA, ERROR_SUCCESS};
use windows_sys::Win32::NetworkManagement::IpHelper as helper;
use windows_sys::Win32::NetworkManagement::Ndis::IfOperStatusUp;
use windows_sys::Win32::Networking::WinSock::{AF_UNSPEC, SOCKET_ADDRESS};

/// Whom this host asks for names, and the domains that short ones are tried with.
///
/// ```
/// let settings = ferrevent_os::sys::name_servers()?;
/// println!("{:?} {:?}", settings.servers, settings.domains);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameServers {
    /// In the order of the adapters; each once, at port 53.
    pub servers: Vec<SocketAddr>,
    /// As the adapters have them; each once.
    pub domains: Vec<String>,
}

const PORT: u16 = 53;
/// How much room is tried first, in bytes, and how often more.
const ROOM: u32 = 16 << 10;
const TRIES: u32 = 5;

/// Asks every adapter that is up (`GetAdaptersAddresses`).
///
/// # Errors
/// Those of the system.
///
/// ```
/// assert!(ferrevent_os::sys::name_servers().is_ok());
/// ```
pub fn name_servers() -> io::Result<NameServers> {
    let flags = helper::GAA_FLAG_SKIP_UNICAST
        | helper::GAA_FLAG_SKIP_ANYCAST
        | helper::GAA_FLAG_SKIP_MULTICAST
        | helper::GAA_FLAG_SKIP_FRIENDLY_NAME;
    let mut bytes = ROOM;
    for _ in 0..TRIES {
        let mut room = vec![0_u64; bytes.div_ceil(8) as usize];
        let first = room.as_mut_ptr().cast::<helper::IP_ADAPTER_ADDRESSES_LH>();
        // SAFETY: room for so many bytes, aligned for what is put there.
        let answer = unsafe {
            helper::GetAdaptersAddresses(
                AF_UNSPEC.into(),
                flags,
                ptr::null(),
                first,
                &raw mut bytes,
            )
        };
        match answer {
            // SAFETY: what the system has put there, in room that lives through the call.
            ERROR_SUCCESS => return Ok(unsafe { read(first) }),
            ERROR_NO_DATA => return Ok(NameServers::default()),
            // So many bytes are wanted now.
            ERROR_BUFFER_OVERFLOW => {}
            code => return Err(io::Error::from_raw_os_error(code as i32)),
        }
    }
    Err(io::Error::from_raw_os_error(ERROR_BUFFER_OVERFLOW as i32))
}

/// # Safety
/// Null, or the first of a list of the system's.
unsafe fn read(first: *const helper::IP_ADAPTER_ADDRESSES_LH) -> NameServers {
    let mut found = NameServers::default();
    let mut next = first;
    while !next.is_null() {
        // SAFETY: the caller's promise.
        let adapter = unsafe { &*next };
        next = adapter.Next;
        if adapter.OperStatus != IfOperStatusUp {
            continue;
        }
        let mut server = adapter.FirstDnsServerAddress;
        while !server.is_null() {
            // SAFETY: of the same list.
            let (address, following) = unsafe { ((*server).Address, (*server).Next) };
            // SAFETY: as above.
            let address = unsafe { read_address(&address) };
            if let Some(address) = address.filter(|it| !is_made_up(it))
                && !found.servers.contains(&address)
            {
                found.servers.push(address);
            }
            server = following;
        }
        // SAFETY: as above, a string that ends with a zero.
        let domain = unsafe { read_text(adapter.DnsSuffix) };
        if !domain.is_empty() && !found.domains.contains(&domain) {
            found.domains.push(domain);
        }
    }
    found
}

/// # Safety
/// An address of the system's, of the length that it says.
unsafe fn read_address(address: &SOCKET_ADDRESS) -> Option<SocketAddr> {
    let length = usize::try_from(address.iSockaddrLength).ok()?;
    if address.lpSockaddr.is_null() || length > size_of::<SockAddrStorage>() {
        return None;
    }
    let mut storage = MaybeUninit::<SockAddrStorage>::zeroed();
    // SAFETY: the caller's promise, and room for the longest address. Zeros and
    // what is written over them are an address of that length.
    let address = unsafe {
        let from = address.lpSockaddr.cast::<u8>();
        from.copy_to_nonoverlapping(storage.as_mut_ptr().cast(), length);
        SockAddr::new(storage.assume_init(), length as i32)
    };
    let mut address = address.as_socket()?;
    address.set_port(PORT);
    Some(address)
}

/// Windows lists fec0:0:0:ffff::1 to ::3 where it was told of none.
fn is_made_up(address: &SocketAddr) -> bool {
    matches!(address, SocketAddr::V6(six) if six.ip().segments()[0] == 0xfec0)
}

/// # Safety
/// Null, or a string that ends with a zero.
unsafe fn read_text(text: *const u16) -> String {
    if text.is_null() {
        return String::new();
    }
    let mut length = 0;
    // SAFETY: no further than the zero.
    while unsafe { text.add(length).read() } != 0 {
        length += 1;
    }
    // SAFETY: so many are there.
    String::from_utf16_lossy(unsafe { std::slice::from_raw_parts(text, length) })
}
