//! stub
pub(crate) mod code {
    pub(crate) const FORBIDDEN: &str = "FORBIDDEN";
    pub(crate) fn of(_: &crate::domain::rejection::Rejection) -> &'static str { "X" }
}
