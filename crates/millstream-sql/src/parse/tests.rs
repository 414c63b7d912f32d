//! Tables of text in, text out.
