//! Where the values of options come from: the command line, else the environment, else the configuration file, else the
//! default.
//!
//! The options are defined once, on the command line. A value of the file takes the place of an option's default, so it
//! is parsed and refused by the same rules. `docs/configuration.md` is written from the same definitions.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::{ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches};

use crate::command::{CommandLine, Failure};

/// The option that names the file.
const FILE_OPTION: &str = "config";
/// The command whose options the file may set. Other commands take those of them that they have.
const FULL_COMMAND: &str = "sandbox";

/// Why a configuration file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationFault {
    /// It cannot be read.
    #[error("the configuration file {0}: {1}")]
    Unreadable(String, std::io::Error),
    /// It is not TOML.
    #[error("the configuration file {0} is not TOML: {1}")]
    NotToml(String, toml::de::Error),
    /// It sets what is no option.
    #[error("the configuration file sets `{0}`, which is no option (there are: {1})")]
    UnknownKey(String, String),
    /// A value is neither text nor a number nor true or false.
    #[error("the configuration file gives `{0}` a value that is neither text, a whole number, true nor false")]
    OddValue(String),
}

/// Reads the command line, with the configuration file where one is named.
///
/// # Errors
/// A fault of the command line, which clap shows in its own way; a fault of the file.
pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<CommandLine, Failure> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let definition = CommandLine::command();
    let mut matches = definition.clone().try_get_matches_from(&arguments)?;
    if let Some(file) = file_of(&matches) {
        let text = std::fs::read_to_string(file).map_err(|error| ConfigurationFault::Unreadable(file.to_owned(), error))?;
        let values = values_of(&text, file, &options(&definition))?;
        matches = with_defaults(definition, &values).try_get_matches_from(&arguments)?;
    }
    Ok(CommandLine::from_arg_matches(&matches)?)
}

/// The options that a file may set, in order of their definition: name and, where it is a switch without a value, that.
#[must_use]
pub fn options(definition: &Command) -> Vec<(String, bool)> {
    let full = definition.get_subcommands().find(|command| command.get_name() == FULL_COMMAND);
    let arguments = full.into_iter().flat_map(Command::get_arguments);
    let named = arguments.filter_map(|argument| {
        let is_switch = matches!(argument.get_action(), ArgAction::SetTrue);
        argument.get_long().map(|name| (name.to_owned(), is_switch))
    });
    named.filter(|(name, _)| name != FILE_OPTION && name != "help" && name != "version").collect()
}

fn file_of(matches: &ArgMatches) -> Option<&str> {
    let mut innermost = matches;
    while let Some((_, inner)) = innermost.subcommand() {
        innermost = inner;
    }
    innermost.try_get_one::<String>(FILE_OPTION).ok().flatten().map(String::as_str)
}

/// The values of a file by option, as they would stand on the command line.
fn values_of(text: &str, file: &str, options: &[(String, bool)]) -> Result<BTreeMap<String, String>, ConfigurationFault> {
    let table: toml::Table = toml::from_str(text).map_err(|error| ConfigurationFault::NotToml(file.to_owned(), error))?;
    let mut values = BTreeMap::new();
    for (key, value) in table {
        if !options.iter().any(|(name, _)| *name == key) {
            let known: Vec<&str> = options.iter().map(|(name, _)| name.as_str()).collect();
            return Err(ConfigurationFault::UnknownKey(key, known.join(", ")));
        }
        let text = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(is_set) => is_set.to_string(),
            toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => {
                return Err(ConfigurationFault::OddValue(key));
            }
        };
        values.insert(key, text);
    }
    Ok(values)
}

/// The definition, with other defaults.
fn with_defaults(mut command: Command, values: &BTreeMap<String, String>) -> Command {
    let set: Vec<(String, String)> = command
        .get_arguments()
        .filter_map(|argument| {
            let value = values.get(argument.get_long()?)?;
            Some((argument.get_id().to_string(), value.clone()))
        })
        .collect();
    for (id, value) in set {
        command = command.mut_arg(id, |argument| argument.default_value(value));
    }
    let inner: Vec<String> = command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
    for name in inner {
        command = command.mut_subcommand(name, |inner| with_defaults(inner, values));
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Result<BTreeMap<String, String>, String> {
        values_of(text, "scrip.toml", &options(&CommandLine::command())).map_err(|fault| fault.to_string())
    }

    #[test]
    fn text_numbers_and_switches_are_taken_and_everything_else_is_named() {
        let taken = values("data = \"/srv/scrip\"\nfinality-blocks = 3\nno-ledger = true\n").unwrap();
        let expected = [("data", "/srv/scrip"), ("finality-blocks", "3"), ("no-ledger", "true")];
        assert_eq!(taken, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        for (text, part) in [
            ("lisen = \"127.0.0.1:1\"", "`lisen`, which is no option (there are: data, "),
            ("finality_blocks = 3", "`finality_blocks`"),
            ("config = \"other.toml\"", "`config`"),
            ("listen = [1]", "`listen` a value"),
            ("finality-blocks = 1.5", "`finality-blocks` a value"),
            ("[serve]\nlisten = \"127.0.0.1:1\"", "`serve`"),
            ("listen", "is not TOML"),
        ] {
            let said = values(text).unwrap_err();
            assert!(said.contains(part), "{text:?}: {said}");
        }
    }
}
