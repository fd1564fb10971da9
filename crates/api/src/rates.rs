//! How often one sender may ask: so many requests a second per key or token, and so many failed proofs per address.

use crate::error::{Pause, Problem};
use crate::principal::Peer;
use axum::http::{HeaderValue, StatusCode};
use dashmap::DashMap;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// What one sender may take from the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rates {
    /// Per key, or per user of an identity provider.
    pub requests_per_second: NonZeroU32,
    /// So many more at once, after a pause.
    pub burst: NonZeroU32,
    /// Requests without a valid key, per address of a client.
    pub failures_per_minute: NonZeroU32,
}

const fn some(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("it is written above zero")
}

impl Default for Rates {
    fn default() -> Self {
        Self { requests_per_second: some(1_000), burst: some(2_000), failures_per_minute: some(60) }
    }
}

/// More senders than this are not remembered when they have been quiet for as long as their burst takes to come back.
const REMEMBERED: usize = 10_000;

type Limiter<K, M> = RateLimiter<K, DefaultKeyedStateStore<K>, DefaultClock, M>;

pub(crate) struct Limiters {
    senders: Limiter<Uuid, StateInformationMiddleware>,
    strangers: Limiter<IpAddr, governor::middleware::NoOpMiddleware<governor::clock::QuantaInstant>>,
    /// Addresses with too many failed proofs, and until when nothing is looked up for them.
    shut_out: DashMap<IpAddr, Instant>,
}

impl Limiters {
    pub(crate) fn new(rates: Rates) -> Self {
        let per_second = Quota::per_second(rates.requests_per_second).allow_burst(rates.burst);
        let per_minute = Quota::per_minute(rates.failures_per_minute);
        Self {
            senders: RateLimiter::dashmap(per_second).with_middleware(),
            strangers: RateLimiter::dashmap(per_minute),
            shut_out: DashMap::new(),
        }
    }

    /// Counts a request of a known sender; the header tells what is left.
    pub(crate) fn admit(&self, sender: Uuid) -> Result<HeaderValue, Problem> {
        if self.senders.len() > REMEMBERED {
            self.senders.retain_recent();
        }
        match self.senders.check_key(&sender) {
            Ok(state) => Ok(Self::header(state.remaining_burst_capacity(), 0)),
            Err(not_until) => {
                let wait = not_until.wait_time_from(DefaultClock::default().now());
                Err(too_many("this key asks too often", wait, Some(Self::header(0, seconds(wait)))))
            }
        }
    }

    /// As draft-ietf-httpapi-ratelimit-headers has it: requests left, and seconds until there are more.
    fn header(left: u32, seconds: u64) -> HeaderValue {
        let text = format!("\"per-key\";r={left};t={seconds}");
        HeaderValue::from_str(&text).expect("letters and digits are visible")
    }

    /// Counts a request that proved nothing.
    pub(crate) fn failed(&self, peer: Option<Peer>) {
        let Some(address) = peer.map(network) else { return };
        if self.strangers.len() > REMEMBERED {
            self.strangers.retain_recent();
        }
        if let Err(not_until) = self.strangers.check_key(&address) {
            let now = Instant::now();
            if self.shut_out.len() > REMEMBERED {
                self.shut_out.retain(|_, until| *until > now);
            }
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            self.shut_out.insert(address, now + wait);
        }
    }

    /// Before anything is looked up for a sender who is not known: whether its address has not failed too often.
    pub(crate) fn may_ask(&self, peer: Option<Peer>) -> Result<(), Problem> {
        let Some(address) = peer.map(network) else { return Ok(()) };
        let until = self.shut_out.get(&address).map(|until| *until);
        match until.map(|until| until.saturating_duration_since(Instant::now())) {
            Some(wait) if !wait.is_zero() => {
                Err(too_many("too many requests without a valid key came from this address", wait, None))
            }
            _ => Ok(()),
        }
    }
}

/// Of an IPv6 address the first half, since whoever has one has all of that.
fn network(Peer(address): Peer) -> IpAddr {
    match address.ip() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => address
            .to_ipv4_mapped()
            .map_or_else(|| IpAddr::from((u128::from(address) >> 64 << 64).to_be_bytes()), IpAddr::V4),
    }
}

/// Whole seconds, upwards: whoever waits so long is not refused again.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

fn too_many(why: &str, wait: Duration, rate: Option<HeaderValue>) -> Problem {
    let wait = seconds(wait).max(1);
    let detail = format!("{why}; wait {wait} s");
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail);
    Problem { pause: Some(Box::new(Pause { seconds: wait, rate })), ..problem }
}

#[cfg(test)]
mod tests {
    use super::{Limiters, Rates, network, seconds, some};
    use crate::principal::Peer;
    use std::net::SocketAddr;
    use std::time::Duration;
    use uuid::Uuid;

    fn limiters() -> Limiters {
        Limiters::new(Rates { requests_per_second: some(1), burst: some(3), failures_per_minute: some(2) })
    }

    fn peer(text: &str) -> Peer {
        Peer(text.parse::<SocketAddr>().expect("an address"))
    }

    #[test]
    fn each_sender_has_a_rate_of_its_own() {
        let limiters = limiters();
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let left: Vec<_> = (0..3).map(|_| limiters.admit(one).expect("within the burst")).collect();
        assert_eq!(left, ["\"per-key\";r=2;t=0", "\"per-key\";r=1;t=0", "\"per-key\";r=0;t=0"]);
        let told = limiters.admit(one).expect_err("the burst is used up");
        assert_eq!((told.status.as_u16(), told.pause.map(|pause| pause.seconds)), (429, Some(1)));
        assert!(limiters.admit(other).is_ok());
    }

    #[test]
    fn an_address_that_fails_too_often_is_not_looked_up_for() {
        let limiters = limiters();
        let stranger = Some(peer("[2001:db8::1]:9"));
        for _ in 0..2 {
            limiters.failed(stranger);
            assert!(limiters.may_ask(stranger).is_ok());
        }
        limiters.failed(stranger);
        let told = limiters.may_ask(Some(peer("[2001:db8::2]:1"))).expect_err("the same network");
        assert!(told.pause.as_ref().is_some_and(|pause| (1..=60).contains(&pause.seconds)), "{told:?}");
        assert!(limiters.may_ask(Some(peer("192.0.2.1:1"))).is_ok());
        assert_eq!(network(peer("[::ffff:192.0.2.1]:1")), network(peer("192.0.2.1:2")));
    }

    #[test]
    fn waits_are_told_in_whole_seconds_upwards() {
        assert_eq!(seconds(Duration::from_millis(1)), 1);
        assert_eq!(seconds(Duration::from_secs(2)), 2);
    }
}
