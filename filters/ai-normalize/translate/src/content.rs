//! Content that stands in a message: `data:` addresses and base64.

use crate::ir::Source;
use span_json::Text;
use std::borrow::Cow;

/// Where an address points: into itself (`data:`), or elsewhere.
///
/// # Errors
/// What is wrong with a `data:` address.
pub fn source<'a>(address: &Text<'a>) -> Result<Source<'a>, &'static str> {
    let address = address.decode();
    let Some((scheme, _)) = address.split_once(':') else { return Err("expected an https or data address") };
    if !scheme.eq_ignore_ascii_case("data") {
        return Ok(Source::Url(address.into()));
    }
    match address {
        Cow::Borrowed(address) => data(address.get(5..).unwrap_or_default()),
        Cow::Owned(address) => Ok(match data(address.get(5..).unwrap_or_default())? {
            Source::Base64 { media_type, data } => {
                Source::Base64 { media_type: media_type.into_owned(), data: data.into_owned() }
            }
            Source::Plain(text) => Source::Plain(text.into_owned()),
            Source::Url(text) => Source::Url(text.into_owned()),
            Source::Id(text) => Source::Id(text.into_owned()),
        }),
    }
}

/// RFC 2397, behind the scheme.
fn data(rest: &str) -> Result<Source<'_>, &'static str> {
    let (head, content) = rest.split_once(',').ok_or("expected a comma in the data address")?;
    let mut parameters = head.split(';');
    let media_type = parameters.next().unwrap_or_default();
    if !parameters.any(|parameter| parameter.trim().eq_ignore_ascii_case("base64")) {
        return Ok(Source::Plain(Text::from(percent_decoded(content)?)));
    }
    Ok(Source::Base64 { media_type: media(media_type), data: base64(content)? })
}

/// A media type in the spelling that providers know.
pub fn media(name: &str) -> Text<'_> {
    match name.trim() {
        "" => Text::from("text/plain"),
        name if name.eq_ignore_ascii_case("image/jpg") => Text::from("image/jpeg"),
        name if name.bytes().any(|byte| byte.is_ascii_uppercase()) => Text::from(name.to_ascii_lowercase()),
        name => Text::from(name),
    }
}

/// Base64 in the standard alphabet, padded and without blanks; what has it already is not copied.
///
/// # Errors
/// If it is no base64.
pub fn base64(text: &str) -> Result<Text<'_>, &'static str> {
    const WRONG: &str = "expected base64";
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let unpadded = text.trim_end_matches('=');
    if text.len().is_multiple_of(4) && text.len() - unpadded.len() <= 2 && unpadded.bytes().all(is_digit) {
        return Ok(Text::from(text));
    }
    let mut digits = String::with_capacity(text.len() + 3);
    let mut padding = 0;
    for byte in text.bytes() {
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' => {}
            b'=' => padding += 1,
            _ if padding > 0 => return Err(WRONG),
            b'-' => digits.push('+'),
            b'_' => digits.push('/'),
            byte if is_digit(byte) => digits.push(char::from(byte)),
            _ => return Err(WRONG),
        }
    }
    match digits.len() % 4 {
        1 => return Err(WRONG),
        2 => digits.push_str("=="),
        3 => digits.push('='),
        _ => {}
    }
    if padding > 2 { Err(WRONG) } else { Ok(Text::from(digits)) }
}

/// Text from percent-encoding.
fn percent_decoded(text: &str) -> Result<Cow<'_, str>, &'static str> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, behind) = behind.split_at_checked(2).ok_or("expected two digits behind % in the data address")?;
        let digits = str::from_utf8(digits).unwrap_or_default();
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| "expected two digits behind % in the data address")?);
        rest = behind;
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| "expected UTF-8 in the data address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_point_into_themselves_or_elsewhere() {
        let told = |address: &str| match source(&Text::from(address)) {
            Ok(Source::Base64 { media_type, data }) => format!("{}|{}", media_type.decode(), data.decode()),
            Ok(Source::Plain(text)) => format!("text {}", text.decode()),
            Ok(Source::Url(url)) => format!("url {}", url.decode()),
            Ok(Source::Id(_)) => unreachable!(),
            Err(why) => why.to_owned(),
        };
        for (address, expected) in [
            ("data:image/png;base64,aGk=", "image/png|aGk="),
            ("DATA:Image/JPG;charset=x;BASE64,aGk", "image/jpeg|aGk="),
            ("data:image/png;base64,a-_k\n", "image/png|a+/k"),
            ("data:image/png;base64,aGk!", "expected base64"),
            ("data:image/png;base64,a", "expected base64"),
            ("data:image/png;base64,aGk===", "expected base64"),
            ("data:image/png;base64", "expected a comma in the data address"),
            ("data:,a%20b%C3%A9", "text a bé"),
            ("data:text/plain,%", "expected two digits behind % in the data address"),
            ("data:text/plain,%ff", "expected UTF-8 in the data address"),
            ("https://a.test/x.png", "url https://a.test/x.png"),
            ("x.png", "expected an https or data address"),
        ] {
            assert_eq!(told(address), expected, "{address}");
        }
        let escaped = source(&Text::Escaped(r"data:image\/png;base64,aGk=")).unwrap();
        assert!(matches!(escaped, Source::Base64 { media_type, .. } if media_type == "image/png"));
    }
}
