//! openssl.cnf, in the right and in the wrong ways.

use std::fmt::Write as _;

use crate::module;

/// A configuration file that activates hwkey.
#[derive(Clone)]
pub struct Conf {
    options: Vec<(String, String)>,
    /// The providers, as they are listed.
    order: Vec<String>,
    /// Sections of other providers, by their names.
    others: Vec<(String, String)>,
    properties: Option<String>,
}

impl Conf {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self {
            options: Vec::new(),
            order: vec!["default".into(), "hwkey".into()],
            others: Vec::new(),
            properties: Some("?provider!=hwkey".into()),
        }
    }

    /// Another provider, listed after those that there are, with these lines in its section.
    #[must_use]
    pub fn with_provider(mut self, name: &str, lines: &str) -> Self {
        self.order.push(name.into());
        self.others.push((name.into(), lines.into()));
        self
    }

    /// Exactly these providers, in this order.
    #[must_use]
    pub fn listing(mut self, order: &[&str]) -> Self {
        self.order = order.iter().map(|&name| name.into()).collect();
        self
    }

    /// Another value of `default_properties`.
    #[must_use]
    pub fn properties(mut self, properties: &str) -> Self {
        self.properties = Some(properties.into());
        self
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
    pub fn hwkey_first(self) -> Self {
        self.listing(&["hwkey", "default"]).without_properties()
    }

    /// Only hwkey is active.
    #[must_use]
    pub fn without_default(self) -> Self {
        self.listing(&["hwkey"]).without_properties()
    }

    /// No `default_properties`.
    #[must_use]
    pub fn without_properties(mut self) -> Self {
        self.properties = None;
        self
    }

    pub fn text(&self) -> String {
        let providers = self.order.iter().fold(String::new(), |list, name| {
            format!("{list}{name} = {name}_sect\n")
        });
        let evp = self
            .properties
            .as_ref()
            .map_or(String::new(), |properties| {
                format!("alg_section = evp_sect\n[evp_sect]\ndefault_properties = {properties}\n")
            });
        // Node reads its own section name unless told otherwise.
        let mut text = format!(
            "nodejs_conf = openssl_init\nopenssl_conf = openssl_init\n\
             [openssl_init]\nproviders = provider_sect\n{evp}\
             [provider_sect]\n{providers}[default_sect]\nactivate = 1\n"
        );
        for (name, lines) in &self.others {
            writeln!(text, "[{name}_sect]\nactivate = 1\n{lines}").expect(TAKES_ANY);
        }
        let module = module();
        writeln!(
            text,
            "[hwkey_sect]\nactivate = 1\nmodule = {}",
            module.display()
        )
        .expect(TAKES_ANY);
        for (name, value) in &self.options {
            writeln!(text, "{name} = {value}").expect(TAKES_ANY);
        }
        text.push_str("[req]\ndistinguished_name = dn\n[dn]\n");
        text
    }
}

const TAKES_ANY: &str = "a String takes any text";
