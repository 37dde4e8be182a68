//! Verbs around the store.

mod cache;
mod gc;
mod pins;

super::list::verbs! {
    Gc(gc),
    Cache(cache),
}
