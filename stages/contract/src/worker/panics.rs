//! The one place where a panic of a stage is caught.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use crate::fault::{Fault, Faults};

/// Panics of the running request on any thread: (message, place).
static SEEN: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// Installs a quiet hook that remembers message and place instead of printing.
pub fn listen() {
    std::panic::set_hook(Box::new(|info| {
        let message = text_of(info.payload());
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        if let Ok(mut seen) = SEEN.lock() {
            // A panic in a loop over threads must not grow without bound.
            if seen.len() < 64 {
                seen.push((message, place));
            }
        }
    }));
}

/// Runs `work`; a panic becomes the fault `worker::panic`.
pub fn catch<T>(what: &str, work: impl FnOnce() -> T) -> Result<T, Faults> {
    if let Ok(mut seen) = SEEN.lock() {
        seen.clear();
    }
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let message = text_of(payload.as_ref());
        let place = SEEN.lock().ok().and_then(|seen| {
            let found = seen.iter().find(|(text, _)| *text == message).or(seen.last());
            found.map(|(_, place)| place.clone())
        });
        let line = message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no message");
        let place = place.filter(|place| !place.is_empty()).map(|place| format!(" (at {place})")).unwrap_or_default();
        Faults::from(
            Fault::error(crate::code!("worker::panic"), format!("{what} panicked: {line}"))
                .help(format!("this is a mistake in the program, not in your pipeline; please report it{place}")),
        )
    })
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else {
        "a panic without a message".to_owned()
    }
}
