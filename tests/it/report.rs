//! The HTML page: what it says, that nothing in it runs, and how a browser lays it out.

mod sample;
mod text;
