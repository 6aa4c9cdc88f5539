//! Timers in deadline order.
