//! Fakes for tests: a clock that stands still, repeatable randomness, batches served as a stream, a look at what was written.
//!
//! Read in this order: [`random`] (the one source of chance, by seed), [`clock`] (time moves when the test says so),
//! [`test_data`] (the connector `testdata`), [`faulty_store`] (an object store that fails and loses answers),
//! [`remote_table`] (a sink that publishes by transactions).

pub mod clock;
pub mod faulty_store;
pub mod random;
pub mod remote_table;
pub mod test_data;

pub use clock::ManualClock;
pub use faulty_store::{Dice, FaultyStore};
pub use random::Random;
pub use remote_table::RemoteTable;
pub use test_data::TestData;
