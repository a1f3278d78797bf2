//! What a machine does to a server: memory that has to be asked for, connections that cannot be accepted, clocks
//! that jump, disks that are full and files that are not what they were.

#[path = "../common/mod.rs"]
mod common;
#[path = "../counting/mod.rs"]
mod counting;

mod accepts;
mod clocks;
mod disks;
mod memory;
