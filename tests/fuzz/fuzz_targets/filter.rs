//! What is asked for: query strings of the read models, of the feed and of the audit trail. A line says the route, the next
//! one is its query.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Some((route, query)) = text.split_once('\n') {
        kvali_api::fuzz::question(route, query);
    }
});
