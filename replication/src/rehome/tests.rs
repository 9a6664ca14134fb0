//! Groups between three shards that share one store, as replicas on one node do.

mod any_order;
mod one_move;
mod world;
