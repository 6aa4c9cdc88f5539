//! Questions as bytes, and what an answer says.

use std::net::IpAddr;

use domain::base::iana::{Class, Opcode, OptRcode, Rcode};
use domain::base::message_builder::PushError;
use domain::base::name::{Label, ParsedName, ToLabelIter};
use domain::base::wire::ParseError;
use domain::base::{Message, MessageBuilder, Rtype, ToName};
use domain::rdata::{A, Aaaa, Cname, Ptr};

use crate::Failure;
use crate::question::HostName;

/// So many aliases are followed from name to name.
pub(crate) const MAX_ALIASES: usize = 16;

/// So many records of an answer are looked at.
const MAX_RECORDS: usize = 1024;

/// The longest time to live (RFC 2181, section 8).
const MAX_TTL: u32 = i32::MAX as u32;

/// What was sent, to hold an answer against.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) id: u16,
    /// In the case in which it was sent.
    pub(crate) name: HostName,
    pub(crate) kind: Rtype,
}

/// How strict the reading of an answer is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    /// The name must be in the case in which it was sent.
    pub(crate) exact: bool,
    /// What is left of an answer that was cut is wanted.
    pub(crate) cut_too: bool,
}

/// What is in an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The name that has the data, when it is another than that asked for.
    pub(crate) canonical: Option<HostName>,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) names: Vec<String>,
    /// The least of all on the way there, in seconds.
    pub(crate) ttl: Option<u32>,
}

/// What a datagram or message is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// No answer to what was asked. The true one may still come.
    Stray,
    /// The answer, but for the case of the name: from a server that does not
    /// keep it, or from somebody who guessed.
    OtherCase,
    /// It was cut.
    Cut,
    Found(Found),
    /// Aliases that lead to a name of which the answer says nothing.
    Elsewhere(HostName),
    Failed(Failure),
}

impl Asked {
    /// A query for it, with EDNS if a length is offered.
    pub(crate) fn encode(&self, edns_size: Option<u16>) -> Result<Vec<u8>, PushError> {
        const HEADER: usize = 12;
        const TYPE_AND_CLASS: usize = 4;
        const OPT: usize = 11;
        let room = HEADER + self.name.len() + TYPE_AND_CLASS + OPT;
        let Ok(mut builder) = MessageBuilder::from_target(Vec::with_capacity(room));
        let header = builder.header_mut();
        header.set_id(self.id);
        header.set_rd(true);
        let mut builder = builder.question();
        builder.push((&self.name, self.kind))?;
        let mut builder = builder.additional();
        if let Some(size) = edns_size {
            builder.opt(|opt| {
                opt.set_udp_payload_size(size);
                Ok(())
            })?;
        }
        Ok(builder.finish())
    }

    /// Reads what came.
    pub(crate) fn read(&self, bytes: &[u8], terms: Terms) -> Reply {
        let Ok(message) = Message::from_slice(bytes) else {
            return Reply::Stray;
        };
        let header = message.header();
        if header.id() != self.id || !header.qr() || header.opcode() != Opcode::QUERY {
            return Reply::Stray;
        }
        if message.header_counts().qdcount() == 0 && header.rcode() == Rcode::FORMERR {
            return Reply::Failed(Failure::NotUnderstood);
        }
        let Ok(question) = message.sole_question() else {
            return Reply::Stray;
        };
        if question.qtype() != self.kind
            || question.qclass() != Class::IN
            || !question.qname().name_eq(&self.name)
        {
            return Reply::Stray;
        }
        let (labels, sent) = (question.qname().iter_labels(), self.name.iter_labels());
        if terms.exact && !labels.map(Label::as_slice).eq(sent.map(Label::as_slice)) {
            return Reply::OtherCase;
        }
        if header.tc() && !terms.cut_too {
            return Reply::Cut;
        }
        match message.opt_rcode() {
            OptRcode::NOERROR => self
                .search(message, header.tc())
                .unwrap_or(Reply::Failed(Failure::Malformed)),
            OptRcode::NXDOMAIN => Reply::Failed(Failure::NoSuchName),
            OptRcode::SERVFAIL => Reply::Failed(Failure::ServerFailed),
            OptRcode::REFUSED => Reply::Failed(Failure::Refused),
            OptRcode::NOTIMP => Reply::Failed(Failure::NotImplemented),
            OptRcode::FORMERR => Reply::Failed(Failure::NotUnderstood),
            code => Reply::Failed(Failure::Code(code.to_int())),
        }
    }

    /// Follows the aliases from the name that was asked for to its data.
    fn search(&self, message: &Message<[u8]>, cut: bool) -> Result<Reply, ParseError> {
        let mut found = Found::default();
        // The alias that it has come to.
        let mut current: Option<HostName> = None;
        for _ in 0..=MAX_ALIASES {
            let name = current.as_ref().unwrap_or(&self.name);
            let alias = match self.at(message, name, &mut found) {
                // Half a record is the end of what was cut.
                Err(_) if cut && !found.is_empty() => None,
                outcome => outcome?,
            };
            if !found.is_empty() {
                found.canonical = current;
                return Ok(Reply::Found(found));
            }
            match (alias, current) {
                (Some(target), _) => current = Some(target),
                (None, Some(end)) if !has_soa(message)? => return Ok(Reply::Elsewhere(end)),
                (None, _) => return Ok(Reply::Failed(Failure::NoData)),
            }
        }
        Ok(Reply::Failed(Failure::Malformed))
    }

