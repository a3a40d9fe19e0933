//! openssl.cnf, in the right and in the wrong ways.

use std::fmt::Write as _;

use crate::module;

/// A configuration file that activates hwkey.
#[derive(Clone)]
pub struct Conf {
    options: Vec<(String, String)>,
    default: Default,
    prefer_others: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Default {
    First,
    Last,
    Missing,
}

impl Conf {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self {
            options: Vec::new(),
            default: Default::First,
            prefer_others: true,
        }
    }

    /// A line of hwkey's section.
    #[must_use]
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.options.retain(|(known, _)| known != name);
        self.options.push((name.into(), value.into()));
        self
    }

    /// Takes a line out of hwkey's section.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.options.retain(|(known, _)| known != name);
        self
    }

    /// hwkey before default, and no default_properties.
    #[must_use]
    pub fn hwkey_first(mut self) -> Self {
        self.default = Default::Last;
        self.prefer_others = false;
        self
    }

    /// Only hwkey is active.
    #[must_use]
    pub fn without_default(mut self) -> Self {
        self.default = Default::Missing;
        self.prefer_others = false;
        self
    }

    /// No `default_properties`.
    #[must_use]
    pub fn without_properties(mut self) -> Self {
        self.prefer_others = false;
        self
    }

    pub fn text(&self) -> String {
        let providers = match self.default {
            Default::First => "default = default_sect\nhwkey = hwkey_sect",
            Default::Last => "hwkey = hwkey_sect\ndefault = default_sect",
            Default::Missing => "hwkey = hwkey_sect",
        };
        let evp = match self.prefer_others {
            true => "alg_section = evp_sect",
            false => "",
        };
        // Node reads its own section name unless told otherwise.
        let mut text = format!(
            "nodejs_conf = openssl_init\nopenssl_conf = openssl_init\n\
             [openssl_init]\nproviders = provider_sect\n{evp}\n\
             [evp_sect]\ndefault_properties = ?provider!=hwkey\n\
             [provider_sect]\n{providers}\n[default_sect]\nactivate = 1\n\
             [hwkey_sect]\nmodule = {}\nactivate = 1\n",
            module().display()
        );
        for (name, value) in &self.options {
            writeln!(text, "{name} = {value}").expect("a String takes any text");
        }
        text.push_str("[req]\ndistinguished_name = dn\n[dn]\n");
        text
    }
}
