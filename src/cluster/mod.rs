//! Many processes as one.
//!
//! ```text
//! hosts ─► calls, door ─► hello, proof, introduction ─► link ─┐
//!                                                             ├─► mesh: roster → terms → join ─► pipes ─► timely
//! process 0: claim the log ───────────────────────────────────┘
//! ```
//! Owns how processes find each other, prove who they are, agree on one generation of the log, and notice that one of them
//! is gone; and how several of them are started and watched on one machine. Owns no dataflow: timely is handed a [`Pipe`] to
//! each process, and knows nothing of sockets.
//!
//! What must stay true: nothing of a connection is read before it has proved itself, beyond a hello of fixed size; a
//! generation begins only when all processes are there, and then holds exactly those; once one of them is lost, all end, with
//! one line that says which and why, and nothing panics.
//!
//! | file | owns |
//! |---|---|
//! | `hosts` | the hosts file |
//! | `proof` | certificates, the shared key |
//! | `hello` | getting to know each other |
//! | `door`, `dial`, `turned` | letting in, calling, turning away |
//! | `frame`, `link`, `pipe` | what goes over a connection, the two tasks of it, timely's end of it |
//! | `mesh` | all links, and what the processes agree on |
//! | `member` | the run's hold on all that |
//! | [`supervise`] | several processes on one machine |

mod dial;
mod door;
mod frame;
mod hello;
mod hosts;
mod link;
mod member;
mod mesh;
mod pipe;
mod proof;
pub mod supervise;
mod turned;

#[cfg(test)]
mod tests;

pub use frame::Terms;
pub use hello::Introduction;
pub use hosts::{Host, Hosts, HostsError};
pub use link::Traffic;
pub use member::{Cluster, Listen, Member, News, Seat};
pub use pipe::Pipe;
pub use proof::{Key, Proof, ProofError};
