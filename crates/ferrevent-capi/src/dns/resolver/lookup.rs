//! What is asked, and how what came of it is told.

use std::ffi::{c_char, c_int, c_void};
use std::net::IpAddr;

use ferrevent_dns::{Answer, Failure, Question};

use super::address_info::Hints;
use super::waiter::Outcome;
use crate::system::{in_addr, in6_addr};

/// Code, kind of the data, how many, seconds, data, argument.
pub(crate) type RecordsFn =
    unsafe extern "C" fn(c_int, c_char, c_int, c_int, *mut c_void, *mut c_void);

pub(super) struct Lookup {
    pub(super) question: Question,
    pub(super) want: Want,
}

pub(super) enum Want {
    Records {
        kind: Kind,
        function: RecordsFn,
        argument: *mut c_void,
    },
    AddressInfo(Hints),
}

/// Kinds of data (`DNS_*`).
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    V4 = 1,
    Names = 2,
    V6 = 3,
}

/// Codes of answers (`DNS_ERR_*`).
pub(super) mod code {
    use std::ffi::c_int;

    pub(crate) const NONE: c_int = 0;
    pub(crate) const FORMAT: c_int = 1;
    pub(crate) const SERVER_FAILED: c_int = 2;
    pub(crate) const NO_SUCH_NAME: c_int = 3;
    pub(crate) const NOT_IMPLEMENTED: c_int = 4;
    pub(crate) const REFUSED: c_int = 5;
    pub(crate) const TRUNCATED: c_int = 65;
    pub(crate) const UNKNOWN: c_int = 66;
    pub(crate) const TIMEOUT: c_int = 67;
    pub(crate) const SHUTDOWN: c_int = 68;
    pub(crate) const CANCELED: c_int = 69;
    pub(crate) const NO_DATA: c_int = 70;
}

impl Want {
    /// Whether it is told of the end of the resolver too, whoever is not.
    pub(super) fn is_always_told(&self) -> bool {
        matches!(self, Self::AddressInfo(hints) if hints.always_told)
    }

    /// Calls the program, with no lock held.
    pub(super) fn tell(self, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Came(Ok(answer)) => Ok(answer),
            Outcome::Came(Err(error)) => Err(code_of(&error.failure)),
            Outcome::Canceled => Err(code::CANCELED),
            Outcome::ShutDown => Err(code::SHUTDOWN),
        };
        match self {
            Self::Records {
                kind,
                function,
                argument,
            } => tell_records(kind, function, argument, outcome),
            Self::AddressInfo(hints) => hints.tell(outcome),
        }
    }
}

fn code_of(failure: &Failure) -> c_int {
    match failure {
        Failure::BadName | Failure::NoSuchName => code::NO_SUCH_NAME,
        Failure::NoData => code::NO_DATA,
        Failure::ServerFailed => code::SERVER_FAILED,
        Failure::Refused => code::REFUSED,
        Failure::NotImplemented => code::NOT_IMPLEMENTED,
        Failure::NotUnderstood => code::FORMAT,
        Failure::TimedOut | Failure::Unreachable(_) => code::TIMEOUT,
        Failure::Truncated | Failure::Malformed => code::TRUNCATED,
        Failure::Canceled => code::CANCELED,
        Failure::ShutDown => code::SHUTDOWN,
        _ => code::UNKNOWN,
    }
}

fn tell_records(
    kind: Kind,
    function: RecordsFn,
    argument: *mut c_void,
    outcome: Result<Answer, c_int>,
) {
    let (answer, failure) = match outcome {
        Ok(answer) => (answer, code::NO_DATA),
        Err(failure) => (Answer::default(), failure),
    };
    let ttl = answer
        .ttl
        .map_or(0, |ttl| c_int::try_from(ttl).unwrap_or(c_int::MAX));
    let call = |count: usize, data: *mut c_void| {
        let (code, kind) = if count > 0 {
            (code::NONE, kind as c_char)
        } else {
            (failure, 0)
        };
        let data = if count > 0 {
            data
        } else {
            std::ptr::null_mut()
        };
        let count = c_int::try_from(count).unwrap_or(c_int::MAX);
        // SAFETY: what the program has given to be called now, with data that
        // lives through the call.
        unsafe { function(code, kind, count, ttl, data, argument) };
    };
    match kind {
        Kind::V4 => {
            let mut data: Vec<in_addr> = Vec::new();
            for address in &answer.addresses {
                if let IpAddr::V4(address) = address {
                    let s_addr = u32::from_ne_bytes(address.octets());
                    data.push(in_addr { s_addr });
                }
            }
            call(data.len(), data.as_mut_ptr().cast());
        }
        Kind::V6 => {
            let mut data: Vec<in6_addr> = Vec::new();
            for address in &answer.addresses {
                if let IpAddr::V6(address) = address {
                    let s6_addr = address.octets();
                    data.push(in6_addr { s6_addr });
                }
            }
            call(data.len(), data.as_mut_ptr().cast());
        }
        Kind::Names => {
            let mut text = answer
                .names
                .into_iter()
                .next()
                .unwrap_or_default()
                .into_bytes();
            let count = usize::from(!text.is_empty());
            text.push(0);
            let mut name = text.as_mut_ptr().cast::<c_char>();
            call(count, (&raw mut name).cast());
        }
    }
}
