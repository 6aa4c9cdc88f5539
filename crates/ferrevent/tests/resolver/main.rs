//! The resolver, on every backend, on loop and pool.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/name_server.rs"]
mod name_server;
#[cfg(unix)]
mod peers;

use std::cell::RefCell;
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::base::Rtype;
use domain::base::iana::Rcode;
use ferrevent::resolver::{
    AddressInfo, Answer, Config, Failure, Families, Hints, Hosts, Lookup, Question, ResolveError,
    Resolver, Services,
};
use ferrevent::{Address, Builder, EventLoop, Stream};

use common::ledger::ON_PURPOSE;
use common::{Outcome, PATIENCE, Recorder, Rig, Works, kinds, on_every_backend};
use name_server::{Asked, NameServer, Say};

type Outcomes = Arc<Mutex<Vec<Result<Answer, ResolveError>>>>;

/// A resolver that asks these servers, often and soon: storms swallow datagrams.
fn resolver(rig: &mut Rig, servers: &[SocketAddr], hosts: &[u8]) -> Resolver {
    let mut config = Config::with_servers(servers.iter().copied());
    config.timeout = Duration::from_millis(100);
    config.attempts = 100;
    config.search = vec!["example.org".into()];
    Resolver::new(&rig.context(), config, Hosts::parse(hosts))
}

/// A resolver that waits for its server as long as it takes.
fn patient(rig: &mut Rig, server: SocketAddr) -> Resolver {
    let mut config = Config::with_servers([server]);
    config.timeout = 100 * PATIENCE;
    Resolver::new(&rig.context(), config, Hosts::default())
}

fn ask(resolver: &Resolver, question: &Question) -> (Lookup, Outcomes) {
    let outcomes = Outcomes::default();
    let kept = Arc::clone(&outcomes);
    let lookup = resolver.ask(question, move |_, outcome| {
        kept.lock().unwrap().push(outcome);
    });
    (lookup, outcomes)
}

/// Asks, and waits for what comes of it: one outcome.
fn resolve(
    rig: &mut Rig,
    resolver: &Resolver,
    question: &Question,
) -> Outcome<Result<Answer, ResolveError>> {
    let (_, outcomes) = ask(resolver, question);
    rig.until("an answer", || !outcomes.lock().unwrap().is_empty())?;
    let mut outcomes = outcomes.lock().unwrap();
    assert_eq!(outcomes.len(), 1);
    Ok(outcomes.remove(0))
}

fn v4() -> IpAddr {
    [192, 0, 2, 1].into()
}

#[test]
fn a_name_is_resolved() {
    on_every_backend(|rig| -> Outcome {
        let server = NameServer::new(|asked| match asked.is("www.example.org") {
            true => Say::Address(v4()),
            false => Say::Fail(Rcode::NXDOMAIN),
        });
        let resolver = resolver(rig, &[server.address], b"");
        let question = Question::addresses("www.example.org", Families::V4);
        let answer = resolve(rig, &resolver, &question)?.unwrap();
        assert_eq!((answer.addresses, answer.ttl), (vec![v4()], Some(60)));
        let question = Question::addresses("other.example.org", Families::V4);
        let error = resolve(rig, &resolver, &question)?.unwrap_err();
        assert_eq!(error.failure, Failure::NoSuchName);
        assert_eq!(error.server, Some(server.address));
        Ok(())
    });
}

