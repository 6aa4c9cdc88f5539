//! What a proxy has open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arti_client::DataStream;
use tor_proto::client::stream::ClientStreamCtrl;

/// The streams of a proxy, by their circuits.
#[derive(Default)]
pub(super) struct State(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    /// So many streams are on each circuit, by the name it has in the log.
    circuits: HashMap<String, usize>,
    streams: usize,
}

/// A stream that counts.
pub(super) struct Counted {
    state: Arc<State>,
    circuit: Option<String>,
}

impl State {
    /// Counts a stream, until what is returned is dropped.
    pub(super) fn add(self: &Arc<Self>, stream: &DataStream) -> Counted {
        let control = stream.client_stream_ctrl();
        let tunnel = control.and_then(|control| control.tunnel());
        let circuit = tunnel.map(|tunnel| tunnel.unique_id().to_string());
        let mut counts = self.lock();
        counts.streams += 1;
        if let Some(circuit) = &circuit {
            *counts.circuits.entry(circuit.clone()).or_default() += 1;
        }
        drop(counts);
        Counted {
            state: Arc::clone(self),
            circuit,
        }
    }

    /// Circuits that are in use, and streams.
    pub(super) fn counts(&self) -> (usize, usize) {
        let counts = self.lock();
        (counts.circuits.len(), counts.streams)
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.state.lock();
        counts.streams -= 1;
        if let Some(circuit) = &self.circuit
            && let Some(streams) = counts.circuits.get_mut(circuit)
        {
            *streams -= 1;
            if *streams == 0 {
                counts.circuits.remove(circuit);
            }
        }
    }
}
