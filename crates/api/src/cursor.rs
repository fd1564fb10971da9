//! Where a reader of the feed stands: opaque to it, and refused by any log but the one that gave it out.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kvali_domain::TenantId;
use std::str::FromStr;
use uuid::Uuid;

/// After the event at `position`, in a tenant's log of that epoch: a log that was restored from an export counts anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cursor {
    pub tenant: TenantId,
    pub epoch: i32,
    pub position: i64,
}

/// The first byte, so that later kinds can be told apart.
const KIND: u8 = 1;
const LENGTH: usize = 1 + 16 + 4 + 8;
/// Against cursors that were cut or mistyped; not against forgery, which gains nothing.
const CHECK: usize = 4;

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut bytes = Vec::with_capacity(LENGTH + CHECK);
        bytes.push(KIND);
        bytes.extend(self.tenant.0.as_bytes());
        bytes.extend(self.epoch.to_be_bytes());
        bytes.extend(self.position.to_be_bytes());
        bytes.extend(check(&bytes));
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

fn check(bytes: &[u8]) -> [u8; CHECK] {
    let hash = blake3::hash(bytes);
    std::array::from_fn(|at| hash.as_bytes()[at])
}

#[derive(thiserror::Error, Clone, Copy, PartialEq, Eq, Debug)]
#[error(
    "this is no cursor of the feed; give one back as it was given out, or a position to begin after, such as 0"
)]
pub struct NotACursor;

impl FromStr for Cursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NotACursor)?;
        let (told, given) = bytes.split_at_checked(LENGTH).ok_or(NotACursor)?;
        if told[0] != KIND || given != check(told) {
            return Err(NotACursor);
        }
        let part = |at: usize, length: usize| &told[at..at + length];
        let tenant = Uuid::from_slice(part(1, 16)).map_err(|_| NotACursor)?;
        let epoch = part(17, 4).try_into().map(i32::from_be_bytes).map_err(|_| NotACursor)?;
        let position = part(21, 8).try_into().map(i64::from_be_bytes).map_err(|_| NotACursor)?;
        Ok(Self { tenant: TenantId(tenant), epoch, position })
    }
}

#[cfg(test)]
mod tests {
    use super::{Cursor, NotACursor};
    use kvali_domain::TenantId;
    use uuid::Uuid;

    #[test]
    fn a_cursor_reads_as_it_was_given_out() {
        for (epoch, position) in [(1, 0), (7, i64::MAX), (i32::MAX, 1)] {
            let cursor = Cursor { tenant: TenantId(Uuid::from_u128(0xabc)), epoch, position };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
    }

    #[test]
    fn one_that_was_cut_or_changed_is_none() {
        let cursor = Cursor { tenant: TenantId(Uuid::from_u128(0xabc)), epoch: 1, position: 7 };
        let text = cursor.to_string();
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert_eq!(changed.parse::<Cursor>(), Err(NotACursor), "{changed}");
            assert_eq!(text[..at].parse::<Cursor>(), Err(NotACursor));
        }
    }
}
