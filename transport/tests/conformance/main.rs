//! One suite for the port, run over every carrier, and what only one of them
//! has.

mod quic;
mod restart;
mod sim;
mod suite;
mod ws;

/// Runs every test of the suite over a carrier; `$test` is the attribute.
macro_rules! conformance {
    ($(#[$test:meta])* $pair:path) => {
        crate::conformance!(@all [$(#[$test])*] $pair;
            frames_arrive_whole_and_in_order
            both_directions_at_once
            many_streams
            the_largest_frame_passes
            a_frame_over_the_readers_limit_is_refused_precisely
            a_frame_over_the_writers_limit_is_not_sent
            close_code_and_reason_arrive
            what_was_sent_before_finish_arrives
            last_words_arrive_before_the_close
            dropping_the_sender_ends_the_peers_recv
            dropping_everything_ends_the_connection
            a_reader_that_does_not_read_blocks_the_writer
            a_cancelled_recv_loses_nothing
            bytes_are_counted);
    };
    (@all $attributes:tt $pair:path; $($name:ident)+) => {
        $(crate::conformance!(@one $attributes $pair; $name);)+
    };
    (@one [$(#[$test:meta])*] $pair:path; $name:ident) => {
        $(#[$test])*
        async fn $name() {
            crate::suite::$name(&$pair).await;
        }
    };
}
pub(crate) use conformance;
