//! Event time: watermarks, windows, panes; and the clock.

pub mod clock;
pub mod watermark;
pub mod window;

pub use clock::{Clock, SystemClock};
pub use watermark::Watermark;
pub use window::{EVENT_TIME_MS_MAX, Millis, WINDOW_SIZE_MS_MAX, Window, WindowError, WindowSpec};
