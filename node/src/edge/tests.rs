//! The edge against the real apply, over a pipe in place of a network.

mod bad_input;
mod chat;
mod client;
mod delivery;
mod doubts;
mod limits;
mod lists;
mod members;
mod news;
mod pipe;
mod presence;
mod reach;
mod receipts;
mod rows;
mod setting;
mod storm;
mod tentative;
mod world;
