//! What the DNS servers of C programs are asked, and what they answer.

use domain::base::Message;
use message::{Asked, Data, Entry, Value, flag};

use crate::Choices;

#[allow(dead_code, reason = "the flags are for who answers")]
#[path = "../../ferrevent-capi/src/dns/message.rs"]
mod message;

/// The longest answer.
const LONGEST: usize = 512;
/// So many bytes say what is answered.
const WISHES: usize = 8;

/// Reads bytes as a question, and answers it with some records. What is read
/// says the same as C text; an answer has what it announces, fits, and is no
/// question.
///
/// ```
/// let question = b"\x01\x02\x03\x04\x05\x06\x07\x08\
///     \x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x00\x00\x01\x00\x01";
/// ferrevent_models::dns_server::run(question);
/// ```
///
/// # Panics
/// If that is not so.
pub fn run(data: &[u8]) {
    let (wishes, datagram) = data.split_at(data.len().min(WISHES));
    let Some(asked) = message::read(datagram) else {
        return;
    };
    for question in &asked.questions {
        let name = message::name_of(question.text.as_bytes());
        assert_eq!(name.as_ref(), Some(&question.name));
    }
    let sections = records(&asked, Choices::new(wishes));
    let flags = asked.flags & flag::RECURSION_DESIRED | flag::ANSWER;
    let answer = message::write(asked.id, flags, &asked.questions, &sections);
    let is_whole = check(&answer, &asked, &sections);
    assert!(message::read(&answer).is_none());
    if is_whole {
        let mut question = answer;
        question[2] &= !(flag::ANSWER >> 8) as u8;
        let again = message::read(&question).unwrap();
        assert_eq!(again.id, asked.id);
        let texts = |asked: &Asked| -> Vec<_> {
            let questions = asked.questions.iter();
            questions
                .map(|it| it.text.as_bytes().to_ascii_lowercase())
                .collect()
        };
        assert_eq!(texts(&again), texts(&asked));
    }
}

fn records(asked: &Asked, mut wishes: Choices<'_>) -> [Vec<Entry>; 3] {
    let mut sections = [const { Vec::new() }; 3];
    for number in 0..wishes.below(40) {
        let question = &asked.questions[number % asked.questions.len()];
        let value = if wishes.flag() {
            Value::Name(question.name.clone())
        } else {
            Value::Bytes(vec![number as u8; wishes.below(600)])
        };
        sections[wishes.below(3)].push(Entry {
            owner: question.name.clone(),
            class: question.class,
            ttl: wishes.number() as u32,
            data: Data {
                kind: question.kind,
                value,
            },
        });
    }
    sections
}

/// Whether all of it is in the answer.
fn check(answer: &[u8], asked: &Asked, sections: &[Vec<Entry>; 3]) -> bool {
    assert!(answer.len() <= LONGEST);
    let message = Message::from_slice(answer).unwrap();
    let (header, counts) = (message.header(), message.header_counts());
    assert!(header.qr() && header.id() == asked.id);
    let questions = message.question().map(Result::unwrap).count();
    let [answers, authorities, additions] =
        [message.answer(), message.authority(), message.additional()]
            .map(|section| section.unwrap().map(Result::unwrap).count());
    let there = [questions, answers, authorities, additions];
    let announced = [
        counts.qdcount(),
        counts.ancount(),
        counts.nscount(),
        counts.arcount(),
    ];
    assert_eq!(there, announced.map(usize::from));
    let wanted = [
        asked.questions.len(),
        sections[0].len(),
        sections[1].len(),
        sections[2].len(),
    ];
    assert_eq!(there == wanted, !header.tc());
    !header.tc()
}
