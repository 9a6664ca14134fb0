//! folkmoot-bench
