//! Fakes for tests: a clock that stands still, repeatable randomness, batches served as a stream, a look at what was written.
//!
//! Read in this order: [`random`] (the one source of chance, by seed), [`clock`] (time moves when the test says so),
//! [`test_data`] (the connector `testdata`).

pub mod clock;
pub mod random;
pub mod test_data;

pub use clock::ManualClock;
pub use random::Random;
pub use test_data::TestData;