    /// Takes the data of one name, and tells what it is an alias of.
    fn at(
        &self,
        message: &Message<[u8]>,
        name: &HostName,
        found: &mut Found,
    ) -> Result<Option<HostName>, ParseError> {
        let mut alias = None;
        for record in message.answer()?.take(MAX_RECORDS) {
            let record = record?;
            if record.class() != Class::IN || !record.owner().name_eq(name) {
                continue;
            }
            let kind = record.rtype();
            let useful = kind == self.kind || kind == Rtype::CNAME && alias.is_none();
            if !useful {
                continue;
            }
            found.lower_ttl(record.ttl().as_secs());
            match kind {
                Rtype::A => {
                    if let Some(record) = record.to_record::<A>()? {
                        found.addresses.push(record.data().addr().into());
                    }
                }
                Rtype::AAAA => {
                    if let Some(record) = record.to_record::<Aaaa>()? {
                        found.addresses.push(record.data().addr().into());
                    }
                }
                Rtype::PTR => {
                    if let Some(record) = record.to_record::<Ptr<ParsedName<_>>>()? {
                        found.names.push(text_of(record.data().ptrdname()));
                    }
                }
                Rtype::CNAME => {
                    if let Some(record) = record.to_record::<Cname<ParsedName<_>>>()? {
                        // Its letters may be those that were varied.
                        alias = Some(record.data().cname().to_canonical_name());
                    }
                }
                // A probe wants an answer, whatever is in it.
                _ => {}
            }
        }
        Ok(alias)
    }
}

impl Found {
    pub(crate) fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.names.is_empty()
    }

    pub(crate) fn lower_ttl(&mut self, ttl: u32) {
        let ttl = if ttl > MAX_TTL { 0 } else { ttl };
        self.ttl = Some(self.ttl.map_or(ttl, |old| old.min(ttl)));
    }
}

/// A name as text, without a dot at the end but for the root's.
pub(crate) fn text_of(name: &impl ToName) -> String {
    let name: HostName = name.to_name();
    match name.is_root() {
        true => ".".to_owned(),
        false => name.to_string(),
    }
}

/// Whether the answer says that there is nothing, rather than nothing about it
/// (RFC 2308, section 2.2).
fn has_soa(message: &Message<[u8]>) -> Result<bool, ParseError> {
    for record in message.authority()?.take(MAX_RECORDS) {
        if record?.rtype() == Rtype::SOA {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Data, answer, no_data};

    const EXACT: Terms = Terms {
        exact: true,
        cut_too: false,
    };

    fn asked(kind: Rtype) -> Asked {
        Asked {
            id: 7,
            name: HostName::vec_from_str("wWw.example.Org").unwrap(),
            kind,
        }
    }

    fn to(asked: &Asked, records: &[(&str, u32, Data)]) -> Vec<u8> {
        answer(&asked.encode(Some(1232)).unwrap(), Rcode::NOERROR, records)
    }

    const ONE: Data = Data::Address([192, 0, 2, 1]);

    #[test]
    fn aliases_are_followed_in_any_order() {
        let asked = asked(Rtype::A);
        let bytes = to(
            &asked,
            &[
                ("B.example", 50, ONE),
                ("a.example", 20, Data::Alias("b.example")),
                ("www.example.org", 90, Data::Alias("A.example")),
                ("other.example", 1, ONE),
            ],
        );
        let Reply::Found(found) = asked.read(&bytes, EXACT) else {
            panic!("it is there")
        };
        assert_eq!(found.addresses.len(), 1);
        assert_eq!(found.ttl, Some(20));
        assert_eq!(found.canonical.unwrap().to_string(), "b.example");
    }

    #[test]
    fn a_circle_is_an_error_and_a_loose_end_another_question() {
        let asked = asked(Rtype::A);
        let circle = [
            ("www.example.org", 1, Data::Alias("b.example")),
            ("b.example", 1, Data::Alias("www.example.org")),
        ];
        let reply = asked.read(&to(&asked, &circle), EXACT);
        assert_eq!(reply, Reply::Failed(Failure::Malformed));
        let loose = to(&asked, &circle[..1]);
        assert!(matches!(asked.read(&loose, EXACT), Reply::Elsewhere(_)));
        // An authority says that there is no more to it.
        let query = asked.encode(None).unwrap();
        let reply = asked.read(&no_data(&query, &circle[..1]), EXACT);
        assert_eq!(reply, Reply::Failed(Failure::NoData));
    }

    #[test]
    fn what_was_not_asked_is_no_answer() {
        let asked = asked(Rtype::A);
        let good = to(&asked, &[("www.example.org", 1, ONE)]);
        assert!(matches!(asked.read(&good, EXACT), Reply::Found(_)));
        let mut other = asked.clone();
        other.id = 8;
        assert_eq!(other.read(&good, EXACT), Reply::Stray);
        other = asked.clone();
        other.kind = Rtype::AAAA;
        assert_eq!(other.read(&good, EXACT), Reply::Stray);
        other = asked.clone();
        other.name = HostName::vec_from_str("www.example.net").unwrap();
        assert_eq!(other.read(&good, EXACT), Reply::Stray);
        other.name = HostName::vec_from_str("www.example.org").unwrap();
        assert_eq!(other.read(&good, EXACT), Reply::OtherCase);
        assert!(matches!(
            other.read(&good, Terms::default()),
            Reply::Found(_)
        ));
        // A query is no answer.
        let query = asked.encode(None).unwrap();
        assert_eq!(asked.read(&query, EXACT), Reply::Stray);
        for len in 0..good.len() - 11 {
            let reply = asked.read(&good[..len], EXACT);
            assert!(!matches!(reply, Reply::Found(_)), "{len} bytes: {reply:?}");
        }
    }

    #[test]
    fn an_endless_life_is_none() {
        let mut found = Found::default();
        found.lower_ttl(u32::MAX);
        assert_eq!(found.ttl, Some(0));
    }
}