#[test]
fn a_connect_by_name_asks_the_resolver() {
    on_every_backend(|rig| -> Outcome {
        let server = NameServer::new(|asked: &Asked| match asked.is("app.example.org") {
            true => Say::Address([127, 0, 0, 1].into()),
            false => Say::Fail(Rcode::NXDOMAIN),
        });
        let any = "127.0.0.1:0".parse().unwrap();
        let to = rig.listen(&any, || |stream: &mut Stream<'_>| stream.echo())?;
        let Address::Socket(bound) = to else {
            panic!("no socket address")
        };
        let resolver = resolver(rig, &[server.address], b"");
        rig.context().use_resolver(Some(&resolver));
        let (client, record) = Recorder::with(|stream, what| {
            if what == "opened" {
                let _ = stream.write(b"hi");
                stream.finish_write();
            }
        });
        // The search list makes it whole.
        rig.connect(Address::Name("app".into(), bound.port()), client)?;
        rig.until("the echo", || record.see().reason.is_some())?;
        rig.demand_bytes(&record.bytes(), b"hi")?;
        let (client, record) = Recorder::new();
        rig.connect(Address::Name("nobody".into(), bound.port()), client)?;
        rig.until("the refusal", || record.see().reason.is_some())?;
        let reason = record.reason();
        assert!(
            reason.contains("cannot resolve nobody: there is no such name"),
            "{reason}"
        );
        Ok(())
    });
}

#[test]
fn aliases_families_and_reverse_names_are_found() {
    on_every_backend(|rig| -> Outcome {
        let six: IpAddr = "2001:db8::1".parse().unwrap();
        let server = NameServer::new(move |asked| match () {
            () if asked.is("alias.x") => Say::Alias("host.y", v4()),
            () if asked.is("both.x") && asked.kind == Rtype::AAAA => Say::Address(six),
            () if asked.is("both.x") => Say::Address(v4()),
            () if asked.is("1.2.0.192.in-addr.arpa") => Say::Names(&["one.x", "other.x"]),
            () => Say::Nothing,
        });
        let resolver = resolver(rig, &[server.address], b"192.0.2.7 printer");
        let answer = resolve(
            rig,
            &resolver,
            &Question::addresses("alias.x", Families::V4),
        )?;
        let answer = answer.unwrap();
        assert_eq!(answer.addresses, [v4()]);
        assert_eq!(answer.canonical.as_deref(), Some("host.y"));
        let answer = resolve(
            rig,
            &resolver,
            &Question::addresses("both.x", Families::BOTH),
        )?;
        // Which comes first depends on whence this host reaches them.
        let mut addresses = answer.unwrap().addresses;
        addresses.sort();
        assert_eq!(addresses, [v4(), six]);
        let answer = resolve(rig, &resolver, &Question::names(v4()))?;
        assert_eq!(answer.unwrap().names, ["one.x", "other.x"]);
        let none = resolve(
            rig,
            &resolver,
            &Question::addresses("none.x", Families::BOTH),
        )?;
        assert_eq!(none.unwrap_err().failure, Failure::NoData);
        let count = server.asked().len();
        let answer = resolve(
            rig,
            &resolver,
            &Question::addresses("printer", Families::BOTH),
        )?;
        assert_eq!(answer.unwrap().addresses.len(), 1);
        assert_eq!(server.asked().len(), count);
        Ok(())
    });
}

#[cfg(unix)]
#[test]
fn what_cannot_be_reached_comes_last() {
    let mut events = EventLoop::new().unwrap();
    let hosts = Hosts::parse(b"255.255.255.255 x\n127.0.0.1 x");
    let resolver = Resolver::new(&events.context(), Config::default(), hosts);
    let (_, outcomes) = ask(&resolver, &Question::addresses("x", Families::V4));
    events.run().unwrap();
    let answer = outcomes.lock().unwrap().remove(0).unwrap();
    let wanted: [IpAddr; 2] = [[127, 0, 0, 1].into(), [255; 4].into()];
    assert_eq!(answer.addresses, wanted);
}

#[test]
fn the_systems_settings_are_read() {
    let mut events = EventLoop::new().unwrap();
    let resolver = Resolver::of_system(&events.context()).unwrap();
    let (_, outcomes) = ask(&resolver, &Question::addresses("localhost", Families::V4));
    events.run().unwrap();
    assert!(outcomes.lock().unwrap().remove(0).is_ok());
}

#[test]
fn settings_change_while_questions_are_asked() {
    on_every_backend(|rig| -> Outcome {
        let silent = NameServer::new(|_| Say::Silence);
        let good = NameServer::new(|_| Say::Address(v4()));
        let resolver = patient(rig, silent.address);
        let (_, outcomes) = ask(&resolver, &Question::addresses("www.x", Families::V4));
        rig.until("the question", || !silent.asked().is_empty())?;
        let mut config = Config::with_servers([good.address]);
        config.timeout = Duration::from_millis(100);
        config.attempts = 100;
        resolver.reconfigure(config, Hosts::parse(b"192.0.2.7 printer"));
        rig.until("an answer", || !outcomes.lock().unwrap().is_empty())?;
        let answer = outcomes.lock().unwrap().remove(0).unwrap();
        assert_eq!(answer.addresses, [v4()]);
        let printer = Question::addresses("printer", Families::V4);
        assert!(resolve(rig, &resolver, &printer)?.is_ok());
        Ok(())
    });
}

#[test]
fn what_was_cut_comes_by_tcp() {
    on_every_backend(|rig| -> Outcome {
        let server = NameServer::new(|asked| match asked.by_tcp {
            true => Say::Address(v4()),
            false => Say::Cut,
        });
        let resolver = resolver(rig, &[server.address], b"");
        let question = Question::addresses("www.x", Families::V4);
        let answer = resolve(rig, &resolver, &question)?.unwrap();
        assert_eq!(answer.addresses, [v4()]);
        Ok(())
    });
}

#[test]
fn servers_that_do_not_answer_are_passed_over() {
    on_every_backend(|rig| -> Outcome {
        let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let nobody = closed.local_addr().unwrap();
        drop(closed);
        let silent = NameServer::new(|_| Say::Silence);
        let failing = NameServer::new(|_| Say::Fail(Rcode::SERVFAIL));
        let good = NameServer::new(|_| Say::Address(v4()));
        let servers = [nobody, silent.address, failing.address, good.address];
        let resolver = resolver(rig, &servers, b"");
        let question = Question::addresses("www.x", Families::V4);
        let answer = resolve(rig, &resolver, &question)?.unwrap();
        assert_eq!(answer.addresses, [v4()]);
        assert!(!good.asked().is_empty());
        Ok(())
    });
}

#[test]
fn lookups_are_canceled_and_shut_down() {
    on_every_backend(|rig| -> Outcome {
        let silent = NameServer::new(|_| Say::Silence);
        let resolver = patient(rig, silent.address);
        let question = Question::addresses("www.x", Families::BOTH);
        let (lookup, canceled) = ask(&resolver, &question);
        let (_, shut_down) = ask(&resolver, &question);
        lookup.cancel();
        lookup.cancel();
        rig.until("the cancel", || !canceled.lock().unwrap().is_empty())?;
        assert!(shut_down.lock().unwrap().is_empty());
        resolver.shut_down();
        rig.until("the end", || !shut_down.lock().unwrap().is_empty())?;
        lookup.cancel();
        let failure = |outcomes: &Outcomes| {
            let outcomes = outcomes.lock().unwrap();
            assert_eq!(outcomes.len(), 1);
            outcomes[0].clone().unwrap_err().failure
        };
        assert_eq!(failure(&canceled), Failure::Canceled);
        assert_eq!(failure(&shut_down), Failure::ShutDown);
        Ok(())
    });
}

#[test]
fn a_callback_that_panics_harms_no_other() {
    on_every_backend(|rig| -> Outcome {
        let server = NameServer::new(|_| Say::Address(v4()));
        let resolver = resolver(rig, &[server.address], b"");
        let question = Question::addresses("www.x", Families::V4);
        for _ in 0..3 {
            resolver.ask(&question, |_, _| panic!("{ON_PURPOSE}"));
        }
        for _ in 0..3 {
            assert!(resolve(rig, &resolver, &question)?.is_ok());
        }
        Ok(())
    });
}

#[test]
fn hosts_and_services_become_addresses() {
    on_every_backend(|rig| -> Outcome {
        let server = NameServer::new(|_| Say::Address(v4()));
        let resolver = resolver(rig, &[server.address], b"");
        let services = Services::parse(b"http 80/tcp");
        let mut found = |host, service| -> Outcome<_> {
            let (to, hints) = (Arc::new(Mutex::new(None)), Hints::default());
            let own = Arc::clone(&to);
            resolver.address_info(host, service, &hints, &services, move |_, outcome| {
                *own.lock().unwrap() = Some(outcome);
            });
            rig.until("the addresses", || to.lock().unwrap().is_some())?;
            let outcome = to.lock().unwrap().take().unwrap();
            let first = |infos: Vec<AddressInfo>| infos[0].address.to_string();
            Ok(outcome.map(first).map_err(|error| error.to_string()))
        };
        assert_eq!(found(Some("www.x"), Some("http"))?.unwrap(), "192.0.2.1:80");
        assert_eq!(found(Some("::1"), Some("http"))?.unwrap(), "[::1]:80");
        assert_eq!(found(None, Some("7"))?.unwrap(), "[::1]:7");
        let error = found(Some("www.x"), Some("gopher"))?.unwrap_err();
        assert!(error.starts_with("cannot resolve www.x:gopher: there is no such service"));
        Ok(())
    });
}

#[test]
fn tasks_wait_for_answers_and_give_up() {
    for kind in kinds() {
        let server = NameServer::new(|asked| match asked.is("www.x") {
            true => Say::Address(v4()),
            false => Say::Silence,
        });
        let mut events = Builder::new().backend(kind).build().unwrap();
        let config = Config::with_servers([server.address]);
        let resolver = Resolver::new(&events.context(), config, Hosts::default());
        let (good, silent) = ["www.x", "silent.x"]
            .map(|name| Question::addresses(name, Families::V4))
            .into();
        let answer = events.block_on(resolver.resolve(&good)).unwrap().unwrap();
        assert_eq!(answer.addresses, [v4()]);
        // One that is given up is canceled: nothing keeps the loop then.
        drop(resolver.resolve(&silent));
        events.run().unwrap();
        let orphan = resolver.resolve(&silent);
        drop(events);
        let mut other = Builder::new().backend(kind).build().unwrap();
        let error = other.block_on(orphan).unwrap().unwrap_err();
        assert_eq!(error.failure, Failure::ShutDown);
        let late = other
            .block_on(resolver.resolve(&good))
            .unwrap()
            .unwrap_err();
        assert_eq!(late.failure, Failure::ShutDown);
    }
}

/// Many at once, from callbacks of others: all are answered, by few sockets.
#[test]
fn many_are_asked_at_once() {
    on_every_backend(|rig| -> Outcome {
        let server = NameServer::new(|_| Say::Address(v4()));
        let resolver = resolver(rig, &[server.address], b"");
        let outcomes = Outcomes::default();
        for number in 0..100 {
            let (kept, again) = (Arc::clone(&outcomes), resolver.clone());
            let question = Question::addresses(&format!("n{number}.x"), Families::V4);
            resolver.ask(&question, move |_, outcome| {
                outcome.unwrap();
                let question = Question::addresses(&format!("m{number}.x"), Families::V4);
                again.ask(&question, move |_, outcome| {
                    kept.lock().unwrap().push(outcome);
                });
            });
        }
        rig.until("the answers", || outcomes.lock().unwrap().len() == 100)?;
        assert!(outcomes.lock().unwrap().iter().all(Result::is_ok));
        Ok(())
    });
}

/// What was asked is over: nothing keeps the loop, and the next question comes
/// from another port, in other letters.
#[test]
fn it_rests_when_nothing_is_asked() {
    let eight = |resolver: &dyn Fn(Config) -> Resolver, run: &mut dyn FnMut()| {
        let server = NameServer::new(|_| Say::Address(v4()));
        let resolver = resolver(Config::with_servers([server.address]));
        let name = "a-name-with-letters.example";
        for number in 1..=8 {
            let (_, outcomes) = ask(&resolver, &Question::addresses(name, Families::V4));
            run();
            assert!(outcomes.lock().unwrap()[0].is_ok());
            assert!(server.asked().len() >= number);
        }
        let asked = server.asked();
        let ports: HashSet<_> = asked.iter().map(|it| it.from.port()).collect();
        let names: HashSet<_> = asked.iter().map(|it| it.name.as_str()).collect();
        assert!(ports.len() > 5 && names.len() > 5, "{asked:?}");
    };
    for kind in kinds() {
        let events = RefCell::new(Builder::new().backend(kind).build().unwrap());
        eight(
            &|config| Resolver::new(&events.borrow_mut().context(), config, Hosts::default()),
            &mut || {
                events.borrow_mut().run().unwrap();
                assert!(events.borrow_mut().is_empty());
            },
        );
        let pool = Builder::new().backend(kind).build_pool(2).unwrap();
        eight(
            &|config| Resolver::new(&pool.context(), config, Hosts::default()),
            &mut || {
                pool.run().unwrap();
                assert!(pool.is_empty());
            },
        );
    }
}
