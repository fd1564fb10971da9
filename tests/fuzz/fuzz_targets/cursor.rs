//! Where readers stand: cursors of the feed and places of the audit trail. What is read is written as it was; what was
//! written is read as it is.

#![no_main]

use kvali_api::Cursor;
use kvali_domain::TenantId;
use kvali_projections::audit_trail::Place;
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        read(text);
    }
    if let Some((&numbers, text)) = bytes.split_first_chunk::<28>() {
        written(numbers);
        if let Ok(text) = std::str::from_utf8(text) {
            read(text);
        }
    }
});

fn read(text: &str) {
    if let Ok(cursor) = text.parse::<Cursor>() {
        assert_eq!(cursor.to_string(), text);
    }
    if let Ok(place) = text.parse::<Place>() {
        assert_eq!(place.to_string().parse(), Ok(place));
    }
}

fn written(numbers: [u8; 28]) {
    let part = |at: usize, length: usize| &numbers[at..at + length];
    let tenant = TenantId(Uuid::from_slice(part(0, 16)).expect("16 bytes"));
    let epoch = i32::from_be_bytes(part(16, 4).try_into().expect("4 bytes"));
    let position = i64::from_be_bytes(part(20, 8).try_into().expect("8 bytes"));
    let cursor = Cursor { tenant, epoch, position };
    assert_eq!(cursor.to_string().parse(), Ok(cursor));
}
