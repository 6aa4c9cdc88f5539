//! What a server is asked, and what it answers: messages of RFC 1035.

use std::ffi::CString;

use domain::base::iana::{Class, Rtype};
use domain::base::message_builder::{MessageBuilder, RecordSectionBuilder, TreeCompressor};
use domain::base::name::{NameBuilder, ToLabelIter};
use domain::base::rdata::ComposeRecordData;
use domain::base::wire::Composer;
use domain::base::{Message, Name, RecordData, ToName, Ttl};

/// Bits of a message's second word.
pub(super) mod flag {
    pub(crate) const ANSWER: u16 = 1 << 15;
    pub(crate) const OPCODE: u16 = 0x7800;
    pub(crate) const AUTHORITATIVE: u16 = 1 << 10;
    pub(crate) const CUT_SHORT: u16 = 1 << 9;
    pub(crate) const RECURSION_DESIRED: u16 = 1 << 8;
    pub(crate) const RECURSION_AVAILABLE: u16 = 1 << 7;
    pub(crate) const CHECKING_DISABLED: u16 = 1 << 4;
}

/// The longest answer over UDP to who has not said that it takes more (RFC 1035, 2.3.4).
const LONGEST: usize = 512;
/// The names in the data of these types may be compressed: everybody knows
/// them (RFC 3597, 4).
const COMPRESSED: std::ops::RangeInclusive<u16> = 1..=16;

pub(super) type Owner = Name<Vec<u8>>;

/// What has come from somebody who asks.
pub(super) struct Asked {
    pub(super) id: u16,
    pub(super) flags: u16,
    pub(super) questions: Vec<Question>,
}

pub(super) struct Question {
    pub(super) name: Owner,
    /// The name as C has it: labels with dots between them.
    pub(super) text: CString,
    pub(super) kind: u16,
    pub(super) class: u16,
}

/// A record of an answer.
pub(super) struct Entry {
    pub(super) owner: Owner,
    pub(super) class: u16,
    pub(super) ttl: u32,
    pub(super) data: Data,
}

pub(super) struct Data {
    pub(super) kind: u16,
    pub(super) value: Value,
}

pub(super) enum Value {
    Bytes(Vec<u8>),
    Name(Owner),
}

/// Reads a question. `None` for what is none, is malformed, or has a name that
/// a C string of labels and dots cannot say. What follows the questions is
/// not looked at.
pub(super) fn read(datagram: &[u8]) -> Option<Asked> {
    let message = Message::from_octets(datagram).ok()?;
    let header = message.header();
    if header.qr() {
        return None;
    }
    let mut questions = Vec::new();
    for question in message.question() {
        let question = question.ok()?;
        questions.push(Question {
            name: question.qname().to_vec(),
            text: text_of(question.qname())?,
            kind: question.qtype().to_int(),
            class: question.qclass().to_int(),
        });
    }
    if questions.is_empty() {
        return None;
    }
    let words = header.as_slice();
    Some(Asked {
        id: header.id(),
        flags: u16::from_be_bytes([words[2], words[3]]),
        questions,
    })
}

/// Writes an answer of at most 512 bytes. What does not fit is left out, and
/// the answer says that it is cut short.
pub(super) fn write(
    id: u16,
    flags: u16,
    questions: &[Question],
    sections: &[Vec<Entry>; 3],
) -> Vec<u8> {
    let target = TreeCompressor::new(Vec::with_capacity(LONGEST));
    let Ok(mut builder) = MessageBuilder::from_target(target);
    // The limit is the first length that is too long.
    builder.set_push_limit(LONGEST + 1);
    builder.header_mut().set_id(id);
    let (target, whole) = fill(builder, questions, sections);
    let mut message = target.into_target();
    let flags = if whole {
        flags
    } else {
        flags | flag::CUT_SHORT
    };
    message[2..4].copy_from_slice(&flags.to_be_bytes());
    message
}

type Target = TreeCompressor<Vec<u8>>;

/// Appends what fits; answers whether that is everything.
fn fill(
    builder: MessageBuilder<Target>,
    questions: &[Question],
    [answer, authority, additional]: &[Vec<Entry>; 3],
) -> (Target, bool) {
    let mut section = builder.question();
    for it in questions {
        let question = (
            &it.name,
            Rtype::from_int(it.kind),
            Class::from_int(it.class),
        );
        if section.push(question).is_err() {
            return (section.finish(), false);
        }
    }
    let mut section = section.answer();
    if !append(&mut section, answer) {
        return (section.finish(), false);
    }
    let mut section = section.authority();
    if !append(&mut section, authority) {
        return (section.finish(), false);
    }
    let mut section = section.additional();
    let whole = append(&mut section, additional);
    (section.finish(), whole)
}

fn append(section: &mut impl RecordSectionBuilder<Target>, entries: &[Entry]) -> bool {
    entries.iter().all(|it| {
        let class = Class::from_int(it.class);
        let ttl = Ttl::from_secs(it.ttl);
        section.push((&it.owner, class, ttl, &it.data)).is_ok()
    })
}

impl RecordData for Data {
    fn rtype(&self) -> Rtype {
        Rtype::from_int(self.kind)
    }
}

impl ComposeRecordData for Data {
    fn rdlen(&self, compress: bool) -> Option<u16> {
        match &self.value {
            Value::Bytes(bytes) => u16::try_from(bytes.len()).ok(),
            Value::Name(_) if compress && COMPRESSED.contains(&self.kind) => None,
            Value::Name(name) => Some(name.compose_len()),
        }
    }

    fn compose_rdata<T: Composer + ?Sized>(&self, target: &mut T) -> Result<(), T::AppendError> {
        match &self.value {
            Value::Bytes(bytes) => target.append_slice(bytes),
            Value::Name(name) if COMPRESSED.contains(&self.kind) => {
                target.append_compressed_name(name)
            }
            Value::Name(name) => name.compose(target),
        }
    }

    fn compose_canonical_rdata<T: Composer + ?Sized>(
        &self,
        target: &mut T,
    ) -> Result<(), T::AppendError> {
        self.compose_rdata(target)
    }
}

/// Whether a text of labels and dots is a name; the last dot may be there. It
/// is none when a label is empty or longer than 63 bytes, or all of it is longer
/// than 255 (RFC 1035, 2.3.4).
pub(super) fn is_name(text: &[u8]) -> bool {
    // On the wire a name begins with a length and ends with a zero.
    const LONGEST: usize = 255 - 2;
    let text = text.strip_suffix(b".").unwrap_or(text);
    let mut labels = text.split(|byte| *byte == b'.');
    text.is_empty() || text.len() <= LONGEST && labels.all(|it| (1..=63).contains(&it.len()))
}

/// The name that a text says.
pub(super) fn name_of(text: &[u8]) -> Option<Owner> {
    let mut name = NameBuilder::<Vec<u8>>::new();
    if !is_name(text) {
        return None;
    }
    for label in text.split(|byte| *byte == b'.').filter(|it| !it.is_empty()) {
        name.append_label(label).ok()?;
    }
    name.into_name().ok()
}

fn text_of(name: &impl ToName) -> Option<CString> {
    let mut text = Vec::new();
    for label in name.iter_labels().filter(|label| !label.is_root()) {
        if !text.is_empty() {
            text.push(b'.');
        }
        let label: &[u8] = label.as_ref();
        if label.contains(&b'.') {
            return None;
        }
        text.extend_from_slice(label);
    }
    // Neither can it say a byte of zero.
    CString::new(text).ok()
}
