//! Pictures, sounds and files in a request, and the text forms they come in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What sort of thing it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// A picture.
    Image,
    /// Sound.
    Audio,
    /// Anything else.
    File,
}

/// One thing that is no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// What it is.
    pub sort: Sort,
    /// Its media type, and how long it is or where it is to be found.
    pub told: String,
}

impl Media {
    /// One that came in base64; nothing if it is not that.
    pub fn inline(sort: Sort, media_type: &str, base64: &str) -> Option<Self> {
        let bytes = STANDARD.decode(base64).ok()?;
        Some(Self { sort, told: format!("{media_type}, {} bytes", bytes.len()) })
    }

    /// One that is somewhere else.
    pub fn remote(sort: Sort, url: &str) -> Self {
        Self { sort, told: url.to_owned() }
    }

    /// One of a `data:` or http URL.
    pub fn url(sort: Sort, url: &str) -> Option<Self> {
        match url.strip_prefix("data:") {
            Some(data) => {
                let (media_type, base64) = data.split_once(";base64,")?;
                Self::inline(sort, media_type, base64)
            }
            None if url.starts_with("https://") || url.starts_with("http://") => Some(Self::remote(sort, url)),
            None => None,
        }
    }
}

/// `I see 2 images: image/png, 68 bytes; image/jpeg, 99 bytes`, and likewise for the others.
pub fn describe(media: &[Media]) -> String {
    let about = |sort: Sort, verb: &str, one: &str, many: &str| {
        let told: Vec<_> = media.iter().filter(|media| media.sort == sort).map(|media| media.told.as_str()).collect();
        let noun = if told.len() == 1 { one } else { many };
        (!told.is_empty()).then(|| format!("I {verb} {} {noun}: {}", told.len(), told.join("; ")))
    };
    let parts = [
        about(Sort::Image, "see", "image", "images"),
        about(Sort::Audio, "hear", "sound", "sounds"),
        about(Sort::File, "read", "file", "files"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(". ")
}

/// What stands before, between and after these two marks.
pub fn between<'t>(text: &'t str, open: &str, close: &str) -> Option<(&'t str, &'t str, &'t str)> {
    let (before, rest) = text.split_once(open)?;
    let (inside, after) = rest.split_once(close)?;
    Some((before, inside, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_are_told_by_type_and_size() {
        let png = Media::url(Sort::Image, "data:image/png;base64,AAECAw==").unwrap();
        let far = Media::url(Sort::Image, "https://x.example/a.png").unwrap();
        let pdf = Media::inline(Sort::File, "application/pdf", "AAEC").unwrap();
        assert_eq!(describe(std::slice::from_ref(&png)), "I see 1 image: image/png, 4 bytes");
        assert_eq!(
            describe(&[png, far, pdf]),
            "I see 2 images: image/png, 4 bytes; https://x.example/a.png. I read 1 file: application/pdf, 3 bytes"
        );
    }

    #[test]
    fn what_is_no_base64_is_no_medium() {
        for url in ["data:image/png;base64,!!", "data:image/png,plain", "file:///etc", "data:image/png;base64,AAE"] {
            assert_eq!(Media::url(Sort::Image, url), None, "{url}");
        }
    }
}
