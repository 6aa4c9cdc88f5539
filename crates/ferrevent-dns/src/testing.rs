//! Answers of servers, for tests.

use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Name, Rtype, Serial, Ttl};
use domain::rdata::{A, Aaaa, Cname, Ptr, Soa};

pub(crate) type Text = Name<Vec<u8>>;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Data {
    Address([u8; 4]),
    Address6([u16; 8]),
    Alias(&'static str),
    Name(&'static str),
}

pub(crate) fn name(text: &str) -> Text {
    let text = if text.is_empty() { "." } else { text };
    Name::vec_from_str(text).unwrap()
}

/// The answer to a query, with these records.
pub(crate) fn answer(query: &[u8], code: Rcode, records: &[(&str, u32, Data)]) -> Vec<u8> {
    build(query, code, records, false)
}

/// The answer of an authority that has no more than these.
pub(crate) fn no_data(query: &[u8], records: &[(&str, u32, Data)]) -> Vec<u8> {
    build(query, Rcode::NOERROR, records, true)
}

/// An answer that was cut.
pub(crate) fn cut(query: &[u8]) -> Vec<u8> {
    let mut bytes = answer(query, Rcode::NOERROR, &[]);
    bytes[2] |= 2;
    bytes
}

/// What a query asks for, in small letters.
pub(crate) fn asked(query: &[u8]) -> (String, Rtype) {
    let message = Message::from_slice(query).unwrap();
    let question = message.sole_question().unwrap();
    (
        question.qname().to_string().to_ascii_lowercase(),
        question.qtype(),
    )
}

fn build(query: &[u8], code: Rcode, records: &[(&str, u32, Data)], authority: bool) -> Vec<u8> {
    let query = Message::from_slice(query).unwrap();
    let mut builder = MessageBuilder::new_vec().start_answer(query, code).unwrap();
    for (owner, ttl, data) in records {
        let owner = name(owner);
        match *data {
            Data::Address(address) => builder.push((owner, *ttl, A::new(address.into()))),
            Data::Address6(address) => builder.push((owner, *ttl, Aaaa::new(address.into()))),
            Data::Alias(target) => builder.push((owner, *ttl, Cname::new(name(target)))),
            Data::Name(target) => builder.push((owner, *ttl, Ptr::new(name(target)))),
        }
        .unwrap();
    }
    let mut builder = builder.authority();
    if authority {
        let times = Ttl::from_secs(60);
        let soa = Soa::new(
            name("ns.example"),
            name("mail.example"),
            Serial(1),
            times,
            times,
            times,
            times,
        );
        builder.push((name("example"), 60, soa)).unwrap();
    }
    builder.finish()
}
