//! Other settings, while questions are on their way.

use ferrevent_core::timer::Tick;

use super::ask::AskId;
use super::servers::Server;
use super::{Client, Timer};
use crate::{Config, Hosts};

impl Client {
    /// Takes other settings. They are good at once, also for what is under way: only
    /// the time that a question has which was sent stays as it was. What is known of
    /// servers that stay is kept. What was asked of one that is gone is asked of the
    /// others, or fails with [`Failure::NoServers`](crate::Failure::NoServers).
    ///
    /// ```
    /// # use ferrevent_core::timer::Tick;
    /// use ferrevent_dns::{Action, Client, Config, Families, Hosts, Question};
    ///
    /// let one = Config::with_servers(["192.0.2.1:53".parse()?]);
    /// let mut client = Client::new(one, Hosts::default(), |bytes: &mut [u8]| bytes.fill(7));
    /// client.resolve(Tick(0), &Question::addresses("www", Families::V4));
    /// let other = Config::with_servers(["192.0.2.2:53".parse()?]);
    /// client.reconfigure(Tick(1), other);
    /// let mut servers = Vec::new();
    /// while let Some(action) = client.next_action() {
    ///     if let Action::Send { server, .. } = action {
    ///         servers.push(server.to_string());
    ///     }
    /// }
    /// assert_eq!(servers, ["192.0.2.1:53", "192.0.2.2:53"]);
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn reconfigure(&mut self, now: Tick, config: Config) {
        let config = config.sane();
        let places: Vec<_> = self
            .servers
            .iter()
            .map(|old| config.servers.iter().position(|it| *it == old.address))
            .collect();
        let stranded = self.leave_servers(&places);
        self.config = config;
        self.move_servers(&places);
        for id in stranded {
            if let Some(ask) = self.asks.get_mut(&id) {
                ask.begin_anew();
            }
            self.send(now, id);
        }
        self.settle(now);
    }

    /// Takes other names that need no server.
    ///
    /// ```
    /// # use ferrevent_dns::{Client, Config, Hosts};
    /// # let mut client = Client::new(Config::default(), Hosts::default(), |_: &mut [u8]| ());
    /// client.set_hosts(Hosts::parse(b"192.0.2.7 printer"));
    /// assert_eq!(client.hosts().addresses("printer").len(), 1);
    /// ```
    pub fn set_hosts(&mut self, hosts: Hosts) {
        self.hosts = hosts;
    }

    /// The names that need no server.
    ///
    /// ```
    /// # use ferrevent_dns::{Client, Config, Hosts};
    /// # let client = Client::new(Config::default(), Hosts::default(), |_: &mut [u8]| ());
    /// assert!(client.hosts().is_empty());
    /// ```
    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// Has questions go by new sockets from now on.
    ///
    /// ```
    /// # use ferrevent_core::timer::Tick;
    /// # use ferrevent_dns::{Action, Client, Config, Families, Hosts, Question};
    /// # let mut client = Client::new(Config::default(), Hosts::default(), |_: &mut [u8]| ());
    /// let mut lanes = Vec::new();
    /// for name in ["one", "other"] {
    ///     client.resolve(Tick(0), &Question::addresses(name, Families::V4));
    ///     client.renew_sockets();
    /// }
    /// while let Some(action) = client.next_action() {
    ///     if let Action::Send { lane, .. } = action {
    ///         lanes.push(lane);
    ///     }
    /// }
    /// assert_ne!(lanes[0], lanes[1]);
    /// ```
    pub fn renew_sockets(&mut self) {
        for server in 0..self.servers.len() {
            if let Some(lane) = self.servers[server].lane.take() {
                self.close_if_idle(lane);
            }
        }
    }

    /// Ends what is on its way to servers that have no place any more; answers which
    /// questions have to be sent again.
    fn leave_servers(&mut self, places: &[Option<usize>]) -> Vec<AskId> {
        let is_gone = |server: usize| places.get(server).copied().flatten().is_none();
        let asks: Vec<_> = self
            .asks
            .iter()
            .filter(|(_, ask)| ask.is_sent() && is_gone(ask.server))
            .map(|(id, ask)| (*id, ask.is_probe()))
            .collect();
        for (id, is_probe) in &asks {
            self.leave(*id);
            if *is_probe {
                self.drop_ask(*id);
            }
        }
        let lanes = self.lanes.iter().filter(|(_, lane)| is_gone(lane.server));
        let lanes: Vec<_> = lanes.map(|(id, _)| *id).collect();
        for lane in lanes {
            self.close_lane(lane);
        }
        let asks = asks.into_iter().filter(|(_, is_probe)| !is_probe);
        asks.map(|(id, _)| id).collect()
    }

    /// Makes the new list of servers, and has all who count by the old one count by it.
    fn move_servers(&mut self, places: &[Option<usize>]) {
        let fresh = self
            .config
            .servers
            .iter()
            .copied()
            .map(Server::new)
            .collect();
        let old = std::mem::replace(&mut self.servers, fresh);
        for (server, place) in old.into_iter().zip(places) {
            if let Some(place) = place {
                self.servers[*place] = server;
            }
        }
        let place = |server: usize| places.get(server).copied().flatten();
        for lane in self.lanes.values_mut() {
            lane.server = place(lane.server).unwrap_or(0);
        }
        for ask in self.asks.values_mut() {
            ask.server = place(ask.server).unwrap_or(0);
            ask.next = place(ask.next).unwrap_or(0);
        }
        for lookup in self.lookups.values_mut() {
            lookup.turn = place(lookup.turn).unwrap_or(0);
        }
        self.turn = place(self.turn).unwrap_or(0);
        let timers = std::mem::take(&mut self.timers).into_iter();
        self.timers = timers
            .filter_map(|(at, timer)| match timer {
                Timer::Probe(server) => Some((at, Timer::Probe(place(server)?))),
                timer => Some((at, timer)),
            })
            .collect();
        // Of a server that was listed twice one is left.
        let lanes: Vec<_> = self.lanes.keys().copied().collect();
        for lane in lanes {
            self.close_if_idle(lane);
        }
    }
}
