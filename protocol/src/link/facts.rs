//! What a till can find out about the machine it runs on. Everything is optional: absent when the
//! machine cannot know.

use serde::{Deserialize, Serialize};

/// Steps in which a temperature is worth telling, in degrees Celsius.
const TEMPERATURE_STEP_C: i32 = 10;
/// Steps in which signal and battery are worth telling, in percent.
const PERCENT_STEP: u8 = 20;
/// Steps in which the clock is worth telling, in milliseconds. A second off is what a receipt shows.
const SKEW_STEP_MS: i64 = 1_000;

/// How the till reaches the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionType {
    /// By cable.
    Ethernet,
    /// By wireless LAN.
    Wifi,
    /// By a mobile network.
    Mobile,
    /// By something else.
    Other,
}

/// The machine of a till.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TillFacts {
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maker: Option<String>,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Operating system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// Kernel release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// Seconds since the machine started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime_s: Option<u64>,
    /// Seconds since the agent started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_uptime_s: Option<u64>,
    /// The till's clock minus the engine's, in milliseconds; half a round trip is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_skew_ms: Option<i64>,
    /// How the default route goes out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<ConnectionType>,
    /// Quality of the wireless LAN that it goes out by, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal_percent: Option<u8>,
    /// Charge of the battery, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub battery_percent: Option<u8>,
    /// Whether the battery is being charged, or is full on external power.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_charging: Option<bool>,
    /// The hottest zone, in degrees Celsius.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_c: Option<i32>,
    /// Whether the reader's port is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_reader_port_open: Option<bool>,
    /// Whether the printer's port is open; absent without a printer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_printer_port_open: Option<bool>,
}

impl TillFacts {
    /// Whether a person would care about the change from `self` to `now`. Times always pass and
    /// measurements always flicker: they alone are no reason to say anything.
    pub fn is_news(&self, now: &Self) -> bool {
        let Self {
            maker,
            model,
            os,
            kernel,
            uptime_s: _,
            agent_uptime_s: _,
            clock_skew_ms,
            connection,
            signal_percent,
            battery_percent,
            is_charging,
            temperature_c,
            is_reader_port_open,
            is_printer_port_open,
        } = self;
        *maker != now.maker
            || *model != now.model
            || *os != now.os
            || *kernel != now.kernel
            || *connection != now.connection
            || *is_charging != now.is_charging
            || *is_reader_port_open != now.is_reader_port_open
            || *is_printer_port_open != now.is_printer_port_open
            || has_moved(*clock_skew_ms, now.clock_skew_ms, SKEW_STEP_MS)
            || has_moved(*signal_percent, now.signal_percent, PERCENT_STEP)
            || has_moved(*battery_percent, now.battery_percent, PERCENT_STEP)
            || has_moved(*temperature_c, now.temperature_c, TEMPERATURE_STEP_C)
    }
}

/// Whether two measurements are a step apart. Not whether they are in different steps: one that
/// flickers about the edge of a step would be told for ever.
fn has_moved<T: Into<i64>>(then: Option<T>, now: Option<T>, step: T) -> bool {
    match (then, now) {
        (None, None) => false,
        (Some(then), Some(now)) => {
            let (then, now): (i64, i64) = (then.into(), now.into());
            let step: i64 = step.into();
            then.abs_diff(now) >= step.unsigned_abs()
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_person_cares_about_is_news() {
        let told = TillFacts {
            uptime_s: Some(10),
            clock_skew_ms: Some(-300),
            signal_percent: Some(60),
            temperature_c: Some(50),
            connection: Some(ConnectionType::Wifi),
            ..TillFacts::default()
        };
        let with = |change: fn(&mut TillFacts)| {
            let mut now = told.clone();
            change(&mut now);
            told.is_news(&now)
        };
        assert!(!with(|_| {}));
        assert!(!with(|now| now.uptime_s = Some(99_999)));
        assert!(!with(|now| now.agent_uptime_s = Some(1)));
        assert!(!with(|now| now.temperature_c = Some(59)));
        assert!(with(|now| now.temperature_c = Some(60)));
        assert!(!with(|now| now.signal_percent = Some(41)));
        assert!(with(|now| now.signal_percent = Some(40)));
        assert!(!with(|now| now.clock_skew_ms = Some(600)));
        assert!(with(|now| now.clock_skew_ms = Some(700)));
        assert!(with(|now| now.clock_skew_ms = None));
        assert!(with(|now| now.connection = Some(ConnectionType::Mobile)));
        assert!(with(|now| now.battery_percent = Some(100)));
        assert!(with(|now| now.is_reader_port_open = Some(false)));
    }
}
