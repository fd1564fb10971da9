//! The conversion window: how long a case may take, and from where that is counted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Minutes, hours or days of 24 hours, written `90m`, `12h`, `30d`. Its end belongs to it: an entry exactly
/// 30 days after the start is within `30d`, as with `windowFunnel` of `ClickHouse`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Window {
    count: u32,
    unit: Unit,
}

/// Where the window opens.
///
/// | rule | `first` | `best` |
/// |---|---|---|
/// | `ordered` | at the first entry into step 1 | at the entry into step 1 that leads deepest |
/// | `strict` | the same; the unbroken run may begin later within it | at the entry that begins the run |
/// | `any_order` | anywhere, as long as it holds the first entry into step 1 | anywhere |
///
/// Among equally deep starts the earliest gives the step times. Entries without a business date lie in no window.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    #[default]
    First,
    Best,
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[error("window {0:?} is not a positive whole number of minutes, hours or days, such as 90m, 12h or 30d")]
pub struct NotAWindow(String);

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[error("start {0:?} is neither first nor best")]
pub struct NotAStart(String);

/// Its letter and its length in seconds.
type Unit = (char, u32);
const UNITS: [Unit; 3] = [('d', 86_400), ('h', 3_600), ('m', 60)];

impl Window {
    pub fn micros(self) -> i64 {
        i64::from(self.count) * i64::from(self.unit.1) * 1_000_000
    }
}

impl std::str::FromStr for Window {
    type Err = NotAWindow;

    fn from_str(text: &str) -> Result<Self, NotAWindow> {
        let parsed = UNITS.iter().find_map(|&unit| {
            let digits = text.strip_suffix(unit.0)?;
            let count = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
            (count > 0).then_some(Self { count, unit })
        });
        parsed.ok_or_else(|| NotAWindow(text.to_owned()))
    }
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.count, self.unit.0)
    }
}

impl TryFrom<String> for Window {
    type Error = NotAWindow;

    fn try_from(text: String) -> Result<Self, NotAWindow> {
        text.parse()
    }
}

impl JsonSchema for Window {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Window".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9]*[1-9][0-9]*[dhm]$" })
    }
}

impl From<Window> for String {
    fn from(window: Window) -> Self {
        window.to_string()
    }
}

impl std::str::FromStr for Start {
    type Err = NotAStart;

    fn from_str(text: &str) -> Result<Self, NotAStart> {
        match text {
            "first" => Ok(Self::First),
            "best" => Ok(Self::Best),
            _ => Err(NotAStart(text.to_owned())),
        }
    }
}
