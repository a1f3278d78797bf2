//! Sockets, timers, names and wake-ups. Knows no HTTP.
