//! The fields of a line of the access log, and templates of them.
//!
//! Read by `access_log`; the server layer writes the values. A new field is a row of the table.

/// A fact about a session on a line of the access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccessField {
    Time,
    Event,
    Session,
    Lane,
    Generation,
    Listener,
    Service,
    Client,
    Upstream,
    Endpoint,
    Tries,
    Waited,
    Connect,
    FirstByte,
    Total,
    FromClient,
    ToClient,
    FromClientDelta,
    ToClientDelta,
    Ended,
    By,
    How,
    Phase,
    Error,
    ClientRtt,
    ClientRttMin,
    ClientRetransmits,
    ClientRate,
    UpstreamRtt,
    UpstreamRttMin,
    UpstreamRetransmits,
    UpstreamRate,
}

/// The fields with their names, in the order of a line.
const FIELDS: &[(&str, AccessField)] = &[
    ("time", AccessField::Time),
    ("event", AccessField::Event),
    ("session", AccessField::Session),
    ("lane", AccessField::Lane),
    ("generation", AccessField::Generation),
    ("listener", AccessField::Listener),
    ("service", AccessField::Service),
    ("client", AccessField::Client),
    ("upstream", AccessField::Upstream),
    ("endpoint", AccessField::Endpoint),
    ("tries", AccessField::Tries),
    ("waited_us", AccessField::Waited),
    ("connect_us", AccessField::Connect),
    ("first_byte_us", AccessField::FirstByte),
    ("total_us", AccessField::Total),
    ("from_client_bytes", AccessField::FromClient),
    ("to_client_bytes", AccessField::ToClient),
    ("from_client_delta_bytes", AccessField::FromClientDelta),
    ("to_client_delta_bytes", AccessField::ToClientDelta),
    ("ended", AccessField::Ended),
    ("by", AccessField::By),
    ("how", AccessField::How),
    ("phase", AccessField::Phase),
    ("error", AccessField::Error),
    ("client_rtt_us", AccessField::ClientRtt),
    ("client_rtt_min_us", AccessField::ClientRttMin),
    ("client_retransmits", AccessField::ClientRetransmits),
    ("client_delivery_rate", AccessField::ClientRate),
    ("upstream_rtt_us", AccessField::UpstreamRtt),
    ("upstream_rtt_min_us", AccessField::UpstreamRttMin),
    ("upstream_retransmits", AccessField::UpstreamRetransmits),
    ("upstream_delivery_rate", AccessField::UpstreamRate),
];

impl AccessField {
    /// All fields with their names, in the order of a line.
    pub(crate) fn all() -> &'static [(&'static str, Self)] {
        FIELDS
    }

    /// Whether the value comes from `TCP_INFO`, for a system call a connection.
    pub(crate) fn is_of_kernel(self) -> bool {
        matches!(
            self,
            Self::ClientRtt
                | Self::ClientRttMin
                | Self::ClientRetransmits
                | Self::ClientRate
                | Self::UpstreamRtt
                | Self::UpstreamRttMin
                | Self::UpstreamRetransmits
                | Self::UpstreamRate
        )
    }
}

/// A line with fields in braces. `{{` and `}}` are braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    written: String,
    parts: Vec<TemplatePart>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TemplatePart {
    Text(String),
    Field(AccessField),
}

/// Why a text is no template.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoTemplate {
    /// No field of this name.
    Unknown(String),
    /// A brace without a counterpart.
    Brace,
    /// Without a field all lines are the same.
    NoField,
}

impl Template {
    pub(super) fn parse(written: &str) -> Result<Self, NoTemplate> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = written;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            text.push_str(before);
            let doubled = ["{{", "}}"].into_iter().find(|pair| from.starts_with(pair));
            if let Some(pair) = doubled {
                text.push_str(&pair[1..]);
                rest = &from[2..];
                continue;
            }
            let inner = from.strip_prefix('{').ok_or(NoTemplate::Brace)?;
            let (name, behind) = inner.split_once('}').ok_or(NoTemplate::Brace)?;
            let field = FIELDS.iter().find(|(known, _)| *known == name);
            let (_, field) = field.ok_or_else(|| NoTemplate::Unknown(name.to_owned()))?;
            if !text.is_empty() {
                parts.push(TemplatePart::Text(std::mem::take(&mut text)));
            }
            parts.push(TemplatePart::Field(*field));
            rest = behind;
        }
        if parts.is_empty() {
            return Err(NoTemplate::NoField);
        }
        text.push_str(rest);
        if !text.is_empty() {
            parts.push(TemplatePart::Text(text));
        }
        let written = written.to_owned();
        Ok(Self { written, parts })
    }

    /// As in the file.
    pub(super) fn written(&self) -> &str {
        &self.written
    }

    pub(crate) fn parts(&self) -> &[TemplatePart] {
        &self.parts
    }

    /// Whether any field is of this kind.
    pub(super) fn has(&self, kind: impl Fn(AccessField) -> bool) -> bool {
        let is_of = |part: &TemplatePart| matches!(part, TemplatePart::Field(of) if kind(*of));
        self.parts.iter().any(is_of)
    }
}

#[cfg(test)]
mod tests {
    use super::{AccessField, NoTemplate, Template, TemplatePart};

    #[test]
    fn a_template_is_text_and_fields() {
        let template = Template::parse("a {client}->{{{endpoint}}} z").unwrap();
        let text = |text: &str| TemplatePart::Text(text.to_owned());
        let expected = [
            text("a "),
            TemplatePart::Field(AccessField::Client),
            text("->{"),
            TemplatePart::Field(AccessField::Endpoint),
            text("} z"),
        ];
        assert_eq!(template.parts(), expected);
    }

    #[test]
    fn mistakes_are_told_apart() {
        for (written, why) in [
            ("{clien}", NoTemplate::Unknown("clien".to_owned())),
            ("{client", NoTemplate::Brace),
            ("client}", NoTemplate::Brace),
            ("client", NoTemplate::NoField),
            ("", NoTemplate::NoField),
            ("{{client}}", NoTemplate::NoField),
        ] {
            assert_eq!(Template::parse(written), Err(why), "{written}");
        }
    }

    #[test]
    fn every_field_has_one_name_and_one_row() {
        for (place, (name, field)) in AccessField::all().iter().enumerate() {
            let others = &AccessField::all()[place + 1..];
            assert!(
                others
                    .iter()
                    .all(|(other, of)| other != name && of != field)
            );
            let one = Template::parse(&format!("{{{name}}}")).unwrap();
            assert_eq!(one.parts(), [TemplatePart::Field(*field)]);
        }
    }
}
