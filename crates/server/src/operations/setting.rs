//! What the program remembers about itself.

use std::borrow::Cow;

use store::{Book, Setting, Wanted};

use super::{Context, Operation, Refused};

/// Remembers a value under a name.
#[derive(Clone, Debug)]
pub struct PutSetting {
    /// The name.
    pub name: Cow<'static, str>,
    /// The value.
    pub value: Vec<u8>,
}

impl Operation for PutSetting {
    type Output = ();

    fn want(&self, _wanted: &mut Wanted) {}

    fn run(&self, _book: &mut Book, cx: &mut Context<'_>) -> Result<(), Refused> {
        cx.record.settings.push(Setting { name: self.name.clone(), value: self.value.clone() });
        Ok(())
    }
}
