//! What tills are told to be like: of one terminal, and of all of a merchant.

use std::sync::Arc;

use protocol::id::MerchantId;
use protocol::link::configuration::IDLE_TEXT_LETTERS_MAX;
use serde::Deserialize;

use crate::domain::terminal_settings::{
    FOOTER_LETTERS_MAX, FOOTER_LINES_MAX, TerminalDefaults, TerminalSettings,
};
use crate::owner::request::Request;

use super::super::call::{Call, Handled};
use super::super::check::line;
use super::super::code::ErrorAnswer;
use super::super::envelope::Success;
use super::super::view::terminal_configuration::{
    AppliedView, EffectiveView, TerminalConfigurationView, TerminalDefaultsView,
};
use super::terminal::own;

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum LevelForm {
    Error,
    Warn,
    Info,
    Debug,
}

impl LevelForm {
    fn name(self) -> String {
        let name = match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        };
        name.to_owned()
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsForm {
    idle_text: Option<String>,
    log_level: Option<LevelForm>,
    print_customer_copy: Option<bool>,
    receipt_footer: Option<Vec<String>>,
}

impl SettingsForm {
    fn settings(self) -> Result<TerminalSettings, ErrorAnswer> {
        let idle_text = self
            .idle_text
            .map(|text| {
                let expected = "1 to 64 characters without control characters";
                line("settings.idle_text", text, IDLE_TEXT_LETTERS_MAX, expected)
            })
            .transpose()?;
        let footer = self.receipt_footer.unwrap_or_default();
        let expected = "up to 6 lines of 1 to 42 characters without control characters";
        if footer.len() > FOOTER_LINES_MAX {
            return Err(ErrorAnswer::invalid("settings.receipt_footer", expected));
        }
        let footer = footer
            .into_iter()
            .map(|text| {
                line(
                    "settings.receipt_footer",
                    text,
                    FOOTER_LETTERS_MAX,
                    expected,
                )
            })
            .collect::<Result<Vec<String>, ErrorAnswer>>()?;
        Ok(TerminalSettings {
            idle_text,
            log_level: self.log_level.map(LevelForm::name),
            prints_customer_copy: self.print_customer_copy,
            receipt_footer: (!footer.is_empty()).then_some(footer),
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnForm {
    settings: SettingsForm,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RollOutForm {
    #[default]
    AllAtOnce,
    Waves,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DefaultsForm {
    settings: SettingsForm,
    roll_out: Option<RollOutForm>,
}

/// `PUT /v1/terminals/{id}/configuration`
pub(in crate::http) async fn set(call: Call) -> Handled {
    let form: OwnForm = call.form()?;
    let terminal = own(&call)?;
    let request = Request::SetTerminalSettings {
        terminal_id: terminal.id,
        settings: form.settings.settings()?,
    };
    call.ask(request).await
}

/// `GET /v1/terminals/{id}/configuration`
pub(in crate::http) async fn read(call: Call) -> Handled {
    let terminal = own(&call)?;
    let defaults = defaults_of(&call, terminal.merchant_id);
    let live = call.parts().registry.status(terminal.id);
    let applied = AppliedView::of(&terminal, &defaults, live.as_deref());
    let wanted = defaults.wanted(terminal.id, &terminal.own);
    let view = TerminalConfigurationView::of(&terminal, &defaults).with_applied(applied);
    Ok(Success::json(
        200,
        &EffectiveView::of(view, &wanted.settings),
    ))
}

/// `PUT /v1/merchant/terminal-configuration`
pub(in crate::http) async fn set_defaults(call: Call) -> Handled {
    let form: DefaultsForm = call.form()?;
    let request = Request::SetTerminalDefaults {
        settings: form.settings.settings()?,
        in_waves: form.roll_out == Some(RollOutForm::Waves),
    };
    call.ask(request).await
}

/// `GET /v1/merchant/terminal-configuration`
pub(in crate::http) async fn read_defaults(call: Call) -> Handled {
    let defaults = defaults_of(&call, call.merchant_id()?);
    Ok(Success::json(200, &TerminalDefaultsView::of(&defaults)))
}

/// What a merchant wants of its tills, also when it has never said so.
pub(super) fn defaults_of(call: &Call, merchant_id: MerchantId) -> Arc<TerminalDefaults> {
    let defaults = call.parts().guard.index().terminal_defaults(merchant_id);
    defaults.unwrap_or_else(|| Arc::new(TerminalDefaults::none(merchant_id)))
}
